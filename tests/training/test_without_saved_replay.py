"""Runs whose checkpoints leave the replay buffer out, and how they go on."""

import shutil

import numpy as np
import pytest
from robustness.runs import contents, killed_copy
from safetensors.numpy import load_file

import frankrl
from frankrl.core.errors import DamagedError, FrankWarning, RunFolderError
from frankrl.dashboard.work.diagnostics import diagnose
from frankrl.explaining import openable, reopen
from frankrl.replay import UniformSampler
from frankrl.runs import RunFolder, list_checkpoints

pytestmark = pytest.mark.slow

STARTS, NUM_ENVS = 60, 2
QUICK = {
    "preset": "default",
    "hidden_widths": (8,),
    "batch_size": 8,
    "num_envs": NUM_ENVS,
    "n_step": 3,
    "learning_starts_env_steps": STARTS,
    "log_every_env_steps": 50,
    "evaluate_every_env_steps": None,
    "final_evaluation_episodes": None,
    "total_env_steps": 400,
    "checkpoint_every_env_steps": 100,
}
ENDED = 400 - STARTS + NUM_ENVS
"""Updates of an undisturbed run: one for each env step from the round that reaches the start."""


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The same run with and without the buffer in its checkpoints."""
    folder = tmp_path_factory.mktemp("runs")
    for choice in ("all", "none"):
        chosen = QUICK | {"checkpoint_replay": choice}
        frankrl.train("CartPole-v1", out=folder / choice, **chosen)
    return folder


@pytest.fixture
def half(runs, tmp_path):
    return killed_copy(runs / "none", tmp_path / "half")


@pytest.fixture
def continued(half):
    with pytest.warns(FrankWarning, match="holds no replay buffer"):
        frankrl.resume(half)
    return half


def newest(run):
    return list_checkpoints(run / "checkpoints")[-1]


def updates(run):
    """Updates of the newest checkpoint, by its optimiser."""
    return int(load_file(newest(run) / "optimiser.safetensors")["[1]"])


def test_leaving_the_buffer_out_changes_nothing_else(runs):
    with_it, without = contents(runs / "all"), contents(runs / "none")
    assert {"replay.safetensors"} == set(with_it) - set(without)
    assert {name: with_it[name] for name in without} == without
    assert updates(runs / "none") == ENDED


def test_a_run_that_continues_says_so_and_collects_before_it_updates(half, monkeypatch):
    requests = []
    real = UniformSampler.draws

    def draws(self, seed, request):
        requests.append(request)
        return real(self, seed, request)

    monkeypatch.setattr(UniformSampler, "draws", draws)
    with pytest.warns(
        FrankWarning,
        match=r"not bit-exact from env step 300, because its checkpoint holds no replay buffer "
        r"\(checkpoint_replay none, .*\): it begins with an empty one and collects 60 env steps",
    ):
        result = frankrl.resume(half)
    assert [mark["env_steps"] for mark in result.not_reproducible] == [300]
    assert result.env_steps == 400
    # One update per env step again, from the round that reaches the start once more.
    before = 300 - STARTS + NUM_ENVS
    assert requests[0].ticks == 300 + STARTS
    assert requests[0].first_update == before
    assert all(request.first == 300 for request in requests)
    assert [request.end for request in requests] == [r.ticks - 4 for r in requests]
    assert updates(half) == before + 100 - STARTS + NUM_ENVS


def test_a_run_can_go_on_so_again_and_again(continued):
    with pytest.warns(FrankWarning, match="not bit-exact from env step 400"):
        result = frankrl.resume(continued, total_env_steps=500)
    assert [mark["env_steps"] for mark in result.not_reproducible] == [300, 400]
    assert updates(continued) == ENDED - 2 * (STARTS - NUM_ENVS) + 100


def test_a_buffer_that_was_saved_is_used_and_left_out_from_then_on(runs, tmp_path):
    half = killed_copy(runs / "all", tmp_path / "half")
    assert frankrl.resume(half, checkpoint_replay="none").not_reproducible == []
    assert contents(half) == contents(runs / "none")


@pytest.mark.parametrize("also", ["", "optimiser.safetensors"])
def test_a_run_whose_buffer_is_damaged_in_all_checkpoints_goes_on_without_it(runs, tmp_path, also):
    half = killed_copy(runs / "all", tmp_path / "half")
    for path in list_checkpoints(half / "checkpoints"):
        for name in ("replay.safetensors", *filter(None, [also])):
            content = bytearray((path / name).read_bytes())
            content[-1] ^= 1
            (path / name).write_bytes(content)
    with pytest.raises(DamagedError, match=r"is damaged.*nor is any.*'none' goes on"):
        frankrl.resume(half)
    if also:
        with pytest.raises(DamagedError, match=r"optimiser.safetensors is damaged.*nor is any"):
            frankrl.resume(half, checkpoint_replay="none")
        return
    with pytest.warns(FrankWarning, match="holds no replay buffer"):
        result = frankrl.resume(half, checkpoint_replay="none")
    assert result.env_steps == 400
    assert [mark["env_steps"] for mark in result.not_reproducible] == [300]


def test_updates_before_the_gap_are_opened_from_the_beginning(continued):
    folder = RunFolder.open(continued)
    reached, starts = openable(folder)
    assert (reached, starts) == (updates(continued), [])
    for update in (1, 300 - STARTS + NUM_ENVS):
        opened = reopen(folder, update)
        assert opened.record.update == update
        assert opened.cost.first_tick == 0
        assert opened.cost.verified_tick <= 300


def test_updates_behind_the_gap_are_refused_in_one_sentence(continued):
    folder = RunFolder.open(continued)
    words = r"from env step 300, because .* no replay buffer .*: updates up to 242 can be opened"
    for update in (243, updates(continued)):
        with pytest.raises(RunFolderError, match=words):
            reopen(folder, update)


def test_updates_behind_a_checkpoint_that_holds_the_new_buffer_are_opened_from_it(half):
    chosen = {"checkpoint_replay": "all", "checkpoint_every_env_steps": 50}
    with pytest.warns(FrankWarning, match="holds no replay buffer"):
        frankrl.resume(half, total_env_steps=450, **chosen)
    folder = RunFolder.open(half)
    _, starts = openable(folder)
    assert [start.env_steps for start in starts] == [350, 400, 450]
    for update, first in ((243, 350), (280, 350), (290, 400), (updates(half), 400)):
        opened = reopen(folder, update)
        assert (opened.record.update, opened.cost.first_tick) == (update, first)
        assert opened.record.transition_env_steps.min() >= 300
    # And what was killed after the gap goes on from there exactly.
    whole = contents(half)
    shutil.rmtree(newest(half))
    again = frankrl.resume(half, total_env_steps=450)
    assert [mark["env_steps"] for mark in again.not_reproducible] == [300]
    assert contents(half) == whole


def test_the_dashboards_diagnostics_know_that_there_are_no_states(continued):
    diagnostics = diagnose(RunFolder.open(continued))
    assert diagnostics["states"] == 0
    assert diagnostics["transitions"] == 100 - 2 * NUM_ENVS


def test_environments_that_do_not_replay_end_no_episode_of_an_empty_buffer(half, monkeypatch):
    from frankrl.environments import gymnasium_vector

    real = gymnasium_vector.GymnasiumVector.restore

    def altered(self, logs):
        logs[1].actions[-1] ^= 1
        return real(self, logs)

    monkeypatch.setattr(gymnasium_vector.GymnasiumVector, "restore", altered)
    with pytest.warns(FrankWarning) as told:
        frankrl.resume(half, checkpoint_replay="all")
    assert any("environment 1 did not replay" in str(warning.message) for warning in told)
    steps = load_file(newest(half) / "replay.safetensors")
    assert len(steps[".steps.action"]) == 100
    assert int(steps[".num_endings"]) == np.count_nonzero(steps[".steps.ending"])
