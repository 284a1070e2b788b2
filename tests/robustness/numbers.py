"""A number that is not finite, put in at each place where one could arise."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
from gymnasium import spaces

import frankrl
from frankrl.core.errors import DivergedError, EnvironmentFailedError
from frankrl.learning import batch_loss, learner, loss_terms
from frankrl.opening import open_network
from frankrl.runs import RunFolder, list_checkpoints
from frankrl.training.learner_call import compiled_learn
from robustness.outcome import Outcome

_SETTINGS = {
    "preset": "default",
    "hidden_widths": (8,),
    "num_envs": 2,
    "learning_starts_env_steps": 40,
    "total_env_steps": 400,
    "checkpoint_every_env_steps": 20,
    "log_every_env_steps": 100,
    "evaluate_every_env_steps": 10_000,
}


class Poisoned(gymnasium.Env):
    """Gives something that is no number at one of its steps."""

    observation_space = spaces.Box(-1, 1, (3,), np.float32)
    action_space = spaces.Discrete(2)

    def __init__(self, what: str, at: int, value: str) -> None:
        self._what, self._at, self._value, self._steps = what, at, float(value), 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(3, np.float32), {}

    def step(self, action):
        self._steps += 1
        observation, reward = np.full(3, 0.1 * action, np.float32), 1.0
        if self._steps == self._at and self._what == "observation":
            observation[1] = self._value
        if self._steps == self._at and self._what == "reward":
            reward = self._value
        return observation, reward, False, self._steps % 10 == 0, {}


gymnasium.register("frank-robustness/Poisoned-v0", "robustness.numbers:Poisoned")


def study(work: Path, moments: int) -> Outcome:
    """Poison observation, reward, loss and gradient, each at several moments.

    Args:
        work: a folder for the runs.
        moments: how many moments for each.
    """
    outcome = Outcome("numbers", "NaN or ∞ put in: stopped, the step or update named, never saved")
    random = np.random.default_rng(0)
    for number in range(moments):
        value = (float("nan"), float("inf"), -float("inf"))[number % 3]
        overlap = bool(number % 2)
        for what in ("observation", "reward"):
            at = int(random.integers(1, 150))
            out = work / f"{what}-{number}"
            chosen = {
                "env_kwargs": {"what": what, "at": at, "value": str(value)},
                "overlap": overlap,
            }
            error = _error("frank-robustness/Poisoned-v0", out, chosen)
            named = isinstance(
                error, EnvironmentFailedError
            ) and f", step {(at - 1) % 10 + 1} " in str(error)
            outcome.note(named and _all_finite(out), f"{what} at {at}: {error}")
        for what, poison in (("loss", _poison_loss), ("gradient", _poison_gradient)):
            at = int(random.integers(1, 300))
            out = work / f"{what}-{number}"
            with poison(at, value):
                compiled_learn.cache_clear()
                error = _error("CartPole-v1", out, {"overlap": overlap})
            named = isinstance(error, DivergedError) and f"at update {at:,} " in str(error)
            outcome.note(named and _all_finite(out), f"{what} at {at}: {error}")
    compiled_learn.cache_clear()
    return outcome


def _error(env_id: str, out: Path, chosen: dict) -> Exception | None:
    try:
        frankrl.train(env_id, out=out, **(_SETTINGS | chosen))
    except Exception as error:
        return error
    return None


def _all_finite(out: Path) -> bool:
    """Whether the last checkpoint, if there is one, is of finite numbers."""
    if not list_checkpoints(out / "checkpoints"):
        return True
    params = open_network(RunFolder.open(out)).params
    return all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(params))


@contextlib.contextmanager
def _poison_loss(at: int, value: float) -> Iterator[None]:
    """Let the rewards of one update's batch, and with them its loss, be no numbers."""
    real = learner.update

    def update(settings, network, state, batch, *rest):
        factor = jnp.where(state.num_updates == at - 1, jnp.float32(value), 1.0)
        poisoned = batch._replace(reward=batch.reward * factor)
        return real(settings, network, state, poisoned, *rest)

    with mock.patch.object(learner, "update", update):
        yield


@contextlib.contextmanager
def _poison_gradient(at: int, value: float) -> Iterator[None]:
    """Let one update's loss be as it is, and its gradient no number."""

    @jax.custom_jvp
    def same(loss, poisoned):
        return loss

    @same.defjvp
    def _(primals, tangents):
        (loss, poisoned), (change, _) = primals, tangents
        return loss, change * jnp.where(poisoned, jnp.float32(value), 1.0)

    real_update = learner.update
    now = []

    def loss(*given, **more):
        value, predictions = batch_loss(*given, **more)
        return same(value, now[-1]), predictions

    def update(settings, network, state, *rest):
        now.append(state.num_updates == at - 1)
        return real_update(settings, network, state, *rest)

    with (
        mock.patch.object(loss_terms, "batch_loss", loss),
        mock.patch.object(learner, "update", update),
    ):
        yield
