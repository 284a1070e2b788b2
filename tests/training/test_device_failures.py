"""What an environment on the device may not give ends a run as on the host, with all before it."""

import re
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
import pytest
from gymnasium import spaces
from long_forms import some_of

import frankrl
from frankrl.core.errors import EnvironmentFailedError
from frankrl.environments.functional.protocol import FunctionalStep
from frankrl.runs import list_checkpoints, load_checkpoint
from frankrl.training.device import rounds


@dataclass(frozen=True)
class Failing:
    """Counts the env steps of an episode; says what is wrong with the one numbered `at`."""

    wrong: str = ""
    at: int = 3
    length: int = 4

    action_space = spaces.Discrete(2)
    reward_threshold = None
    max_episode_steps = None

    @property
    def observation_space(self):
        if self.wrong == "index":
            return spaces.Discrete(8, start=2)
        return spaces.Box(-9, 99, (2,), np.float32)

    def _shown(self, count):
        is_wrong = count == self.at
        mask = jnp.array([True, True]) & ~(is_wrong & (self.wrong == "mask"))
        if self.wrong == "index":
            return jnp.where(is_wrong, 10, 2 + count), mask
        shown = jnp.stack([count, count]).astype(jnp.float32)
        if self.wrong == "observation":
            shown = jnp.where(is_wrong, shown.at[1].set(jnp.inf), shown)
        return shown, mask

    def reset(self, key):
        count = jnp.zeros((), jnp.int32)
        return count, *self._shown(count)

    def step(self, count, action, key):
        after = count + 1
        reward = jnp.float32(1)
        if self.wrong == "reward":
            reward = jnp.where(after == self.at, jnp.nan, reward)
        ended = after == self.length
        return after, FunctionalStep(*self._shown(after), reward, jnp.array(False), ended)


RUN = {
    "preset": "default",
    "hidden_widths": (8,),
    "num_envs": 1,
    "n_step": 1,
    "learning_starts_env_steps": 2,
    "replay_capacity": 8,
    "batch_size": 4,
    "evaluate_every_env_steps": None,
    "final_evaluation_episodes": None,
    "total_env_steps": 40,
}


def failure(tmp_path, source, wrong, at=3, length=4, **changes):
    with pytest.raises(EnvironmentFailedError) as error:
        frankrl.train(
            Failing(wrong, at, length), out=tmp_path / source, source=source, **RUN | changes
        )
    text = re.sub(r"\(\S*Failing\S*\)", "(…)", str(error.value))
    return text.replace(str(tmp_path / source), "RUN")


WRONG = [
    ("reward", "gave the reward nan"),
    ("observation", "an observation that is not finite (component 1 of 2)"),
    ("index", "an observation that holds 8, which its space does not"),
    ("mask", "an action mask that allows no action while its episode goes on"),
]


@pytest.mark.parametrize(("wrong", "sentence"), some_of(WRONG, WRONG[:1]))
def test_it_is_said_as_on_the_host_and_all_before_is_saved(wrong, sentence, tmp_path):
    found = failure(tmp_path, "device", wrong)
    assert sentence in found
    assert "episode 0, step 3 " in found
    assert "saved up to env step 2" in found
    assert found == failure(tmp_path, "host", wrong)
    (checkpoint,) = list_checkpoints(tmp_path / "device" / "checkpoints")
    assert int(checkpoint.name) == 2


def test_with_the_first_reset_nothing_begins(tmp_path):
    found = failure(tmp_path, "device", "mask", at=0)
    assert "episode 0, step 0 gave an action mask" in found
    assert not (tmp_path / "device").exists()


def tensors(run, env_steps):
    (path,) = [p for p in list_checkpoints(run / "checkpoints") if int(p.name) == env_steps]
    files = ("q_network", "target_network", "optimiser", "replay", "environments")
    found = load_checkpoint(path, dict.fromkeys(files, 10**8)).tensors
    return {(file, name): array for file in found for name, array in found[file].items()}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "saved"),
    [
        (
            {"replay_sampling": "prioritised", "priority_beta_env_steps": 99, "overlap": True},
            14,
        ),
        pytest.param(
            {"num_envs": 2, "vector_steps_per_round": 4, "learning_starts_env_steps": 8},
            24,
            marks=pytest.mark.slow,
        ),
    ],
)
def test_what_is_saved_is_what_a_run_without_the_failure_had_there(changes, saved, tmp_path):
    """The buffer is full by then, so that the failed round would have overwritten old steps."""
    settings = RUN | {"total_env_steps": 48} | changes
    found = failure(tmp_path, "device", "reward", at=15, length=20, **settings)
    assert f"saved up to env step {saved}" in found
    assert "episode 0, step 15 gave the reward nan" in found
    # It ends before the failure: the same program, compiled once.
    healthy = settings | {"total_env_steps": saved}
    run = frankrl.train(Failing("reward", 15, 20), out=tmp_path / "healthy", **healthy).run
    ours, theirs = tensors(tmp_path / "device", saved), tensors(run, saved)
    assert ours.keys() == theirs.keys()
    for name, array in ours.items():
        np.testing.assert_array_equal(array, theirs[name], err_msg=str(name))


def test_the_episode_is_named_even_where_the_step_cannot_be_looked_at_again(tmp_path, monkeypatch):
    monkeypatch.setattr(rounds, "check_round", lambda *given: None)
    found = failure(tmp_path, "device", "reward", at=4, length=4)
    assert "episode 0, env step 4 of the run gave a reward" in found


@pytest.mark.slow
def test_a_round_of_pqn_says_it_too(tmp_path):
    changes = {
        "preset": "pqn",
        "vector_steps_per_round": 4,
        "minibatches": 2,
        "num_envs": 2,
        "total_env_steps": 80,
    }
    settings = {name: RUN[name] for name in ("hidden_widths", "evaluate_every_env_steps")}
    settings["final_evaluation_episodes"] = None
    with pytest.raises(EnvironmentFailedError, match=r"step 15 gave the reward nan.*env step 24:"):
        frankrl.train(Failing("reward", 15, 20), out=tmp_path / "run", seed=0, **settings | changes)
