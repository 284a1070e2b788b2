"""A round of PQN as a pure function: act and step, λ-returns, learn, forget."""

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, UInt32

from frankrl.config import LearningSettings
from frankrl.core.device_random import random_bits
from frankrl.core.ends import ends_world
from frankrl.core.random import Use
from frankrl.experience.device import (
    DeviceEnvironments,
    DeviceStep,
    EnvironmentStates,
    acting_draws,
    epsilon_greedy,
)
from frankrl.learning import LearnerState, Rollout, pqn_updates
from frankrl.networks import FeedForwardNetwork
from frankrl.training.device.chunk import RoundOutput
from frankrl.training.device.dqn_round import by_env_step, chosen, is_kept


class PqnCarry(NamedTuple):
    """Everything that rounds change."""

    learner: LearnerState
    environments: EnvironmentStates


class PqnSchedule(NamedTuple):
    """What the host says of each round; fields with an axis for rounds in front."""

    env_steps: UInt32[Any, " round"]
    """Env steps of the run before the round."""
    first_epoch: UInt32[Any, " round"]
    """Number of the round's first epoch in the run, from 0."""
    epsilon: Float[Any, "round vector_step env"]
    learning_rate: Float[Any, " round"]


class PqnSample(NamedTuple):
    """What the updates of a round learned from."""

    rollout: Rollout
    order: Int[Array, "update batch"]
    """Which of its steps each update took; step t of environment i is t · environments + i."""


class _Acted(NamedTuple):
    """A step of all environments, and the values that its targets need."""

    step: DeviceStep
    value: Float[Array, " env"]
    """max_a Q(s, a) of the state that was acted in."""
    discount: Float[Array, " env"]
    end_value: Float[Array, " env"]
    """max_a′ Q(s′, a′) where an episode ended and s′ still has a future; else 0."""


@dataclass(frozen=True)
class PqnRound:
    """The round of one run's settings; compares and hashes by value."""

    learning: LearningSettings
    network: FeedForwardNetwork
    environments: DeviceEnvironments
    vector_steps: int
    clip_rewards: bool

    @property
    def num_updates(self) -> int:
        """Updates of every round."""
        return self.learning.epochs_per_round * self.learning.minibatches

    @property
    def products(self) -> int:
        """See `RoundFunction.products`."""
        steps = self.vector_steps * self.environments.num_envs
        return self.network.num_products * steps // self.learning.minibatches

    def params(self, carry: PqnCarry) -> tuple[Float[Array, " weight"], Float[Array, " weight"]]:
        """θ and the parameters for greedy acting."""
        return carry.learner.params, carry.learner.eval_params

    def in_lanes(self) -> "PqnRound":
        """The round of the runs of several seeds as one program."""
        return replace(self, environments=replace(self.environments, in_lanes=True))

    def __call__(
        self,
        carry: PqnCarry,
        seed: UInt32[Array, "2"],
        schedule: PqnSchedule,
        goes_on: Bool[Array, ""],
    ) -> tuple[PqnCarry, RoundOutput, PqnSample]:
        """One round; arguments as for `RoundFunction`."""
        states, acted = self._collected(carry, seed, schedule)
        rollout = self._rollout(carry.learner, states, acted)
        order = self._order(seed, schedule.first_epoch)
        learner, output = pqn_updates(
            self.learning, self.network, carry.learner, rollout, order, schedule.learning_rate
        )
        done = RoundOutput(output.metrics, output.td_errors[-1], *by_env_step(acted.step))
        kept = is_kept(self.environments, acted.step, goes_on)
        after = chosen(kept, PqnCarry(learner, states), carry)
        return after, done, PqnSample(rollout, order)

    def collected(
        self, carry: PqnCarry, seed: UInt32[Array, "2"], schedule: PqnSchedule
    ) -> tuple[EnvironmentStates, DeviceStep]:
        """The environments after the round, and its steps with an axis for vector steps."""
        states, acted = self._collected(carry, seed, schedule)
        return states, acted.step

    def _collected(
        self, carry: PqnCarry, seed: UInt32[Array, "2"], schedule: PqnSchedule
    ) -> tuple[EnvironmentStates, _Acted]:
        """As `collected`, and the values that the targets need."""
        size = self.environments.num_envs
        params = self.network.layout.unflatten(carry.learner.params)

        def act(
            states: EnvironmentStates, given: tuple[Array, Array]
        ) -> tuple[EnvironmentStates, _Acted]:
            number, epsilon = given
            q_values = self.network.q_values(params, states.observation, states.mask)
            draws = acting_draws(seed, schedule.env_steps + number * size, size)
            action = epsilon_greedy(q_values, epsilon, draws)
            states, step = self.environments.step(seed, states, action, None)
            discount = self._discount(step)
            needed = (step.length > 0) & (discount > 0)

            def values(step: DeviceStep) -> Float[Array, " env"]:
                return self._values(params, step.next_observation, step.next_mask)

            def nothing(step: DeviceStep) -> Float[Array, " env"]:
                return jnp.zeros(size, jnp.float32)

            # Truncations are rare, and what follows any other step is evaluated to act in it.
            ends = jax.lax.cond(self.environments.any_of(needed), values, nothing, step)
            return states, _Acted(step, jnp.max(q_values, axis=1), discount, ends)

        numbers = jnp.arange(self.vector_steps, dtype=jnp.uint32)
        return jax.lax.scan(act, carry.environments, (numbers, schedule.epsilon))

    def _rollout(self, learner: LearnerState, states: EnvironmentStates, acted: _Acted) -> Rollout:
        """The round's steps with the value of the state that each led to."""
        step = acted.step
        params = self.network.layout.unflatten(learner.params)
        now = self._values(params, states.observation, states.mask)
        is_last = step.length > 0
        following = jnp.concatenate([acted.value[1:], now[None]])
        return Rollout(
            observation=step.observation,
            action=step.action,
            reward=jnp.clip(step.reward, -1, 1) if self.clip_rewards else step.reward,
            discount=acted.discount,
            next_values=jnp.where(is_last, acted.end_value, following),
            is_last=is_last,
            next_observation=step.next_observation,
            mask=step.mask,
            next_mask=step.next_mask,
        )

    def _values(
        self, params: Any, observation: Any, mask: Bool[Array, "env action"] | None
    ) -> Float[Array, " env"]:
        return jnp.max(self.network.q_values(params, observation, mask), axis=1)

    def _discount(self, step: DeviceStep) -> Float[Array, " env"]:
        """γ, and 0 where the target does not bootstrap, by `bootstrap_on`."""
        no_future = ends_world(self.learning.bootstrap_on, step.terminated, step.length > 0)
        return jnp.where(no_future, 0.0, jnp.float32(self.learning.gamma))

    def _order(
        self, seed: UInt32[Array, "2"], first_epoch: UInt32[Array, ""]
    ) -> Int[Array, "update batch"]:
        """All of the round's steps in a new random order for each epoch, cut into minibatches."""
        size = self.vector_steps * self.environments.num_envs
        epochs = self.learning.epochs_per_round
        bits = random_bits(seed, Use.MINIBATCHES, first_epoch, epochs, width=size)
        return jnp.argsort(bits, axis=1).reshape(self.num_updates, -1)
