"""The source that steps environments on the host."""

import copy
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from frankrl.config import Settings
from frankrl.core.normalisation import Scales
from frankrl.core.types import FailedEpisode, FinalInfo, FinishedEpisode, Observation, VectorStep
from frankrl.environments import (
    EnvironmentLog,
    EnvironmentVector,
    FrameStack,
    GymnasiumVector,
    Position,
)
from frankrl.experience.episode_memory import EpisodeMemory, acted_anew
from frankrl.experience.exploration import epsilon_greedy, exploration_draws, linear_epsilon
from frankrl.experience.normaliser import Normaliser, Statistics
from frankrl.experience.policy import Policy, PolicyOutput, acting_noise
from frankrl.experience.source import Collected
from frankrl.experience.vector_steps import steps_of
from frankrl.experience.whole_batch import WholeBatch
from frankrl.networks import QNetwork


class _PolicyInput(NamedTuple):
    """What the policy gets of the whole batch."""

    observation: Observation
    """As the network gets them."""
    mask: Bool[np.ndarray, "env action"] | None
    noise: Float[np.ndarray, " noise"] | None
    """Of this step."""
    memory: Float[np.ndarray, "env unit"] | None


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
        given = self._policy_input(self._envs.stack, env_steps)
        self._pending = policy.start(given.observation, given.mask, given.noise, given.memory)

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
            found = self._policy_output(policy, self._envs.stack, env_steps)
        actions = epsilon_greedy(found.q_values[own], epsilon[own], coins[own], choices[own])
        return actions, None if found.memory is None else found.memory[own]

    def _policy_output(self, policy: Policy, stack: FrameStack, env_steps: int) -> PolicyOutput:
        """What the policy makes of the whole batch."""
        given = self._policy_input(stack, env_steps)
        return policy.q_values(given.observation, given.mask, given.noise, given.memory)

    def _policy_input(self, stack: FrameStack, env_steps: int) -> _PolicyInput:
        scales, seen = self.scales(), stack.observation
        seen = seen if scales is None else scales.of_observation(seen)
        observation, mask, memory = self._batch.of((seen, stack.mask, self._memory.now))
        noise = acting_noise(self._network, self._seed, env_steps // self._num_envs)
        return _PolicyInput(observation, mask, noise, memory)

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
            found = self._policy_output(policy, stack, env_steps).memory
            assert found is not None
            after = after.copy()
            after[anew] = found[self._own][anew]
        self._memory.step(after, np.logical_or(step.terminated, step.truncated))

    def scales(self) -> Scales | None:
        """See `Source.scales`."""
        return self.normaliser.scales()

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
