"""A round of deep Q-learning as a pure function: act, step, store, sample, learn."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float, Int, UInt32

from frankrl.config import LearningSettings
from frankrl.core.device_random import as_normals, as_uniforms, random_bits
from frankrl.core.ends import ends_world
from frankrl.core.random import Use
from frankrl.core.types import ACTION_DTYPE, Array, Steps
from frankrl.experience.device import (
    DeviceEnvironments,
    DeviceStep,
    EnvironmentStates,
    acting_draws,
    epsilon_greedy,
    greedy_values,
)
from frankrl.learning import LearnerState, UpdateMetrics, UpdateNoise, updates
from frankrl.networks import QNetwork
from frankrl.replay import ReplayBuffer, ReplayState, Sample, SampleRequest
from frankrl.training.device.chunk import RoundOutput


class DqnCarry(NamedTuple):
    """Everything that rounds change."""

    learner: LearnerState
    replay: ReplayState
    behaviour_params: Float[Array, " weight"] | None
    """Parameters with which the next round acts; None without `overlap`, where they are θ."""
    environments: EnvironmentStates


class DqnSchedule(NamedTuple):
    """What the host says of each round; fields with an axis for rounds in front."""

    env_steps: UInt32[Any, " round"]
    """Env steps of the run before the round."""
    first_update: UInt32[Any, " round"]
    """Number of the round's first update in the run, from 0."""
    branch: Int[Any, " round"]
    """Index of the number of its updates in `DqnRound.counts`."""
    epsilon: Float[Any, "round vector_step env"]
    learning_rate: Float[Any, " round"]


@dataclass(frozen=True)
class DqnRound:
    """The round of one run's settings; compares and hashes by value."""

    learning: LearningSettings
    network: QNetwork
    replay: ReplayBuffer
    environments: DeviceEnvironments
    vector_steps: int
    counts: tuple[int, ...]
    """The numbers of updates that a round can have, ascending."""
    overlap: bool
    clip_rewards: bool

    @property
    def products(self) -> int:
        """See `RoundFunction.products`."""
        return self.network.num_products * self.replay.update_transitions

    def params(self, carry: DqnCarry) -> tuple[Float[Array, " weight"], Float[Array, " weight"]]:
        """θ and the parameters for greedy acting."""
        return carry.learner.params, carry.learner.eval_params

    def in_lanes(self) -> "DqnRound":
        """The round of the runs of several seeds as one program."""
        return replace(self, environments=replace(self.environments, in_lanes=True))

    def __call__(
        self,
        carry: DqnCarry,
        seed: UInt32[Array, "2"],
        schedule: DqnSchedule,
        goes_on: Bool[Array, ""],
    ) -> tuple[DqnCarry, RoundOutput, Sample]:
        """One round; arguments as for `RoundFunction`."""
        states, steps = self.collected(carry, seed, schedule)
        kept = is_kept(self.environments, steps, goes_on)
        stored = self.replay.add(carry.replay, self._steps(states, steps), kept)
        branches = [self._learn(seed, schedule, count) for count in self.counts]
        branch = schedule.branch if kept is True else jnp.where(kept, schedule.branch, 0)
        learner, priorities, metrics, td_errors, sample = jax.lax.switch(
            branch, branches, carry.learner, stored
        )
        behaviour = chosen(kept, carry.learner.params, carry.behaviour_params)
        carry = DqnCarry(
            learner=learner,
            replay=replace(stored, priorities=priorities),
            behaviour_params=behaviour,
            environments=chosen(kept, states, carry.environments),
        )
        return carry, RoundOutput(metrics, td_errors, *by_env_step(steps)), sample

    def collected(
        self, carry: DqnCarry, seed: UInt32[Array, "2"], schedule: DqnSchedule
    ) -> tuple[EnvironmentStates, DeviceStep]:
        """The environments after the round, and its steps with an axis for vector steps."""
        size = self.environments.num_envs
        vector = carry.learner.params if carry.behaviour_params is None else carry.behaviour_params

        def step(
            states: EnvironmentStates, given: tuple[Array, Array]
        ) -> tuple[EnvironmentStates, DeviceStep]:
            number, epsilon = given
            env_steps = schedule.env_steps + number * size
            seen = (states.observation, states.mask, states.memory)
            q_values, memory = greedy_values(self.network, vector, *seen, seed, env_steps // size)
            draws = acting_draws(seed, env_steps, size)
            action = epsilon_greedy(q_values, epsilon, draws)
            return self.environments.step(seed, states, action, memory)

        numbers = jnp.arange(self.vector_steps, dtype=jnp.uint32)
        return jax.lax.scan(step, carry.environments, (numbers, schedule.epsilon))

    def _steps(self, states: EnvironmentStates, steps: DeviceStep) -> Steps:
        """The steps in the form in which the replay buffer stores them."""

        def flat(leaf: Array) -> Array:
            return leaf.reshape(-1, *leaf.shape[2:])

        taken = jax.tree.map(flat, steps)
        is_last = taken.terminated | taken.truncated
        last = (taken.next_observation, taken.next_mask)
        seen = (taken.observation, taken.mask, taken.memory)
        now = (states.observation, states.mask, states.memory)
        observation, mask, memory = jax.tree.map(lambda *parts: jnp.concatenate(parts), seen, now)
        count = is_last.shape[0]
        if count > 1:
            (rows,) = jnp.nonzero(is_last, size=count)
            last = jax.tree.map(lambda leaf: leaf[rows], last)
        reward = jnp.clip(taken.reward, -1, 1) if self.clip_rewards else taken.reward
        return Steps(
            observation=observation,
            mask=mask,
            action=taken.action.astype(ACTION_DTYPE),
            reward=reward,
            is_last=is_last,
            terminated=ends_world(self.learning.bootstrap_on, taken.terminated, is_last),
            last_observation=last[0],
            last_mask=last[1],
            memory=memory,
        )

    def _learn(
        self, seed: UInt32[Array, "2"], schedule: DqnSchedule, count: int
    ) -> Callable[[LearnerState, ReplayState], tuple]:
        """The round's updates, if these are `count`."""
        most, batch = self.counts[-1], self.replay.sampler.batch_size

        def learn(learner: LearnerState, stored: ReplayState) -> tuple:
            shape = (most, batch)
            metrics = jnp.zeros((most, len(UpdateMetrics._fields)), jnp.float32)
            td_errors = jnp.zeros(batch, jnp.float32)
            weighted = stored.priorities is not None
            weights = jnp.zeros(shape, jnp.float32) if weighted else None
            nothing = Sample(jnp.zeros(shape, jnp.uint32), weights, weights)
            if not count:
                return learner, stored.priorities, metrics, td_errors, nothing
            env_steps = schedule.env_steps + self.vector_steps * self.environments.num_envs
            first, end = self.replay.window(env_steps)
            _, end_before = self.replay.window(schedule.env_steps)
            request = SampleRequest(
                schedule.first_update, count, first, end, end - end_before, env_steps
            )
            bits = random_bits(seed, Use.REPLAY, request.first_update, count, width=batch)
            draws = self.replay.sampler.device_draws(bits, request)
            sample, batches = self.replay.sample(stored, draws)
            rows = self.replay.update_transitions
            noise = device_noise(self.network, rows, seed, request.first_update, count)
            learner, output = updates(
                self.learning,
                self.network,
                learner,
                batches,
                schedule.learning_rate,
                noise,
                sample.weights,
            )
            stored = self.replay.set_priorities(stored, sample, output.priorities)
            metrics = metrics.at[:count].set(output.metrics)
            sample = jax.tree.map(lambda all, own: all.at[:count].set(own), nothing, sample)
            return learner, stored.priorities, metrics, output.td_errors[-1], sample

        return learn


def is_kept(
    environments: DeviceEnvironments, steps: DeviceStep, goes_on: Bool[Array, ""]
) -> Bool[Array, ""] | bool:
    """Whether a round changes the carry: no environment has failed in it or before.

    In lanes it always does, since the other lanes go on.
    """
    return environments.in_lanes or (goes_on & ~jnp.any(steps.unfit))


def chosen(kept: Bool[Array, ""] | bool, after: Any, before: Any) -> Any:
    """The record after a round if it is kept, else the one before; None where there is none."""
    if before is None or kept is True:
        return before if before is None else after
    return jax.tree.map(lambda one, other: jnp.where(kept, one, other), after, before)


def by_env_step(steps: DeviceStep) -> tuple[Array, Array, Array]:
    """The last fields of a round's output."""
    return steps.episode_return.reshape(-1), steps.length.reshape(-1), steps.unfit.reshape(-1)


def device_noise(
    network: QNetwork,
    batch_size: int,
    seed: UInt32[Array, "2"],
    first_update: UInt32[Array, ""] | int,
    count: int,
) -> UpdateNoise:
    """Noise and fractions of some updates, by their numbers; as `update_noise` on the host."""
    found = UpdateNoise()
    if size := network.noise_size:
        bits = random_bits(seed, Use.LEARNING_NOISE, first_update, count, width=2 * size)
        noise = as_normals(bits)
        found = found._replace(online_noise=noise[:, :size], target_noise=noise[:, size:])
    if samples := network.head.num_fractions:
        width = 2 * batch_size * samples
        bits = random_bits(seed, Use.FRACTIONS, first_update, count, width=width)
        table = as_uniforms(bits).reshape(count, 2, batch_size, samples)
        found = found._replace(fractions=table[:, 0], target_fractions=table[:, 1])
    return found
