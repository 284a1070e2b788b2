"""The worked example of the notes, computed by the functions that training uses."""

import jax
import jax.numpy as jnp
import numpy as np

from frankrl.config import ExplorationSettings, LearningSettings
from frankrl.environments import EnvironmentSpec
from frankrl.explaining.record import UpdateRecord, record_of
from frankrl.exploration import epsilon_greedy, linear_epsilon
from frankrl.learning import LearnerState, init_learner, update
from frankrl.networks import Linear, MLPQNetwork, pack
from frankrl.records import QuadrupleBatch, Scaling

STATE = np.array([[0.12, 0.85, -0.03, -0.15, 0.08, 0.02, 0, 0]], np.float32)
NEXT_STATE = np.array([[0.11, 0.80, -0.02, -0.15, 0.08, 0.02, 0, 0]], np.float32)
FIRST_Q_VALUES = (0.3, -0.1, 0.5, 0.2)
"""Of the untrained network, in the notes' first phase."""
Q_VALUES, TARGET_Q_VALUES = (0.4, 1.2, 3.1, 0.8), (2.1, 1.3, 4.7, 0.9)
"""Later on. Of the Q-network the notes give the third alone."""
FIRE_MAIN, REWARD, GAMMA, LEARNING_RATE = 2, 0.3, 0.99, 0.1


def settings() -> LearningSettings:
    """Those of the notes: one step, squared error, neither clip nor Double DQN."""
    return LearningSettings(
        gamma=GAMMA, double=False, loss="mse", max_gradient_norm=None, learning_rate=LEARNING_RATE
    )


def example() -> UpdateRecord:
    """The update of the notes' second phase, on its single quadruple."""
    chosen = settings()
    before = _learner(chosen)
    batch = QuadrupleBatch(
        observation=jnp.array(STATE),
        action=jnp.array([FIRE_MAIN], jnp.uint16),
        reward=jnp.array([REWARD], jnp.float32),
        next_observation=jnp.array(NEXT_STATE),
        terminated=jnp.array([False]),
        num_steps=jnp.array([1], jnp.uint8),
    )
    after, _ = jax.jit(lambda state, rows: update(chosen, state, rows, LEARNING_RATE))(
        before, batch
    )
    return record_of(
        chosen,
        before,
        after,
        batch,
        env_steps=1,
        learning_rate=LEARNING_RATE,
        indices=np.zeros(1, np.uint32),
        begun=np.zeros(1, np.uint32),
    )


def _learner(chosen: LearningSettings) -> LearnerState:
    """Two networks that give the notes' numbers, whatever the state."""
    state = init_learner(chosen, _network(Q_VALUES))
    target = pack(jax.tree.map(jnp.asarray, _network(TARGET_Q_VALUES)))
    return LearnerState(state.online, target, state.average, state.opt_state, state.num_updates)


def _network(q_values: tuple[float, ...]) -> MLPQNetwork:
    size = STATE.shape[1]
    layer = Linear(np.zeros((size, len(q_values)), np.float32), np.array(q_values, np.float32))
    return MLPQNetwork(
        layers=(layer,), norms=(), activation="relu", dueling=False, scaling=Scaling()
    )


def collecting(spec: EnvironmentSpec, env_steps: int = 10_000) -> list[str]:
    """The lines about the notes' first phase: from a state to a stored quadruple.

    Args:
        spec: of LunarLander-v3, for the names of its actions.
        env_steps: how far the run is, for ε.
    """
    network = _network(FIRST_Q_VALUES)
    q_values = network(STATE)
    exploration = ExplorationSettings(epsilon_end=0.05, epsilon_decay_env_steps=100_000)
    epsilon = linear_epsilon(exploration, np.array([env_steps]))
    lines = [
        "a. The environment is in a state s",
        f"   {', '.join(f'{value:g}' for value in STATE[0])}",
        "b. The Q-network, random as yet, gives each action a number",
        *(f"   {n:12} {v:>5.1f}" for n, v in zip(spec.action_names, q_values[0], strict=True)),
        f"c. ε-greedy: ε is {epsilon[0]:g} after {env_steps:,} of 100,000 env steps",
    ]
    for coin in (0.93, 0.42):
        action = int(epsilon_greedy(q_values, epsilon, np.array([coin]), np.array([0.3]))[0])
        side = "above ε, the best action" if coin >= epsilon[0] else "below ε, a random action"
        lines.append(f"   a coin of {coin:g} lies {side}: {spec.action_names[action]}")
    return [
        *lines,
        f"d. The environment answers with r = {REWARD:g} and the next state s′",
        "e. (s, a, r, s′) goes into the replay buffer, and all begins again at s′",
    ]
