"""The worked example of the notes, computed by the functions that training uses."""

import jax
import jax.numpy as jnp
import numpy as np

from frankrl.config import ExplorationSettings, LearningSettings, Settings
from frankrl.core.types import QuadrupleBatch, Scaling
from frankrl.environments import EnvironmentSpec
from frankrl.experience.exploration import epsilon_greedy, linear_epsilon
from frankrl.explaining.document import (
    Block,
    Document,
    Formula,
    Line,
    NamedValues,
    Section,
    Vectors,
)
from frankrl.explaining.narrative import narrate
from frankrl.explaining.origin import Origin
from frankrl.explaining.record import UpdateRecord, record_of
from frankrl.learning import LearnerState, init_learner, update
from frankrl.networks import ExpectedHead, Linear, MLPQNetwork, pack

STATE = np.array([[0.12, 0.85, -0.03, -0.15, 0.08, 0.02, 0, 0]], np.float32)
NEXT_STATE = np.array([[0.11, 0.80, -0.02, -0.15, 0.08, 0.02, 0, 0]], np.float32)
FIRST_Q_VALUES = (0.3, -0.1, 0.5, 0.2)
"""Q-values of the untrained network, in the notes' first phase."""
Q_VALUES, TARGET_Q_VALUES = (0.4, 1.2, 3.1, 0.8), (2.1, 1.3, 4.7, 0.9)
"""Q-values later in training. For the Q-network the notes give only the third."""
FIRE_MAIN, REWARD, GAMMA, LEARNING_RATE = 2, 0.3, 0.99, 0.1
ORIGIN = Origin(env_step=0, env_index=0, episode=0, step=1, epsilon=1.0, explored=False)
"""Origin of the quadruple: the first env step of a run."""


def settings() -> Settings:
    """The settings of the notes: one step, squared error, no clipping, no Double DQN."""
    learning = LearningSettings(
        gamma=GAMMA, double=False, loss="mse", max_gradient_norm=None, learning_rate=LEARNING_RATE
    )
    return Settings(learning=learning)


def example() -> UpdateRecord:
    """The update of the notes' second phase, on its single quadruple."""
    chosen = settings().learning
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
        transition_env_steps=np.zeros(1, np.uint32),
    )


def _learner(chosen: LearningSettings) -> LearnerState:
    """A learner whose two networks output the notes' Q-values in every state."""
    state = init_learner(chosen, _network(Q_VALUES))
    target = pack(jax.tree.map(jnp.asarray, _network(TARGET_Q_VALUES)))
    return LearnerState(state.online, target, state.average, state.opt_state, state.num_updates)


def _network(q_values: tuple[float, ...]) -> MLPQNetwork:
    size = STATE.shape[1]
    layer = Linear(np.zeros((size, len(q_values)), np.float32), np.array(q_values, np.float32))
    return MLPQNetwork(
        layers=(layer,),
        norms=(),
        embedding=None,
        activation="relu",
        dueling=False,
        scaling=Scaling(),
        read_by=ExpectedHead(),
    )


def notes_document(spec: EnvironmentSpec) -> Document:
    """The notes' worked example: collect one quadruple, then learn from it.

    Args:
        spec: that of LunarLander-v3, for the names of actions and components.
    """
    learned = narrate(example(), [ORIGIN], 0, spec, settings(), "")
    return Document(
        title="The worked example of the notes",
        about=f"{spec.env_id}: Frank collects a transition (a to e) and learns from it (1 to 7)",
        sections=(*collecting(spec), *learned.sections),
    )


def collecting(spec: EnvironmentSpec, env_steps: int = 10_000) -> tuple[Section, ...]:
    """The notes' first phase: from a state to a stored quadruple.

    Args:
        spec: that of LunarLander-v3, for the names of actions and components.
        env_steps: env steps of the run so far; they decide ε.
    """
    q_values = _network(FIRST_Q_VALUES)(STATE)
    exploration = ExplorationSettings(epsilon_end=0.05, epsilon_decay_env_steps=100_000)
    epsilon = linear_epsilon(exploration, np.array([env_steps]))
    names, first = spec.action_names, tuple(np.asarray(q_values[0]).tolist())
    coins: list[Block] = []
    for coin in (0.93, 0.42):
        action = int(epsilon_greedy(q_values, epsilon, np.array([coin]), np.array([0.3]))[0])
        choice = "above ε: the best action" if coin >= epsilon[0] else "below ε: a random action"
        coins.append(Formula(("the random number ", coin, f" is {choice}, {names[action]}")))
    progress = f" after {env_steps:,} of {exploration.epsilon_decay_env_steps:,} env steps"
    decayed = Formula(("ε is ", float(epsilon[0]), progress))
    return (
        Section("a. The environment is in the state s", (_vector("s", STATE, spec),)),
        Section(
            "b. The untrained Q-network computes a Q-value for each action",
            (NamedValues("Q(s, ·; θ)", names, first),),
        ),
        Section("c. ε-greedy picks an action", (decayed, *coins)),
        Section(
            "d. The environment returns a reward and the next state s′",
            (Formula(("r = ", REWARD)), _vector("s′", NEXT_STATE, spec)),
        ),
        Section(
            "e. The transition is stored",
            (Line("(s, a, r, s′), the notes' quadruple, goes into the replay buffer"),),
        ),
    )


def _vector(label: str, state: np.ndarray, spec: EnvironmentSpec) -> Vectors:
    return Vectors(spec.component_names, ((label, tuple(state[0].tolist())),))
