"""An actor that runs freely: it steps some environments of a run with weights that it is given.

Source: Horgan et al. (2018), algorithm 1. https://arxiv.org/abs/1803.00933
"""

from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Bool, Float

from frankrl.config import Settings
from frankrl.core.cpu import cpu_model
from frankrl.core.numerics import own_numerics
from frankrl.core.types import FinalInfo, FinishedEpisode, Observation, Steps, VectorStep
from frankrl.environments import EnvironmentLog, EnvironmentSpec, EnvironmentVector, make_vector
from frankrl.experience.exploration import epsilon_greedy, epsilon_ladder, exploration_draws
from frankrl.experience.first_errors import first_errors
from frankrl.experience.policy import Policy, make_policy
from frankrl.experience.vector_steps import steps_of
from frankrl.networks import QNetwork


class Chunk(NamedTuple):
    """What an actor sends at once: `vector_steps_per_round` steps of its environments."""

    steps: Steps
    """Each environment's last step ends its episode for the replay buffer."""
    episodes: list[FinishedEpisode]
    """Episodes that ended; env steps are counted from the beginning of the chunk."""
    final_infos: dict[int, FinalInfo]
    """Of the episodes that ended, by env steps counted likewise."""
    logs: list[EnvironmentLog]
    """Snapshot of each environment after the chunk."""
    cpu: str
    """The model of the processor on which it was collected."""


class FreeActor:
    """Steps its part of a run's environments, chunk by chunk.

    A chunk is a function of the run's seed, the actor, the chunk's number, the weights and the
    chunks before it; so it can be repeated anywhere.
    """

    def __init__(
        self,
        settings: Settings,
        network: QNetwork,
        spec: EnvironmentSpec,
        seed: int,
        actor: int,
    ) -> None:
        """Make the environments, each at the beginning of its first episode.

        Args:
            settings: the run's settings.
            network: the Q-network.
            spec: the environment.
            seed: the run's seed.
            actor: number of the actor, from 0.

        Raises:
            FrankError: an environment cannot be made, or fails at its first reset.
        """
        size = settings.round_envs
        self._settings, self._seed = settings, seed
        self._first = actor * size
        own = range(self._first, self._first + size)
        self._envs: EnvironmentVector = make_vector(settings.environment, spec, seed, part=own)
        ladder = epsilon_ladder(settings.exploration, settings.environment.num_envs)
        self._epsilon = ladder[self._first : self._first + size]
        self._policy: Policy = make_policy(settings.training.acting, network)
        # Other errors than that of the mean come from the head's own loss; rescaled ones from
        # another target.
        self._gives_errors = (
            settings.replay.replay_sampling == "prioritised"
            and settings.network.distribution == "mean"
            and not settings.learning.value_rescaling
        )

    @own_numerics()
    def collect(self, chunk: int, params: Float[np.ndarray, " weight"]) -> Chunk:
        """Step every environment `vector_steps_per_round` times.

        Args:
            chunk: how many chunks of this actor the run has had before.
            params: the weights that act.

        Raises:
            EnvironmentFailedError: an environment raised, or returned something impossible.
        """
        envs, size = self._envs, self._envs.num_envs
        self._policy.load(params)
        vector_steps: list[VectorStep] = []
        episodes: list[FinishedEpisode] = []
        final_infos: dict[int, FinalInfo] = {}
        seen: list[np.ndarray] = []
        count = self._settings.training.vector_steps_per_round
        for number in range(count):
            seen.append(self._policy.q_values(envs.stack.observation, envs.stack.mask).q_values)
            actions = self._actions(seen[-1], chunk * count + number)
            step, ended = envs.step(actions, number * size)
            vector_steps.append(step)
            episodes += [e._replace(env_steps=e.env_steps - self._first) for e in ended]
            final_infos |= {at - self._first: info for at, info in step.final_infos.items()}
        steps = steps_of(envs, vector_steps, self._settings.learning)
        if self._gives_errors:
            steps = steps._replace(errors=self._errors(steps, vector_steps, seen))
        return Chunk(with_ends(steps, size), episodes, final_infos, self.logs(), cpu_model())

    def _actions(self, q_values: np.ndarray, vector_step: int) -> np.ndarray:
        size = self._envs.num_envs
        first_row = vector_step * self._settings.environment.num_envs + self._first
        coins, choices = exploration_draws(self._seed, first_row, size)
        return epsilon_greedy(q_values, self._epsilon, coins, choices)

    def _errors(
        self, steps: Steps, vector_steps: list[VectorStep], seen: list[np.ndarray]
    ) -> Float[np.ndarray, " row"]:
        """|TD error| of each transition; `seen` are the Q-values by which the actor acted."""
        envs, learning = self._envs, self._settings.learning
        shape = (len(vector_steps), envs.num_envs)
        action, reward, is_last, terminated = (
            np.reshape(rows, shape)
            for rows in (steps.action, steps.reward, steps.is_last, steps.terminated)
        )
        taken = np.take_along_axis(np.stack(seen), action[..., None].astype(np.intp), 2)[..., 0]
        now, _ = self._policy.q_values(envs.stack.observation, envs.stack.mask)
        following = np.stack([*seen[1:], now]).max(axis=2)
        for number in np.flatnonzero((is_last & ~terminated).any(axis=1)).tolist():
            # Of all environments, because a row's bits depend on the number of rows.
            arrived = vector_steps[number].next_observation
            observation, mask = envs.spec.observation(arrived), envs.spec.action_mask(arrived)
            at_end = self._policy.q_values(observation, mask).q_values.max(axis=1)
            following[number] = np.where(is_last[number], at_end, following[number])
        following = np.where(terminated, np.float32(0), following)
        errors = first_errors(
            taken,
            reward,
            following,
            is_last | terminated,
            self._settings.replay.n_step,
            learning.gamma,
        )
        return errors.astype(np.float32).ravel()

    @own_numerics()
    def restore(self, logs: list[EnvironmentLog]) -> list[int]:
        """Go on from the snapshots of a chunk's end.

        Returns:
            Indices in the run of the environments that did not come to their states, and have begun
            their next episode instead.
        """
        return [self._first + place for place in self._envs.restore(logs)]

    def logs(self) -> list[EnvironmentLog]:
        """Snapshot of each environment, from which it can be restored."""
        return self._envs.logs()

    def close(self) -> None:
        """Close the environments."""
        self._envs.close()


def with_ends(steps: Steps, num_envs: int) -> Steps:
    """The steps of a chunk, of which the last of each environment ends its episode.

    Where the episode goes on, that is a truncation: the value of where the environment stands now
    is bootstrapped.
    """
    rows = len(steps.is_last)
    was_last: Bool[np.ndarray, " row"] = steps.is_last
    is_last = was_last.copy()
    is_last[rows - num_envs :] = True
    ended = np.flatnonzero(is_last)
    # Where the last observation of each of these stands: among the last ones, or among those seen.
    order = np.cumsum(was_last) - 1
    from_last, kept = order[ended], was_last[ended]

    def moved(last: np.ndarray, seen: np.ndarray) -> np.ndarray:
        found = np.zeros_like(last)
        found[: len(ended)][kept] = last[from_last[kept]]
        found[: len(ended)][~kept] = seen[ended[~kept] + num_envs]
        return found

    last_observation, last_mask = jax.tree.map(
        moved,
        (steps.last_observation, steps.last_mask),
        (steps.observation, steps.mask),
    )
    observation: Observation = last_observation
    return steps._replace(is_last=is_last, last_observation=observation, last_mask=last_mask)
