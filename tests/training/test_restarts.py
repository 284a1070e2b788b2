"""Runs whose environments fail and are made anew: whole transitions, exact resumes, a record."""

import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from failing_envs import LENGTH, Failing
from long_forms import some_of
from robustness.runs import contents, killed_copy

import frankrl
from frankrl.core.errors import EnvironmentFailedError, FrankWarning, SettingError
from frankrl.core.random import RESET_SEEDS, Use, reset_seed
from frankrl.runs import MetricsReader, RunFolder, list_checkpoints
from frankrl.training import EnvironmentRestarted
from frankrl.training.preparing import prepare_resume

pytestmark = pytest.mark.slow

ENV = "failing_envs:Failing-v0"
SETTINGS = {
    "preset": "default",
    "seed": 0,
    "worker_processes": 0,
    "hidden_widths": (8,),
    "batch_size": 8,
    "num_envs": 3,
    "learning_starts_env_steps": 60,
    "log_every_env_steps": 100,
    "evaluate_every_env_steps": 100,
    "checkpoint_every_env_steps": 60,
    "evaluation_episodes": 2,
    "final_evaluation_episodes": 2,
    "keep_checkpoints": 99,
    "total_env_steps": 360,
    "restart_failed_envs": 50,
    "env_kwargs": {"share": 0.3},
}
VARIANTS = {
    "overlap": {},
    "n steps, several a round": {"n_step": 3, "vector_steps_per_round": 4, "overlap": False},
    "stacked, by priority, in a reset": {
        "replay_sampling": "prioritised",
        "frame_stack": 2,
        "env_kwargs": {"share": 0.3, "how": "reset"},
    },
}


def table(run, name):
    reader = MetricsReader(RunFolder.open(run).metrics)
    try:
        return {column: list(values) for column, values in reader.columns(name).items()}
    finally:
        reader.close()


@pytest.fixture(scope="module", params=some_of(VARIANTS, ["n steps, several a round"]))
def run(request, tmp_path_factory):
    path, seen = tmp_path_factory.mktemp("whole") / "run", []
    settings = SETTINGS | VARIANTS[request.param]
    result = frankrl.train(ENV, out=path, on_event=seen.append, **settings)
    events = [event for event in seen if isinstance(event, EnvironmentRestarted)]
    return path, result, events


def test_failures_are_counted_shown_and_recorded(run):
    path, result, events = run
    assert len(events) > 3
    assert not result.not_reproducible
    restarts = [event._asdict() for event in events]
    assert result.environment_restarts == restarts
    assert json.loads((path / "report.json").read_bytes())["environment_restarts"] == restarts
    columns = table(path, "environment_restarts")
    assert sorted(zip(*columns.values(), strict=True)) == sorted(events)
    assert "the wheel came off" in events[0].reason
    episodes = table(path, "episodes")
    # Of a dropped episode nothing is counted.
    assert set(episodes["length"]) == {LENGTH}
    finished = set(zip(episodes["env_index"], episodes["episode"], strict=True))
    assert not finished & {(event.env_index, event.episode) for event in events}


def test_a_killed_run_fails_again_where_it_failed_and_comes_to_the_same_bits(run, tmp_path):
    path, _, events = run
    before = next(s for s in range(120, 360, 60) if any(s < e.env_steps <= s + 60 for e in events))
    assert events[0].env_steps < before
    killed = killed_copy(path, tmp_path / "killed", before)
    frankrl.resume(killed)
    assert contents(killed) == contents(path)


def test_no_transition_leads_from_one_episode_into_another(run):
    path, _, _ = run
    folder = RunFolder.open(path)
    training = prepare_resume(folder, folder.description.settings)
    try:
        replay, state = training.experiment.replay, training.state().replay
        settings = training.settings
    finally:
        training.close()
    n, gamma = settings.replay.n_step, settings.learning.gamma
    steps = jnp.arange(*replay.drawable(360), dtype=jnp.uint32)
    found = replay.read(state, steps)
    spans = np.asarray(replay.spans(state, steps).num_steps)
    seen, arrived = (np.asarray(x) for x in (found.observation, found.next_observation))
    if settings.pixels.frame_stack:
        # Of a stack, the newest; what stands before it is of the same episode, or nothing.
        stacks = seen
        seen, arrived = seen[:, -1], arrived[:, -1]
        first = seen[:, 1] == 0
        assert (stacks[first, 0] == 0).all()
        np.testing.assert_array_equal(stacks[~first, 0, 0], seen[~first, 0])
    np.testing.assert_array_equal(seen[:, 0], arrived[:, 0])
    np.testing.assert_array_equal(seen[:, 1] + spans, arrived[:, 1])
    np.testing.assert_allclose(found.discount, gamma**spans, rtol=1e-6)
    is_short = spans < n
    assert (is_short <= np.isin(arrived[:, 1], [LENGTH, 3])).all()
    if settings.environment.env_kwargs.get("how") != "reset" and n > 1:
        assert (arrived[is_short, 1] == 3).any()


@pytest.mark.parametrize("fewer_allowed", [False, True])
def test_an_update_across_a_failure_is_the_same_as_from_a_checkpoint_after_it(
    run, tmp_path, fewer_allowed
):
    path, _, events = run
    failed = next(event.env_steps for event in events if event.env_steps > 60)
    after = -(-failed // 60) * 60
    update = after - SETTINGS["learning_starts_env_steps"] + 30
    near = frankrl.explain(path, update=update)
    across = tmp_path / "across"
    shutil.copytree(path, across)
    if fewer_allowed:
        frankrl.resume(across, restart_failed_envs=0)
    for checkpoint in list_checkpoints(across / "checkpoints"):
        if failed <= int(checkpoint.name) < 360:
            shutil.rmtree(checkpoint)
    far = frankrl.explain(across, update=update)
    assert far.update == near.update == update
    assert after < near.env_steps < after + 60
    found, wanted = (
        [x for x in jax.tree.leaves(vars(record)) if isinstance(x, np.ndarray | float)]
        for record in (far, near)
    )
    assert len(found) > 10
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_failure_beyond_those_allowed_ends_the_run_and_more_can_be_allowed(tmp_path):
    frankrl.train(ENV, out=tmp_path / "whole", **SETTINGS)
    few = SETTINGS | {"restart_failed_envs": 2}
    with pytest.raises(EnvironmentFailedError, match=r"the wheel came off.*is saved up to"):
        frankrl.train(ENV, out=tmp_path / "run", **few)
    assert len(table(tmp_path / "run", "environment_restarts")["reason"]) == 2
    # The two that were used stay used.
    with pytest.raises(EnvironmentFailedError, match="the wheel came off"):
        frankrl.resume(tmp_path / "run")
    frankrl.resume(tmp_path / "run", restart_failed_envs=50)
    assert contents(tmp_path / "run") == contents(tmp_path / "whole")


def test_own_metrics_of_a_round_are_whole_if_a_restart_is_refused(tmp_path):
    def metrics(event):
        return {type(event).__name__: event.env_steps}

    def refuse(event):
        if isinstance(event, EnvironmentRestarted):
            raise RuntimeError("no more")

    settings = SETTINGS | {"log_every_env_steps": 3}
    whole, run = tmp_path / "whole", tmp_path / "run"
    frankrl.train(ENV, out=whole, metrics=metrics, **settings)
    with pytest.raises(RuntimeError, match="no more"):
        frankrl.train(ENV, out=run, metrics=metrics, on_event=refuse, **settings)
    frankrl.resume(run, metrics=metrics)
    assert table(run, "own_metrics") == table(whole, "own_metrics")


def failing_once(monkeypatch, fails):
    """Let the environment fail once in each episode whose seed fits."""
    failed, real_reset = set(), Failing.reset

    def reset(self, *, seed=None, options=None):
        self.given = seed
        return real_reset(self, seed=seed, options=options)

    def fail_once(self, at):
        if self.steps == 5 and self.given not in failed and fails(self.given):
            failed.add(self.given)
            raise RuntimeError("the wheel came off")
        return False

    monkeypatch.setattr(Failing, "reset", reset)
    monkeypatch.setattr(Failing, "_fail", fail_once)
    return failed


def test_a_failure_that_does_not_come_again_marks_the_run(tmp_path, monkeypatch):
    seed = reset_seed(0, Use.TRAINING_RESET, 1, 2)
    failing_once(monkeypatch, lambda given: given == seed)
    with pytest.warns(FrankWarning, match="not bit-exact from env step .* did not fail again"):
        result = frankrl.train(ENV, out=tmp_path / "run", **SETTINGS)
    (restart,) = result.environment_restarts
    (mark,) = result.not_reproducible
    assert mark["env_steps"] <= restart["env_steps"] <= mark["env_steps"] + 3
    assert table(tmp_path / "run", "not_reproducible")["env_steps"] == [mark["env_steps"]]


@pytest.mark.parametrize(
    ("use", "processes"),
    some_of([("EVALUATION_RESET", 0), ("TRAINING_RESET", 1)], [("EVALUATION_RESET", 0)]),
)
def test_without_restarts_what_stands_is_saved_wherever_an_environment_fails(
    use, processes, tmp_path
):
    """Also in the middle of an evaluation, and in a worker process."""
    broken = tmp_path / "broken"
    kwargs = {"use": use, "while_there": str(broken), "share": 0.6, "at": 7}
    settings = SETTINGS | {"restart_failed_envs": 0, "env_kwargs": kwargs, "num_envs": 2}
    settings |= {"total_env_steps": 160, "worker_processes": processes}
    frankrl.train(ENV, out=tmp_path / "whole", **settings)
    broken.touch()
    with pytest.raises(EnvironmentFailedError, match=r"the wheel came off.*is saved up to"):
        frankrl.train(ENV, out=tmp_path / "run", **settings)
    broken.unlink()
    frankrl.resume(tmp_path / "run")
    assert contents(tmp_path / "run") == contents(tmp_path / "whole")


def test_an_episode_of_an_evaluation_is_played_once_more(tmp_path, monkeypatch):
    whole = tmp_path / "whole"
    settings = SETTINGS | {"total_env_steps": 120, "env_kwargs": {"share": 0.0}}
    frankrl.train(ENV, out=whole, **settings)
    failed = failing_once(monkeypatch, lambda given: given in RESET_SEEDS[Use.EVALUATION_RESET])
    with pytest.warns(FrankWarning, match="this episode of the evaluation is played again"):
        result = frankrl.train(ENV, out=tmp_path / "run", **settings)
    assert len(failed) > 3
    assert result.environment_restarts == result.not_reproducible == []
    assert contents(tmp_path / "run") == contents(whole)
    monkeypatch.undo()
    with (
        pytest.warns(FrankWarning, match="is played again"),
        pytest.raises(EnvironmentFailedError, match="the wheel came off"),
    ):
        frankrl.train(
            ENV,
            out=tmp_path / "again",
            **SETTINGS | {"env_kwargs": {"share": 1.0, "use": "EVALUATION_RESET"}},
        )


def test_envpool_cannot_make_one_environment_anew():
    with pytest.raises(SettingError, match="cannot make one of its environments anew"):
        frankrl.Settings().with_changes(backend="envpool", restart_failed_envs=1)
