"""Sources of experience; the host's source steps environments on the CPU."""

import copy
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int

from frankrl.config import LearningSettings, Settings
from frankrl.core.ends import ends_world
from frankrl.core.normalisation import Scales
from frankrl.core.types import (
    ACTION_DTYPE,
    Arrival,
    FailedEpisode,
    FinalInfo,
    FinishedEpisode,
    Observation,
    Steps,
    VectorStep,
)
from frankrl.environments import (
    EnvironmentLog,
    EnvironmentVector,
    FrameStack,
    GymnasiumVector,
    Position,
)
from frankrl.experience.actors_state import ActorsState
from frankrl.experience.episode_memory import EpisodeMemory, acted_anew
from frankrl.experience.exploration import epsilon_greedy, exploration_draws, linear_epsilon
from frankrl.experience.normaliser import Normaliser, Statistics
from frankrl.experience.policy import Policy, PolicyOutput, acting_noise
from frankrl.experience.whole_batch import WholeBatch
from frankrl.networks import QNetwork


class Collected(NamedTuple):
    """The experience of one round."""

    steps: Steps | None
    """None: nothing was collected, and what the run learns from is there from the start."""
    episodes: list[FinishedEpisode]
    """Episodes that ended, in this order."""
    final_infos: dict[int, FinalInfo]
    """What the last steps of episodes gave, by the env steps of the run at their end."""
    failed: list[FailedEpisode]
    """Episodes that were dropped because their environment failed."""
    cut: list[int]
    """Environments whose episode before the round was dropped with its first step: their last step
    in the replay buffer is then the last of its episode."""
    not_exact_because: tuple[str, ...] = ()
    """Why the run may differ in its bits from here on."""
    arrival: Arrival | None = None
    """Of an actor that runs freely: what came."""


@runtime_checkable
class Restorable(Protocol):
    """Holds where the environments of a run stand, and can be restored to an earlier state."""

    def snapshot(self) -> list[EnvironmentLog]:
        """The state after the last complete round, in a form from which it can be restored."""
        ...

    def digests(self) -> list[bytes]:
        """A fingerprint of all that each environment has shown and done since the run began."""
        ...

    def restore(self, snapshot: list[EnvironmentLog]) -> list[int]:
        """Restore the state of a snapshot.

        Returns:
            Indices of the environments that could not be restored to the same bits; these have
            begun their next episode instead.
        """
        ...

    def statistics(self) -> tuple[Statistics | None, Float[np.ndarray, " env"]]:
        """The running statistics after the last complete round, and the discounted return of each
        environment's episode up to there."""
        ...

    def restore_statistics(
        self,
        statistics: Statistics | None,
        returns: Float[np.ndarray, " env"],
        begun: Sequence[int] = (),
    ) -> None:
        """Go on from the running statistics of a snapshot.

        Args:
            statistics: as `statistics` gives them.
            returns: likewise.
            begun: environments that have begun another episode than in the snapshot.
        """
        ...

    def memory(self) -> Float[np.ndarray, "env unit"] | None:
        """What the network remembers of each environment's episode after the last complete round;
        None without a memory."""
        ...

    def restore_memory(
        self, memory: Float[np.ndarray, "env unit"] | None, begun: Sequence[int] = ()
    ) -> None:
        """Go on from the memory of a snapshot.

        Args:
            memory: as `memory` gives it.
            begun: environments that have begun another episode than in the snapshot.
        """
        ...

    def actors_state(self) -> ActorsState | None:
        """What a checkpoint holds of actors that run freely; None if none do."""
        ...

    def stand_at(self, actors: ActorsState | None, updates_due: Callable[[int], int]) -> None:
        """Go on from a checkpoint; `restore` gets its snapshots.

        Args:
            actors: as `actors_state` gives it.
            updates_due: updates of the run that are due after so many env steps, with a buffer that
                may have begun at the checkpoint.
        """
        ...

    def allow_restarts(self, most: int) -> None:
        """Say how often an environment that fails is still made anew; then its error is raised."""
        ...

    def close(self) -> None:
        """Close the source."""
        ...


@runtime_checkable
class Source(Restorable, Protocol):
    """Collects experience round by round."""

    def collect(self, policy: Policy, env_steps: int) -> Collected:
        """Collect a round of steps.

        Args:
            policy: acts; its parameters are loaded.
            env_steps: env steps of the run before the round.
        """
        ...

    def look_ahead(self, policy: Policy, env_steps: int) -> None:
        """Let the policy begin with the first actions of the next round.

        On a GPU they are then computed before the updates that are started next, and the
        environments are stepped meanwhile. It changes no action.

        Args:
            policy: has the parameters of the next round.
            env_steps: env steps of the run before that round.
        """
        ...

    def scales(self) -> Scales | None:
        """How observations and rewards are normalised after the last step; None: they are not."""
        ...


class HostSource:
    """Steps environments on the host, with ε-greedy actions."""

    def __init__(
        self, settings: Settings, network: QNetwork, seed: int, envs: EnvironmentVector
    ) -> None:
        """Take over the environments of a run, or some of them.

        Args:
            settings: the run's settings.
            network: the Q-network; if it has noisy layers, their noise explores.
            seed: the run's seed.
            envs: the environments; closed with the source. Some of the run's act as all do: by
                Q-values of the whole batch, with their own observations in their places, because a
                row of a product of matrices depends on its place and on the number of rows.
        """
        self._settings = settings
        self._network = network
        self._seed = seed
        self._envs = envs
        self._num_envs = settings.environment.num_envs
        """Of the whole run."""
        self._own = slice(envs.first, envs.first + envs.num_envs)
        """The rows of these environments in the whole batch."""
        self._batch = WholeBatch(self._own, self._num_envs)
        self._round_start: list[Position] | None = None
        """Within a round, where each environment stood at its beginning."""
        self.normaliser = Normaliser(settings, envs.spec)
        self.normaliser.see(envs.spec.observation(envs.observation))
        self._round_start_normaliser = copy.copy(self.normaliser)
        """The statistics as they were where the last complete round ended."""
        self._memory = EpisodeMemory(network.initial_memory(envs.num_envs))
        self._pending: Callable[[], PolicyOutput] | None = None
        """Waits for the Q-values of the next step, if they have been asked for."""

    def collect(self, policy: Policy, env_steps: int) -> Collected:
        """Step every environment `vector_steps_per_round` times."""
        vector_steps: list[VectorStep] = []
        episodes: list[FinishedEpisode] = []
        final_infos: dict[int, FinalInfo] = {}
        failed: list[FailedEpisode] = []
        cut: list[int] = []
        count = self._settings.training.vector_steps_per_round
        # Should an environment fail, the run is still at the beginning of this round; a single
        # step that fails changes nothing anyway, unless an environment is made anew in it.
        can_change = count > 1 or self._settings.environment.restart_failed_envs
        self._round_start = self._envs.positions() if can_change else None
        for _ in range(count):
            actions, memory = self._act(policy, env_steps)
            step, ended = self._envs.step(actions, env_steps)
            if memory is not None:
                self._remember(memory, step, ended, policy, env_steps)
            if step.failed:
                failed += step.failed
                cut += _cut_short(vector_steps, step.failed, self._envs.first)
            vector_steps.append(step)
            if self.normaliser.statistics is not None:
                # The action that failed was taken in the next episode.
                self.normaliser.begin([failure.env_index for failure in step.failed])
                self.normaliser.step(step.reward, np.logical_or(step.terminated, step.truncated))
                self.normaliser.see(self._envs.spec.observation(self._envs.observation))
            episodes += ended
            final_infos |= step.final_infos
            env_steps += self._num_envs
        self._round_start = None
        if self.normaliser.statistics is not None:
            self._round_start_normaliser = copy.copy(self.normaliser)
        steps = steps_of(self._envs, vector_steps, self._settings.learning)
        steps = steps._replace(memory=self._memory.end_round())
        return Collected(steps, episodes, final_infos, failed, cut)

    def look_ahead(self, policy: Policy, env_steps: int) -> None:
        """See `Source.look_ahead`."""
        self._pending = policy.start(*self._given(self._envs.stack, env_steps))

    def _act(
        self, policy: Policy, env_steps: int
    ) -> tuple[Int[np.ndarray, " env"], Float[np.ndarray, "env unit"] | None]:
        """The next actions, and what the network remembers after the observations they are for."""
        exploration, size, own = self._settings.exploration, self._num_envs, self._own
        coins, choices = exploration_draws(self._seed, env_steps, size)
        epsilon = linear_epsilon(exploration, env_steps + np.arange(size))
        pending, self._pending = self._pending, None
        if pending is not None:
            found = pending()
        else:
            found = policy.q_values(*self._given(self._envs.stack, env_steps))
        actions = epsilon_greedy(found.q_values[own], epsilon[own], coins[own], choices[own])
        return actions, None if found.memory is None else found.memory[own]

    def _given(self, stack: FrameStack, env_steps: int) -> tuple[Observation, Any, Any, Any]:
        """What the policy gets of the whole batch: observations as the network gets them, masks,
        the noise of this step, and memory."""
        scales, seen = self.scales(), stack.observation
        seen = seen if scales is None else scales.of_observation(seen)
        observation, mask, memory = self._batch.of((seen, stack.mask, self._memory.now))
        return observation, mask, self._noise(env_steps), memory

    def _remember(
        self,
        after: Float[np.ndarray, "env unit"],
        step: VectorStep,
        ended: list[FinishedEpisode],
        policy: Policy,
        env_steps: int,
    ) -> None:
        """Take the memory after a step's observations.

        Args:
            after: the memory.
            step: the step that was taken.
            ended: the episodes that ended with it.
            policy: with which the step acted.
            env_steps: env steps of the run before the step.
        """
        if anew := [index - self._envs.first for index in acted_anew(step.failed, ended)]:
            # Their actions were taken in other episodes than those that they were chosen in.
            self._memory.begin(anew)
            stack = FrameStack(self._envs.spec, self._envs.num_envs)
            stack.begin(anew, step.observation[anew])
            found = policy.q_values(*self._given(stack, env_steps)).memory
            assert found is not None
            after = after.copy()
            after[anew] = found[self._own][anew]
        self._memory.step(after, np.logical_or(step.terminated, step.truncated))

    def scales(self) -> Scales | None:
        """See `Source.scales`."""
        return self.normaliser.scales()

    def _noise(self, env_steps: int) -> Float[np.ndarray, " noise"] | None:
        return acting_noise(self._network, self._seed, env_steps // self._num_envs)

    def positions(self) -> list[Position]:
        """Where each environment stands."""
        return self._envs.positions()

    def snapshot(self) -> list[EnvironmentLog]:
        """See `Restorable.snapshot`."""
        return [position.log() for position in self._round_start or self._envs.positions()]

    def statistics(self) -> tuple[Statistics | None, Float[np.ndarray, " env"]]:
        """See `Restorable.statistics`."""
        found = self._round_start_normaliser
        return found.statistics, found.returns

    def restore_statistics(
        self,
        statistics: Statistics | None,
        returns: Float[np.ndarray, " env"],
        begun: Sequence[int] = (),
    ) -> None:
        """See `Restorable.restore_statistics`."""
        self.normaliser.statistics, self.normaliser.returns = statistics, returns
        self.normaliser.begin(begun)
        self._round_start_normaliser = copy.copy(self.normaliser)

    def memory(self) -> Float[np.ndarray, "env unit"] | None:
        """See `Restorable.memory`."""
        return self._memory.round_start

    def restore_memory(
        self, memory: Float[np.ndarray, "env unit"] | None, begun: Sequence[int] = ()
    ) -> None:
        """See `Restorable.restore_memory`."""
        self._memory.restore(memory, begun)

    def actors_state(self) -> None:
        """No actor runs freely."""

    def stand_at(self, actors: ActorsState | None, updates_due: Callable[[int], int]) -> None:
        """Nothing: `restore` gets all there is."""

    def digests(self) -> list[bytes]:
        """See `Restorable.digests`."""
        return self._envs.digests()

    def allow_restarts(self, most: int) -> None:
        """See `Restorable.allow_restarts`."""
        if isinstance(self._envs, GymnasiumVector):
            self._envs.restarts_left = most

    def restore(self, snapshot: list[EnvironmentLog]) -> list[int]:
        """See `Restorable.restore`."""
        self._pending = None
        return self._envs.restore(snapshot)

    def close(self) -> None:
        """See `Restorable.close`."""
        self._envs.close()


def _cut_short(
    vector_steps: list[VectorStep], failed: Iterable[FailedEpisode], first: int
) -> list[int]:
    """Let dropped episodes be truncated where the last step led that they took.

    Args:
        vector_steps: the steps of the round so far.
        failed: the episodes that were dropped after these.
        first: index in the run of the first environment.

    Returns:
        The environments whose last step lies before the round.
    """
    indices = [episode.env_index for episode in failed if episode.length]
    if not vector_steps:
        return indices
    vector_steps[-1].truncated[[index - first for index in indices]] = True
    return []


def steps_of(
    envs: EnvironmentVector, vector_steps: Sequence[VectorStep], settings: LearningSettings
) -> Steps:
    """The steps of all environments in the form in which the replay buffer stores them.

    Args:
        envs: the environments, after the last of the steps.
        vector_steps: the steps in order of time.
        settings: `bootstrap_on` decides which ends of an episode count as termination.
    """
    spec = envs.spec
    seen = np.concatenate([*(step.observation for step in vector_steps), envs.observation])
    action, reward, terminated, truncated, life_lost = (
        np.concatenate([getattr(step, name) for step in vector_steps])
        for name in ("action", "reward", "terminated", "truncated", "life_lost")
    )
    if spec.preprocessing.clip_rewards:
        reward = np.clip(reward, -1, 1)
    is_last = terminated | truncated
    if spec.preprocessing.life_loss_terminates:
        terminated = terminated | life_lost
    last = np.zeros((len(is_last), *seen.shape[1:]), seen.dtype)
    if ended := np.flatnonzero(is_last).tolist():
        size = envs.num_envs
        last[: len(ended)] = [
            vector_steps[row // size].next_observation[row % size] for row in ended
        ]
    return Steps(
        observation=spec.observation(seen),
        mask=spec.action_mask(seen),
        action=action.astype(ACTION_DTYPE),
        reward=reward,
        is_last=is_last,
        terminated=ends_world(settings.bootstrap_on, terminated, is_last),
        last_observation=spec.observation(last),
        last_mask=spec.action_mask(last),
    )
