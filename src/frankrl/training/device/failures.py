"""What a functional environment gave that none may give, in the words of the host's checks."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jaxtyping import Bool, Int

from frankrl.core.errors import EnvironmentFailedError
from frankrl.core.types import Observation
from frankrl.environments import EnvironmentSpec
from frankrl.environments.encoding import checked_leaf
from frankrl.experience.device import EnvironmentStates
from frankrl.training.device.dqn_round import DqnCarry, DqnRound
from frankrl.training.device.pqn_round import PqnCarry, PqnRound

Shown = tuple[Observation, Bool[np.ndarray, "env action"] | None]
"""What all environments show: observations as they are stored, and masks."""


@dataclass(frozen=True)
class _Place:
    """A step of an environment."""

    spec: EnvironmentSpec
    index: int
    episode: int
    step: int

    def gave(self, what: str) -> EnvironmentFailedError:
        """The error in the words of the host's environments."""
        return EnvironmentFailedError(
            f"environment {self.index} ({self.spec.env_id}), episode {self.episode}, "
            f"step {self.step} gave {what}"
        )

    def check(self, shown: Shown, *, ended: bool) -> None:
        """Refuse what no environment may show."""
        observation, mask = shown
        parts = jax.tree.leaves(observation)
        for leaf, part in zip(self.spec.leaves, parts, strict=True):
            given = part[self.index]
            if leaf.first_values is not None:
                given = given + np.reshape(leaf.first_values, leaf.shape)
            checked_leaf(leaf, given, self.gave)
        if mask is not None and not ended and not mask[self.index].any():
            raise self.gave("an action mask that allows no action while its episode goes on")


def check_first(states: EnvironmentStates, spec: EnvironmentSpec) -> None:
    """Refuse what no environment may show at the beginning of the first episodes.

    Raises:
        EnvironmentFailedError: an environment shows it.
    """
    shown = jax.tree.map(np.asarray, (states.observation, states.mask))
    for index in range(len(states.length)):
        _Place(spec, index, 0, 0).check(shown, ended=False)


def check_round(
    one_round: DqnRound | PqnRound,
    carry: DqnCarry | PqnCarry,
    given: tuple[Any, Any],
    spec: EnvironmentSpec,
    episodes: Int[np.ndarray, " env"],
) -> None:
    """Step a round once more, and look for what an environment gave that none may give.

    Args:
        one_round: the run's round function.
        carry: before the round.
        given: the seed's words, and the round's row of the schedule.
        spec: the environment's description.
        episodes: number of each environment's running episode before the round.

    Raises:
        EnvironmentFailedError: the first such thing. Another program may round differently, so
            there may be none.
    """
    states, steps = _compiled(one_round)(carry, *given)
    found = jax.tree.map(np.asarray, steps)
    seen = (found.observation, found.mask)
    now = jax.tree.map(np.asarray, (states.observation, states.mask))
    length, episode = np.array(carry.environments.length), episodes.copy()
    for number, unfit in enumerate(found.unfit):
        length += 1
        ended = found.length[number] > 0
        arrived = _row((found.next_observation, found.next_mask), number)
        following = _row(seen, number + 1) if number + 1 < len(found.unfit) else now
        for index in np.flatnonzero(unfit).tolist():
            place = _Place(spec, index, int(episode[index]), int(length[index]))
            if not np.isfinite(reward := float(found.reward[number, index])):
                raise place.gave(f"the reward {reward}")
            place.check(arrived, ended=bool(ended[index]))
            if ended[index]:
                _Place(spec, index, place.episode + 1, 0).check(following, ended=False)
        episode += ended
        length[ended] = 0


def some_failure(
    spec: EnvironmentSpec, index: int, episode: int, env_steps: int
) -> EnvironmentFailedError:
    """The error where nobody can look at the step once more.

    Args:
        spec: the environment's description.
        index: of the environment.
        episode: number of its episode.
        env_steps: env steps of the run with that step.
    """
    return EnvironmentFailedError(
        f"environment {index} ({spec.env_id}), episode {episode}, env step {env_steps:,} of the "
        "run gave a reward or an observation that is not finite or not in its space, or an action "
        "mask that allows no action"
    )


def _row(shown: Any, number: int) -> Any:
    return jax.tree.map(lambda leaf: leaf[number], shown)


@functools.lru_cache(maxsize=2)
def _compiled(one_round: DqnRound | PqnRound) -> Callable[..., tuple[EnvironmentStates, Any]]:
    return jax.jit(one_round.collected)
