"""Several seeds as one program, against the same runs alone."""

import errno
import json
import shutil

import jax
import numpy as np
import pytest
from lanes_beside_runs import assert_lanes_begin_as_runs_alone, assert_same, killed, tables

import frankrl
from frankrl.core.errors import (
    DivergedError,
    EnvironmentFailedError,
    FrankError,
    MachineError,
    RunFolderError,
    SettingError,
)
from frankrl.core.numerics import own_numerics
from frankrl.core.score import score
from frankrl.jobs.driving import driven
from frankrl.runs import RunDescription, RunFolder, list_checkpoints
from frankrl.runs.group import RunGroup
from frankrl.runs.lock import locked
from frankrl.seeds import lanes
from frankrl.seeds import train as seeds_train
from frankrl.seeds.resume import resume_seeds
from frankrl.seeds.standing import newest_intact
from frankrl.training import Trainer, checkpoint_writer, memory, preflight
from frankrl.training.preparing import checked_experiment

pytestmark = pytest.mark.slow

ENV = "frankrl/CartPole-functional-v0"
SHORT = {
    "total_env_steps": 640,
    "learning_starts_env_steps": 64,
    "hidden_widths": [8],
    "num_envs": 2,
    "vector_steps_per_round": 4,
    "replay_ratio": 0.5,
    "batch_size": 16,
    "replay_capacity": 400,
    "log_every_env_steps": 64,
    "evaluate_every_env_steps": 320,
    "evaluation_episodes": 2,
    "final_evaluation_episodes": 3,
    "checkpoint_every_env_steps": 160,
    "device": "cpu",
    "preset": "default",
}


@pytest.fixture(scope="module")
def group(tmp_path_factory):
    """Three runs that were one program."""
    out = tmp_path_factory.mktemp("lanes") / "group"
    return frankrl.train(ENV, seeds=[3, 8, 5], out=out, progress=False, **SHORT)


def test_lanes_begin_as_runs_alone_do_within_float32():
    def parts(found):
        state, output = found.state(), found.output()
        return state.learner, state.replay, output.metrics, output.td_errors

    with own_numerics():
        settings = frankrl.Settings().with_changes(
            **{name: value for name, value in SHORT.items() if name != "preset"}
        )
        first = checked_experiment(ENV, settings.resolved(), 0)
        assert assert_lanes_begin_as_runs_alone(first, [0, 1, 7], 6, parts, rtol=1e-4)[2] > 0


def test_every_run_of_a_group_is_an_ordinary_run(group, tmp_path):
    assert group.seeds == (3, 8, 5)
    assert [run.name for run in group.runs] == ["s3", "s8", "s5"]
    assert group.final == score(np.array([each.final_return for each in group.outcomes]))
    for seed, run in zip(group.seeds, group.runs, strict=True):
        description = RunFolder.open(run).description
        assert (description.seed, description.batched_with) == (seed, (3, 8, 5))
        assert description.settings.environment.source == "device"
        again = frankrl.evaluate(run, episodes=3, seed=seed, progress=False)
        assert again.mean_return == group.outcomes[group.seeds.index(seed)].final_return
        found = tables(run)
        assert [row[0] for row in found["training"]] == list(range(64, 641, 64))
        assert sum(row[-1] for row in found["episodes"]) <= SHORT["total_env_steps"]


def test_the_same_command_gives_the_same_bits(group, tmp_path):
    again = frankrl.train(ENV, seeds=[3, 8, 5], out=tmp_path / "again", progress=False, **SHORT)
    for one, other in zip(group.runs, again.runs, strict=True):
        assert_same(one, other)


def test_a_larger_budget_comes_to_the_bits_of_a_run_that_had_it_from_the_beginning(
    group, tmp_path, monkeypatch
):
    out, smaller = tmp_path / "out", SHORT | {"total_env_steps": 320}
    frankrl.train(ENV, seeds=[3, 8, 5], out=out, progress=False, **smaller)
    before = (out / "group.json").read_bytes()
    monkeypatch.setattr(memory, "_lane_bytes", lambda experiment: 2**50)
    with pytest.raises(MachineError, match="as one program take about"):
        frankrl.resume(out, total_env_steps=640)
    assert (out / "group.json").read_bytes() == before
    monkeypatch.undo()
    result = frankrl.resume(out, total_env_steps=640, progress=False)
    assert [each.env_steps for each in result.outcomes] == [640] * 3
    for run in group.runs:
        assert_same(run, out / run.name)


def test_lanes_that_fail_on_the_way_to_a_larger_budget_go_on_to_it(group, tmp_path, monkeypatch):
    out, smaller = tmp_path / "out", SHORT | {"total_env_steps": 320}
    frankrl.train(ENV, seeds=[3, 8, 5], out=out, progress=False, **smaller)
    # One of them keeps the report of its smaller budget.
    failing(monkeypatch, "_take", 8, 400, EnvironmentFailedError("it broke"))
    ended = []
    group_there = RunGroup.open(out)
    how = seeds_train.HowToTrain(progress=False, on_run=lambda run, *_: ended.append(run.name))
    with pytest.raises(FrankError, match=r"failed \(s8\)"):
        resume_seeds(group_there, how, {"total_env_steps": 640})
    assert ended == ["s3", "s5"]
    monkeypatch.undo()
    frankrl.resume(out, progress=False)
    for run in group.runs:
        assert_same(run, out / run.name)


@pytest.mark.parametrize("runs_with_newer", [0, 1, 2])
def test_a_group_that_was_killed_goes_on_to_the_same_bits(group, tmp_path, runs_with_newer):
    copied = killed(group, tmp_path / "copy", runs_with_newer)
    runs = [copied / run.name for run in group.runs]
    if runs_with_newer == 1:
        # As with `keep_checkpoints` 1: no env step at which all runs have one.
        for run in runs:
            for checkpoint in list_checkpoints(run / "checkpoints")[:-1]:
                shutil.rmtree(checkpoint)
    stand = [480] * runs_with_newer + [320] * (3 - runs_with_newer)
    assert [newest_intact(run).env_steps for run in runs] == stand
    again = frankrl.resume(copied, progress=False)
    assert [each.final_return for each in again.outcomes] == [
        each.final_return for each in group.outcomes
    ]
    for one, other in zip(group.runs, runs, strict=True):
        assert_same(one, other)


@pytest.mark.parametrize("which", range(3))
def test_a_run_whose_newest_checkpoint_is_damaged_catches_up_to_the_same_bits(
    group, tmp_path, which
):
    copied = killed(group, tmp_path / "copy", 3)
    damaged = copied / group.runs[which].name / "checkpoints" / "000000000480"
    weights_file = damaged / "q_network.safetensors"
    content = bytearray(weights_file.read_bytes())
    content[-1] ^= 1
    weights_file.write_bytes(content)
    with pytest.warns(match="is set aside"):
        frankrl.resume(copied, progress=False)
    for run in group.runs:
        assert_same(run, copied / run.name)


def test_a_run_that_is_missing_begins_and_the_others_keep_what_they_have(group, tmp_path):
    copied = killed(group, tmp_path / "copy", 2)
    shutil.rmtree(copied / "s8")
    kept = [copied / name / "checkpoints" / "000000000320" for name in ("s3", "s5")]
    before = [path.stat().st_ino for path in kept]
    frankrl.resume(copied, progress=False)
    assert [path.stat().st_ino for path in kept] == before
    for run in group.runs:
        assert_same(run, copied / run.name)


def entries(folder):
    """The files in a folder but for what says which process drives a group, each by its inode and
    the time of its last change."""
    found = [path for path in folder.rglob("*") if ".driver" not in path.parts]
    return sorted(
        (str(path), path.lstat().st_ino, path.lstat().st_mtime_ns)
        for path in found
        if path.is_file() or path.is_symlink()
    )


def put_link(run, elsewhere):
    shutil.move(run, elsewhere)
    run.symlink_to(elsewhere)


def put_damaged(run, _):
    (run / "config.toml").write_text("garbage [")


def put_other_seed(run, _):
    shutil.rmtree(run)
    shutil.copytree(run.with_name("s3"), run)


def put_notes(run, _):
    shutil.rmtree(run / "checkpoints")
    (run / "notes.txt").write_text("mine")


def put_other_program(run, _):
    config = run / "config.toml"
    text = config.read_text().replace("[3, 8, 5]", "[3, 8, 6, 5]")
    config.write_text(text)


def put_damaged_checkpoints(run, _):
    for checkpoint in list_checkpoints(run / "checkpoints"):
        (checkpoint / "state.json").write_text("{}")


@pytest.mark.parametrize(
    ("put", "words"),
    [
        (put_link, "s5 is a link"),
        (put_damaged, "config.toml is damaged.*nothing in .* was changed"),
        (put_other_seed, "s5 holds another run: its seed is 3"),
        (put_other_program, "was trained with the seeds 3, 8, 6, 5"),
        (put_notes, "it also holds notes.txt: move that away$"),
        (put_damaged_checkpoints, "s5/checkpoints.*is damaged"),
    ],
)
def test_what_is_not_a_run_of_the_group_is_refused_before_any_run_is_changed(
    group, tmp_path, put, words
):
    copied = killed(group, tmp_path / "copy", 0)
    put(copied / "s5", tmp_path / "elsewhere")
    before = entries(copied), entries(tmp_path)
    with pytest.raises(RunFolderError if "another" not in words else FrankError, match=words):
        frankrl.resume(copied, progress=False)
    assert (entries(copied), entries(tmp_path)) == before


def test_a_run_that_another_process_trains_is_refused_before_any_run_is_changed(group, tmp_path):
    copied = killed(group, tmp_path / "copy", 0)
    with locked(copied / "s5", copied / "s5"):
        before = entries(copied)
        with pytest.raises(RunFolderError, match="s5 is being trained by another process"):
            frankrl.resume(copied, progress=False)
        assert entries(copied) == before


def failing(monkeypatch, name, seed, env_steps, error):
    """From an env step on, a method of the run of a seed fails."""
    method = getattr(Trainer, name)

    def fails(self, *arguments):
        if self.seed == seed and self.ticks >= env_steps:
            raise error
        return method(self, *arguments)

    monkeypatch.setattr(Trainer, name, fails)


def test_a_run_that_fails_is_saved_and_the_others_come_to_their_ends(group, tmp_path, monkeypatch):
    failing(monkeypatch, "_evaluate", 3, 320, EnvironmentFailedError("it broke"))
    out = tmp_path / "out"
    with pytest.raises(FrankError, match=r"1 run of .* failed \(s3\), the others are saved.*it br"):
        frankrl.train(ENV, seeds=[3, 8, 5], out=out, progress=False, **SHORT)
    for run in group.runs[1:]:
        assert_same(run, out / run.name)
    assert newest_intact(out / "s3").env_steps == 320
    monkeypatch.undo()
    frankrl.resume(out, progress=False)
    assert_same(group.runs[0], out / "s3")


def test_a_run_that_fails_within_a_round_keeps_its_last_checkpoint(group, tmp_path, monkeypatch):
    make_rounds = Trainer._rounds

    def checked(trainer, found):
        if trainer.seed == 8 and found.ticks > 400:
            raise EnvironmentFailedError("it broke")
        return found

    monkeypatch.setattr(
        Trainer, "_rounds", lambda self: (checked(self, each) for each in make_rounds(self))
    )
    out = tmp_path / "out"
    with pytest.raises(FrankError, match=r"failed \(s8\)"):
        frankrl.train(ENV, seeds=[3, 8, 5], out=out, progress=False, **SHORT)
    assert newest_intact(out / "s8").env_steps == 320
    monkeypatch.undo()
    frankrl.resume(out, progress=False)
    for run in group.runs:
        assert_same(run, out / run.name)


def test_a_run_that_diverged_is_over_and_is_not_begun_again(group, tmp_path, monkeypatch):
    failing(monkeypatch, "_take", 8, 400, DivergedError("training diverged at update 7"))
    out = tmp_path / "out"
    with pytest.raises(DivergedError, match=r"1 run of .* diverged \(s8\), the others are saved"):
        frankrl.train(ENV, seeds=[3, 8, 5], out=out, progress=False, **SHORT)
    monkeypatch.undo()
    before = entries(out / "s8")
    assert newest_intact(out / "s8").env_steps == 320
    result = frankrl.resume(out, progress=False)
    assert entries(out / "s8") == before
    assert "seed 8: ended at env step" in repr(result)
    assert "training diverged at update 7" in repr(result)
    assert "2 of 3 seeds (3, 8, 5)" in repr(result)
    assert result.final == score(np.array([group.outcomes[at].final_return for at in (0, 2)]))


def test_a_run_that_is_over_keeps_its_lane_when_the_others_go_on(group, tmp_path):
    copied = killed(group, tmp_path / "copy", 0)
    shutil.rmtree(copied / "s8")
    shutil.copytree(group.path / "s8", copied / "s8")
    frankrl.resume(copied, progress=False)
    for run in group.runs:
        assert_same(run, copied / run.name)


def test_runs_that_are_over_early_leave_their_lanes_and_the_last_one_goes_on(
    group, tmp_path, monkeypatch
):
    ends, is_over = {3: 320, 8: 480, 5: 640}, Trainer._is_over
    monkeypatch.setattr(
        Trainer, "_is_over", lambda self: is_over(self) or self.ticks >= ends[self.seed]
    )
    out = tmp_path / "out"
    result = frankrl.train(ENV, seeds=[3, 8, 5], out=out, progress=False, **SHORT)
    assert [each.env_steps for each in result.outcomes] == list(ends.values())
    assert_same(group.runs[2], out / "s5")
    for seed, until in ((3, 320), (8, 480)):
        ours, theirs = tables(out / f"s{seed}"), tables(group.path / f"s{seed}")
        assert repr(ours["training"]) == repr(
            [row for row in theirs["training"] if row[0] <= until]
        )


def test_a_stop_ends_all_runs_at_the_same_env_step_and_resuming_gives_the_same_bits(
    group, tmp_path, monkeypatch
):
    asked = 0

    def stops():
        nonlocal asked
        asked += 1
        return asked > 6

    stops.exit_status = 130

    class Signals:
        def __enter__(self):
            return stops

        def __exit__(self, *_):
            pass

    monkeypatch.setattr(seeds_train, "stop_signals", Signals)
    out = tmp_path / "stopped"
    with pytest.raises(KeyboardInterrupt, match=r"every run is saved, and frankrl\.resume"):
        frankrl.train(ENV, seeds=[3, 8, 5], out=out, progress=False, **SHORT)
    newest = [list_checkpoints(out / run.name / "checkpoints")[-1] for run in group.runs]
    at = {checkpoint.name for checkpoint in newest}
    assert len(at) == 1
    assert 0 < int(at.pop()) < SHORT["total_env_steps"]
    monkeypatch.undo()
    frankrl.resume(out, progress=False)
    for run in group.runs:
        assert_same(run, out / run.name)


@pytest.mark.slow
def test_seeds_that_do_not_fit_into_memory_together_are_several_programs(tmp_path, monkeypatch):
    monkeypatch.setattr(seeds_train, "lanes_in_memory", lambda experiment: 2)
    short = SHORT | {"total_env_steps": 160, "final_evaluation_episodes": "none"}
    result = frankrl.train(ENV, seeds=range(3), out=tmp_path / "out", progress=False, **short)
    programs = [RunFolder.open(run).description.batched_with for run in result.runs]
    assert programs == [(0, 1), (0, 1), (2,)]


def test_a_run_of_a_group_goes_on_alone_with_a_mark(group, tmp_path):
    copied = killed(group, tmp_path / "copy", 0)
    with pytest.warns(match="it was one program with the runs of other seeds"):
        result = frankrl.resume(copied / "s3", progress=False)
    (mark,) = result.not_reproducible
    assert mark["env_steps"] == 320


@pytest.mark.parametrize("runs_with_newer", [1, 2])
def test_runs_that_lost_their_buffers_go_on_although_they_have_done_fewer_updates(
    tmp_path, runs_with_newer
):
    without = SHORT | {"checkpoint_replay": "none"}
    group = frankrl.train(ENV, seeds=[3, 8, 5], out=tmp_path / "g", progress=False, **without)
    copied = killed(group, tmp_path / "copy", runs_with_newer)
    with pytest.warns(match="holds no replay buffer"):
        again = frankrl.resume(copied, progress=False)
    assert [each.env_steps for each in again.outcomes] == [640] * 3
    updates = [json.loads((run / "report.json").read_text())["updates"] for run in again.runs]
    assert len(set(updates[:runs_with_newer])) == len(set(updates[runs_with_newer:])) == 1
    assert updates[0] > updates[-1]


def test_a_checkpoint_that_cannot_be_written_is_told(tmp_path, monkeypatch):
    def fails(*given):
        raise OSError(errno.ENOSPC, "no space is left")

    monkeypatch.setattr(checkpoint_writer, "save_checkpoint", fails)
    with (
        pytest.warns(match=r"the run of seed [38]: writing failed at env step"),
        pytest.raises(FrankError, match="no space is left"),
    ):
        frankrl.train(ENV, seeds=[3, 8], out=tmp_path / "out", progress=False, **SHORT)


def test_a_disk_that_is_too_small_for_all_runs_is_refused_beforehand(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=100_000)
    monkeypatch.setattr(preflight.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(MachineError, match="the checkpoints of 64 runs with"):
        frankrl.train(ENV, seeds=range(64), out=tmp_path / "out", progress=False, **SHORT)
    assert not (tmp_path / "out").exists()


def test_a_program_that_does_not_fit_is_refused(group, tmp_path, monkeypatch):
    copied = killed(group, tmp_path / "copy", 0)
    monkeypatch.setattr(memory, "_lane_bytes", lambda experiment: 2**50)
    before = entries(copied)
    with pytest.raises(MachineError, match="the runs of 3 seeds as one program take about"):
        frankrl.resume(copied, progress=False)
    assert entries(copied) == before
    # What is over can be read, whatever there is room for.
    again = frankrl.resume(group.path, progress=False)
    assert again.outcomes == group.outcomes


def test_each_run_needs_the_disk_for_what_it_lacks(group, tmp_path, monkeypatch):
    copied, asked = killed(group, tmp_path / "copy", 1), []
    shutil.rmtree(copied / "s8")
    monkeypatch.setattr(lanes, "check_disk", lambda *given, already: asked.append(already))
    frankrl.resume(copied, progress=False)
    assert asked == [[2, 0, 1]]


def test_jax_in_64_bits_changes_nothing(tmp_path):
    short = SHORT | {"total_env_steps": 160, "final_evaluation_episodes": "none"}
    env_id = "frankrl/MountainCar-functional-v0"
    one = frankrl.train(env_id, seeds=range(2), out=tmp_path / "one", progress=False, **short)
    with jax.enable_x64(True):
        other = frankrl.train(
            env_id, seeds=range(2), out=tmp_path / "other", progress=False, **short
        )
    for first, second in zip(one.runs, other.runs, strict=True):
        assert_same(first, second)


def test_a_group_without_runs_stays_where_another_process_drives_it(tmp_path):
    about = RunDescription(ENV, "default", 0, frankrl.Settings().resolved())
    group = RunGroup.create(tmp_path / "group", about, (0, 1), 0)
    with driven(group.path), pytest.raises(FrankError, match="being written by"):
        frankrl.resume(group.path, progress=False)
    assert RunGroup.open(group.path).seeds == (0, 1)


def test_trackers_are_refused(tmp_path):
    with pytest.raises(SettingError, match="have no trackers: leave log out"):
        frankrl.train(ENV, seeds=range(2), out=tmp_path / "out", log=["tensorboard"], **SHORT)
    assert not (tmp_path / "out").exists()


@pytest.mark.as_compiled_for_users
def test_an_update_of_a_run_in_a_lane_is_opened_to_the_same_bits(group):
    # Everything that the run recorded is compared on the way; a difference would be an error.
    record = frankrl.explain(group.runs[1], update=70, progress=False)
    assert record.update == 70


def test_a_run_whose_first_observation_is_impossible_does_not_keep_the_others(tmp_path):
    # Only evaluations would begin more episodes.
    unused = ("evaluation_episodes", "evaluate_every_env_steps", "final_evaluation_episodes")
    short = {name: value for name, value in SHORT.items() if name not in unused}
    short |= {"evaluate_every_env_steps": None, "final_evaluation_episodes": None}
    env = "functional:functional_stand_ins:SometimesNowhere"
    out = tmp_path / "group"
    with pytest.raises(FrankError, match=r"runs of .* failed .*, the others are saved") as told:
        frankrl.train(env, seeds=range(6), out=out, progress=False, **short)
    assert "gave an observation that is not finite" in str(told.value)
    over = [seed for seed in range(6) if (out / f"s{seed}" / "report.json").exists()]
    failed = [seed for seed in range(6) if seed not in over]
    assert over
    assert failed
    named = ", ".join(f"s{seed}" for seed in failed)
    assert f"{len(failed)} runs of {out} failed ({named})" in str(told.value)
