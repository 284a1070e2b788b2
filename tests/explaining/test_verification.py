"""A repeated run is held against all that the run has recorded; where it differs, it is refused."""

import itertools
import random
import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from types import SimpleNamespace

import gymnasium
import jax.numpy as jnp
import numpy as np
import pytest
from gymnasium import spaces
from in_memory import experiment_of

import frankrl
from frankrl.config import Settings
from frankrl.core.errors import FrankWarning, RunFolderError, SettingError
from frankrl.explaining import cost_of, reopen
from frankrl.explaining.verification import Verification
from frankrl.runs import RunFolder, list_checkpoints
from frankrl.training import init_train_state, replay_place
from frankrl.training.state import ReplayStart

pytestmark = pytest.mark.slow

SETTINGS = {
    "preset": "default",
    "hidden_widths": (8,),
    "num_envs": 3,
    "learning_starts_env_steps": 60,
    "batch_size": 8,
    "log_every_env_steps": 60,
    "evaluate_every_env_steps": 10_000,
    "evaluation_episodes": 1,
    "final_evaluation_episodes": 1,
    "checkpoint_every_env_steps": 240,
    "total_env_steps": 600,
}
UPDATE = 300
"""Its round ends at env step 360, the newest checkpoint before it is at 240."""
INSTANCES = itertools.count()


class Unrepeatable(gymnasium.Env):
    """Episodes of ten steps; what of them is not a function of seed and actions is told."""

    observation_space = spaces.Box(-np.inf, np.inf, (2,), np.float32)
    action_space = spaces.Discrete(2)

    def __init__(self, what=""):
        self._what = what
        self._own = np.random.default_rng()
        self._number = next(INSTANCES)
        self._at = self._shown = 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._at = 0
        return self._state(), {}

    def step(self, action):
        self._at += 1
        reward = self._own.normal() if self._what == "reward" else float(action)
        if self._what == "module":
            reward = random.random()
        return self._state(), reward, self._at == self._length(), False, {}

    def _length(self):
        return 10 + (self._number % 7 if self._what == "length" else 0)

    def _state(self):
        self._shown += 1
        is_own = self._what == "observation" or (self._what == "later" and self._shown > 70)
        shown = (self._own if is_own else self.np_random).normal()
        return np.array([self._at, shown], np.float32)


gymnasium.register("Unrepeatable-v0", Unrepeatable)


def run_of(what, path, **changes):
    chosen = SETTINGS | changes | {"env_kwargs": {"what": what}}
    frankrl.train("Unrepeatable-v0", out=path, **chosen)
    return RunFolder.open(path)


@pytest.fixture(scope="module")
def exact(tmp_path_factory):
    return run_of("", tmp_path_factory.mktemp("exact") / "run")


@pytest.mark.parametrize("what", ["reward", "observation", "length", "module"])
@pytest.mark.parametrize("update", [20, UPDATE])
def test_an_environment_that_does_not_repeat_is_refused(what, update, tmp_path):
    folder = run_of(what, tmp_path / "run")
    words = r"does not repeat: environment \d"
    with pytest.raises(RunFolderError, match=words) as caught:
        reopen(folder, update)
    assert "an environment must depend on its seed and the actions only" in str(caught.value)


def test_the_environment_and_the_step_are_named_where_a_checkpoint_still_holds_it(tmp_path):
    folder = run_of("observation", tmp_path / "run")
    with pytest.raises(RunFolderError, match="environment 0 does something else at env step 0"):
        reopen(folder, 20)
    for checkpoint in list_checkpoints(folder.checkpoints):
        shutil.rmtree(checkpoint)
    with pytest.raises(RunFolderError, match=r"environment 0 .* between the env steps 0 and 60"):
        reopen(folder, 20)


def test_updates_before_the_first_difference_can_be_opened_and_are_named(tmp_path):
    folder = run_of("later", tmp_path / "run", checkpoint_every_env_steps=10_000)
    assert reopen(folder, 20).record.update == 20
    # With their first states, three environments have shown 70 states each by env step 192.
    settings = folder.description.settings
    words = rf"at env step 19\d .* no update after {settings.updates_due(180)} can be opened"
    with pytest.raises(RunFolderError, match=words):
        reopen(folder, UPDATE)


def test_what_repeats_is_checked_up_to_the_next_record(exact):
    cost = cost_of(exact, UPDATE + 10)
    assert (cost.first_tick, cost.last_tick, cost.verified_tick) == (240, 369, 420)
    opened = reopen(exact, UPDATE + 10)
    assert opened.record.update == UPDATE + 10
    assert opened.state.ticks == 420
    # Here the next record is the last checkpoint.
    assert cost_of(exact, 540).verified_tick == 600


def test_an_update_is_refused_before_its_rounds_if_a_copy_of_the_state_does_not_fit(
    exact, monkeypatch
):
    monkeypatch.setattr(replay_place, "available_memory", lambda: 1)
    with pytest.raises(SettingError, match="is opened with a copy of the replay buffer"):
        reopen(exact, UPDATE, lambda done, of: pytest.fail("a round was repeated"))


TAMPERED = {
    "episodes": ("UPDATE episodes SET episode_return = 99 WHERE env_steps > 240", "environment"),
    "missing": ("DELETE FROM episodes WHERE env_steps BETWEEN 241 AND 300", "environment"),
    "digests": ("UPDATE digests SET env_digests = '0 0 0' WHERE env_steps = 300", "environment 0"),
    "no digests": ("DELETE FROM digests", "environment 0"),
    "training": ("UPDATE training SET loss = loss + 1e-9", "the metrics of its updates differ"),
}


def tamper(run, statement):
    with closing(sqlite3.connect(run / "metrics.sqlite")) as connection, connection:
        connection.execute(statement)


@pytest.mark.parametrize("name", TAMPERED)
def test_every_record_on_the_way_must_come_out_again(exact, tmp_path, name):
    statement, words = TAMPERED[name]
    shutil.copytree(exact.path, tmp_path / "run")
    tamper(tmp_path / "run", statement)
    folder = RunFolder.open(tmp_path / "run")
    with pytest.raises(RunFolderError, match=f"does not repeat: {words}"):
        reopen(folder, UPDATE)


def test_elsewhere_only_the_environments_are_compared(exact, tmp_path):
    shutil.copytree(exact.path, tmp_path / "run")
    statement, _ = TAMPERED["training"]
    tamper(tmp_path / "run", statement)
    config = tmp_path / "run" / "config.toml"
    config.write_text(config.read_text("utf-8").replace('r = "cpu"', 'r = "a GPU"'), "utf-8")
    folder = RunFolder.open(tmp_path / "run")
    with pytest.warns(FrankWarning, match="accelerator was 'a GPU'"):
        assert reopen(folder, 20).record.update == 20


@pytest.mark.parametrize(
    ("changed", "expected"), [(38, 38), (40, None), (41, None)], ids=["step", "now", "and now"]
)
def test_no_step_is_named_by_the_row_of_a_current_observation(changed, expected):
    """Env step 40 has not been done yet; its observation lies in the row of an old step."""
    small = {"num_envs": 2, "batch_size": 4, "learning_starts_env_steps": 16}
    settings = Settings().with_changes(replay_capacity=16, hidden_widths=(4,), **small)
    experiment = experiment_of("Unrepeatable-v0", settings, seed=0)
    state = init_train_state(experiment)._replace(ticks=40)
    observation = np.array(state.replay.observation)
    observation[changed % experiment.replay.num_rows] += 1
    theirs = state._replace(replay=replace(state.replay, observation=jnp.array(observation)))
    verification = object.__new__(Verification)
    verification._experiment, verification._verified = experiment, 0
    metadata = SimpleNamespace(replay_start=ReplayStart())
    found = SimpleNamespace(state=theirs, metadata=metadata)
    verification._checkpoint_from = lambda env_steps: found
    assert experiment.replay.num_rows < 40
    assert verification._first_difference(state) == expected
