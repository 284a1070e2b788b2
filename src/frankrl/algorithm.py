"""Deep Q-learning on one page: the notes from top to bottom, as a plain loop.

`frank train` calls the same functions. It steps several environments and does several updates at
a time, and adds evaluations, metrics and checkpoints. A test compares it with this loop, bit for
bit.
"""

import contextlib
import functools
from collections.abc import Iterator
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Int

from frankrl.config import Settings
from frankrl.core.errors import SettingError
from frankrl.environments import describe_for, make_vector
from frankrl.experience import (
    epsilon_greedy,
    exploration_draws,
    linear_epsilon,
    make_policy,
    steps_of,
)
from frankrl.learning import (
    LearnerState,
    init_learner,
    learning_rate_at,
    network_for,
    refresh_target,
    update,
)
from frankrl.replay import EndingRoom, SampleRequest, init_replay, make_replay, with_ending_rows


class Moment(NamedTuple):
    """The state of the loop after a step of all environments and its updates."""

    env_steps: int
    """Env steps so far, summed over environments."""
    action: Int[np.ndarray, " env"]
    """The action taken in each environment."""
    learner: LearnerState
    """The two networks, the optimiser, and the number of updates done."""


def deep_q_learning(env_id: str, settings: Settings, seed: int = 0) -> Iterator[Moment]:
    """Learn without end, one step of the environments at a time.

    Args:
        env_id: a Gymnasium environment with a `Discrete` action space.
        settings: such as `load_preset("classic")`. `overlap` and `vector_steps_per_round` are
            ignored: updates follow each step of the environments.
        seed: the same seed and settings give the same bits.

    Raises:
        SettingError: the settings ask for noisy layers, IQN, a memory, or a sampling other than
            uniform.

    Source: Mnih et al. (2015), Algorithm 1. https://doi.org/10.1038/nature14236
    """
    settings = settings.resolved()
    spec = describe_for(env_id, settings)
    envs = make_vector(settings.environment, spec, seed)
    learning, num_envs = settings.learning, envs.num_envs

    # Two networks with the same architecture. The target network starts as a copy: θ⁻ = θ.
    network = network_for(settings, spec)
    if (
        network.noise_size
        or network.head.num_fractions
        or network.memory_units
        or settings.replay.replay_sampling != "uniform"
    ):
        raise SettingError(
            "deep_q_learning takes no noisy, iqn or memory, and only uniform replay_sampling: "
            "use train"
        )
    learner = init_learner(learning, network, network.init(seed))
    learn = jax.jit(functools.partial(update, learning, network))
    refresh = jax.jit(functools.partial(refresh_target, learning))
    policy = make_policy(settings.training.acting, network)

    # The experience replay buffer, empty at first.
    replay = make_replay(settings, spec.preprocessing.frame_stack)
    stored = init_replay(replay, spec, num_envs)
    room = EndingRoom(replay, stored)
    store, read = jax.jit(replay.add, donate_argnums=0), jax.jit(replay.sample)

    env_steps = 0
    with contextlib.closing(envs):
        while True:
            # Phase 1, steps 2 and 3: observe the state s, and compute Q(s, ·; θ).
            policy.load(learner.params)
            q_values, _ = policy.q_values(envs.stack.observation, envs.stack.mask)

            # Step 4: with probability ε a random action, else the one with the highest Q-value.
            epsilon = linear_epsilon(settings.exploration, env_steps + np.arange(num_envs))
            coins, choices = exploration_draws(seed, env_steps, num_envs)
            action = epsilon_greedy(q_values, epsilon, coins, choices)

            # Steps 5 to 7: act, get r and s′, store (s, a, r, s′), continue from s′.
            step, _ = envs.step(action, env_steps)
            steps = steps_of(envs, [step], learning)
            if rows_needed := room.grown_to(steps.is_last):
                stored = with_ending_rows(stored, rows_needed)
            stored = store(stored, steps)
            env_steps += num_envs

            # Phase 2, at every step once the buffer has enough data.
            while learner.num_updates < settings.updates_due(env_steps):
                # Step 1: sample a batch of transitions.
                number = int(learner.num_updates)
                first, end = replay.drawable(env_steps)
                request = SampleRequest(number, 1, first, end, num_envs, env_steps)
                _, batches = read(stored, replay.sampler.draws(seed, request))
                batch = jax.tree.map(lambda field: field[0], batches)

                # Steps 2 to 7, all in `update`: Q(s, a; θ), the target
                # y = r + γ · max Q(s′, ·; θ⁻), the loss (y - Q(s, a))², backpropagation through
                # the Q-network only, and a step of the optimiser.
                rate = np.float32(learning_rate_at(learning, env_steps))
                learner, _ = learn(learner, batch, rate)

                # Phase 3: θ⁻ ← θ every `target_period_updates` updates; θ⁻ is frozen until then.
                learner = refresh(learner)

            yield Moment(env_steps, action, learner)
