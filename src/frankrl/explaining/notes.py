"""The worked example of the notes, computed by the functions that training uses."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

from frankrl.config import Clock, ExplorationSettings, LearningSettings, Settings, TrainingSettings
from frankrl.core.figures import counted
from frankrl.core.types import Scaling, Transition
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
from frankrl.explaining.opened_update import SampledBatch
from frankrl.explaining.origin import Origin
from frankrl.explaining.record import UpdateRecord, record_of
from frankrl.learning import ExpectedHead, LearnerState, init_learner, update
from frankrl.networks import (
    ActionOutputs,
    Dense,
    DenseParams,
    Encoder,
    Flatten,
    LayeredNetwork,
    NetworkParams,
    Readout,
)
from frankrl.replay import Sample

STATE = np.array([[0.12, 0.85, -0.03, -0.15, 0.08, 0.02, 0, 0]], np.float32)
NEXT_STATE = np.array([[0.11, 0.80, -0.02, -0.15, 0.08, 0.02, 0, 0]], np.float32)
FIRST_Q_VALUES = (0.3, -0.1, 0.5, 0.2)
"""Q-values of the untrained network, in the notes' first phase."""
Q_VALUES, TARGET_Q_VALUES = (0.4, 1.2, 3.1, 0.8), (2.1, 1.3, 4.7, 0.9)
"""Q-values later in training. For the Q-network the notes give only the third."""
FIRE_MAIN, REWARD, GAMMA, LEARNING_RATE = 2, 0.3, 0.99, 0.1
NETWORK = LayeredNetwork(
    Encoder((Flatten((8,), Scaling()),)),
    Readout((), "relu", ActionOutputs(Dense(4), 4, None), ExpectedHead()),
)
"""A network of a single layer whose biases are the Q-values."""
COLLECTED_AT = 10_000
"""Env steps of the run before the quadruple is collected."""
LEARNED_AT, UPDATE = 24_000, 14_000
"""Env steps of the run, and number of the update, when the quadruple is sampled."""
EXPLORATION = ExplorationSettings(epsilon_end=0.05, epsilon_decay_env_steps=100_000)
EPISODE, STEP = 99, 41
"""Place of the quadruple in its run. The notes name none, so this one is made up."""


def settings() -> Settings:
    """The settings of the notes: one step, squared error, no clipping, no Double DQN."""
    learning = LearningSettings(
        gamma=GAMMA, double=False, loss="mse", max_gradient_norm=None, learning_rate=LEARNING_RATE
    )
    training = TrainingSettings(learning_starts_env_steps=COLLECTED_AT + 1)
    return Settings(learning=learning, exploration=EXPLORATION, training=training)


def origin() -> Origin:
    """Where the quadruple came from: the best action, by the first of the two random numbers."""
    epsilon = float(linear_epsilon(EXPLORATION, np.array([COLLECTED_AT]))[0])
    return Origin(
        COLLECTED_AT, env_index=0, episode=EPISODE, step=STEP, epsilon=epsilon, explored=False
    )


def example() -> UpdateRecord:
    """The update of the notes' second phase, on its single quadruple."""
    chosen = settings().learning
    before = _learner(chosen)
    batch = Transition(
        observation=jnp.array(STATE),
        action=jnp.array([FIRE_MAIN], jnp.uint16),
        reward=jnp.array([REWARD], jnp.float32),
        next_observation=jnp.array(NEXT_STATE),
        discount=jnp.array([GAMMA], jnp.float32),
    )
    step = functools.partial(update, chosen, NETWORK, learning_rate=LEARNING_RATE)
    after, _ = jax.jit(step)(before, batch)
    sampled = SampledBatch(
        Sample(np.array([COLLECTED_AT], np.uint32), None, None),
        batch,
        num_steps=jnp.ones(1, jnp.uint32),
        terminated=jnp.zeros(1, jnp.bool_),
    )
    return record_of(
        chosen,
        NETWORK,
        before,
        after,
        sampled,
        env_steps=LEARNED_AT,
        clock=Clock.ENV_STEPS,
        learning_rate=LEARNING_RATE,
    )


def _learner(chosen: LearningSettings) -> LearnerState:
    """A learner whose two networks output the notes' Q-values in every state."""
    state = init_learner(chosen, NETWORK, _params(Q_VALUES))
    target = jnp.asarray(NETWORK.layout.flatten(_params(TARGET_Q_VALUES)))
    done = jnp.full_like(state.num_updates, UPDATE - 1)
    return dataclasses.replace(state, target_params=target, num_updates=done)


def _params(q_values: tuple[float, ...]) -> NetworkParams:
    """Weights of zero, so that the biases are the Q-values."""
    weight = np.zeros((STATE.shape[1], len(q_values)), np.float32)
    output = DenseParams(weight, np.array(q_values, np.float32))
    return NetworkParams(torsos=((),), hidden=(), output=output, head=())


def notes_document(spec: EnvironmentSpec) -> Document:
    """The notes' worked example: collect one quadruple, then learn from it.

    Args:
        spec: that of LunarLander-v3, for the names of actions and components.
    """
    learned = narrate(example(), [origin()], 0, spec, settings(), "")
    return Document(
        title="The worked example of the notes",
        about=f"{spec.env_id}: Frank collects a transition (a to e) and learns from it (1 to 7)",
        sections=(*collecting(spec), *learned.sections),
    )


def collecting(spec: EnvironmentSpec) -> tuple[Section, ...]:
    """The notes' first phase: from a state to a stored quadruple.

    Args:
        spec: that of LunarLander-v3, for the names of actions and components.
    """
    q_values = NETWORK.q_values(_params(FIRST_Q_VALUES), STATE)
    epsilon = linear_epsilon(EXPLORATION, np.array([COLLECTED_AT]))
    names, first = spec.action_names, tuple(np.asarray(q_values[0]).tolist())
    coins: list[Block] = []
    for coin in (0.93, 0.42):
        action = int(epsilon_greedy(q_values, epsilon, np.array([coin]), np.array([0.3]))[0])
        choice = "above ε: the best action" if coin >= epsilon[0] else "below ε: a random action"
        coins.append(Formula(("the random number ", coin, f" is {choice}, {names[action]}")))
    decay = counted(EXPLORATION.epsilon_decay_env_steps, "env step")
    progress = f" after {COLLECTED_AT:,} of {decay}"
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
