"""One small environment in the forms of Gymnasium's `FuncEnv`, pgx, navix, gymnax and Frank.

A walk on squares 0 to 4: action 1 goes right, 0 left (not below 0). Square 4 is the end (reward 1);
any other step costs 0.1. It begins on square 0 or 1. Time is up after 6 steps.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from gymnasium import spaces
from gymnasium.experimental.functional import FuncEnv

from frankrl.environments.functional.protocol import FunctionalStep

END, LIMIT = 4, 6


def walked(square, action):
    """The square, reward and end after a step, in plain Python."""
    square = max(square + (1 if action else -1), 0)
    return square, (1.0 if square == END else -0.1), square == END


def first_square(key):
    return jax.random.randint(key, (), 0, 2)


def next_square(square, action):
    return jnp.maximum(square + jnp.where(action == 1, 1, -1), 0)


def reward_of(square):
    return jnp.where(square == END, 1.0, -0.1)


class GymnasiumWalk(FuncEnv):
    """As Gymnasium has it; its limit is an attribute."""

    observation_space = spaces.Box(0, END, (1,), np.float32)
    action_space = spaces.Discrete(2)
    max_episode_steps = LIMIT
    reward_threshold = 0.6

    def initial(self, rng, params=None):
        return first_square(rng)

    def transition(self, state, action, rng, params=None):
        return next_square(state, action)

    def observation(self, state, rng, params=None):
        return state[None]

    def reward(self, state, action, next_state, rng, params=None):
        return reward_of(next_state)

    def terminal(self, state, rng, params=None):
        return state == END

    def render_init(self, params=None):
        return "canvas"

    def render_image(self, state, render_state, params=None):
        return render_state, np.full((8, 8, 3), 20 * int(state), np.uint8)


class MaskedWalk(GymnasiumWalk):
    """Left is not allowed on square 0."""

    def state_info(self, state, params=None):
        return {"action_mask": jnp.stack([state > 0, state >= 0])}


class UnfinishedWalk(GymnasiumWalk):
    """It leaves out how an episode begins."""

    initial = FuncEnv.initial


class WalkWithStart(GymnasiumWalk):
    """Its numbers of squares and actions do not begin at 0."""

    observation_space = spaces.Discrete(END + 1, start=10)
    action_space = spaces.Discrete(2, start=3)

    def transition(self, state, action, rng, params=None):
        return next_square(state, action - 3)

    def observation(self, state, rng, params=None):
        return state + 10


class WalkInDict(GymnasiumWalk):
    """Its observations are dicts that hold the mask."""

    observation_space = spaces.Dict(
        {
            "square": spaces.Box(0, END, (1,), np.float64),
            "bits": spaces.MultiBinary(2),
            "action_mask": spaces.MultiBinary(2),
        }
    )

    def observation(self, state, rng, params=None):
        mask = jnp.stack([state > 0, state >= 0])
        return {
            "square": state[None],
            "bits": jnp.stack([state > 1, state > 2]),
            "action_mask": mask,
        }


class PgxState(NamedTuple):
    square: jax.Array
    observation: jax.Array
    rewards: jax.Array
    terminated: jax.Array
    truncated: jax.Array
    legal_action_mask: jax.Array


class PgxWalk:
    """As pgx has it; it counts no time."""

    id, num_players = "walk", 1

    def _state(self, square, reward):
        mask = jnp.stack([square > 0, square >= 0])
        shown = jnp.arange(END + 1) == square
        end = square == END
        return PgxState(square, shown, reward[None], end, jnp.array(False), mask | end)

    def init(self, key):
        return self._state(first_square(key), jnp.float32(0))

    def step(self, state, action, key=None):
        square = next_square(state.square, action)
        return self._state(square, reward_of(square))

    def observe(self, state):
        return state.observation


class NavixSpace(NamedTuple):
    n: int
    shape: tuple
    dtype: type


class Timestep(NamedTuple):
    t: jax.Array
    observation: jax.Array
    reward: jax.Array
    step_type: jax.Array
    state: jax.Array

    def is_truncation(self):
        return self.step_type == 1

    def is_termination(self):
        return self.step_type == 2


class NavixWalk:
    """As navix has it: three kinds of steps, and a reset in the step after an end."""

    observation_space = NavixSpace(9, (1, 1), np.uint8)
    action_space = NavixSpace(2, (), np.int32)
    max_steps = LIMIT
    observation_fn = termination_fn = staticmethod(lambda state: state)

    def reset(self, key):
        return self._timestep(0, first_square(key), 0.0)

    def step(self, timestep, action):
        square = next_square(timestep.state, action)
        after = self._timestep(timestep.t + 1, square, reward_of(square))
        again = self.reset(jax.random.key_data(jax.random.key(0)))
        return jax.lax.cond(timestep.step_type > 0, lambda: again, lambda: after)

    def _timestep(self, time, square, reward):
        time, reward = jnp.asarray(time, jnp.int32), jnp.asarray(reward, jnp.float32)
        kind = jnp.where(square == END, 2, jnp.where(time >= LIMIT, 1, 0))
        return Timestep(time, square.astype(jnp.uint8)[None, None], reward, kind, square)


class GymnaxState(NamedTuple):
    square: jax.Array
    time: int


class GymnaxParams(NamedTuple):
    max_steps_in_episode: int = LIMIT


class GymnaxBox(NamedTuple):
    low: float
    high: float
    shape: tuple
    dtype: type


class MergingWalk:
    """As gymnax had it before 1.0: `done` merges the two ends."""

    default_params = GymnaxParams()

    def observation_space(self, params):
        return GymnaxBox(0, END, (2,), np.float32)

    def action_space(self, params):
        return spaces.Discrete(2)

    def reset_env(self, key, params):
        state = GymnaxState(first_square(key), 0)
        return self._shown(state), state

    def step_env(self, key, state, action, params):
        state = GymnaxState(next_square(state.square, action), state.time + 1)
        done = self.is_terminal(state, params)
        return self._shown(state), state, reward_of(state.square), done, {}

    def is_terminal(self, state, params):
        return (state.square == END) | (state.time >= params.max_steps_in_episode)

    def _shown(self, state):
        return jnp.stack([state.square, state.square * 2])


class GymnaxWalk(MergingWalk):
    """As gymnax has it from 1.0 on."""

    def is_terminal(self, state, params):
        return state.square == END

    def is_truncated(self, state, params):
        return state.time >= params.max_steps_in_episode


class FrankWalk:
    """As Frank has it."""

    observation_space = spaces.Discrete(END + 1)
    action_space = spaces.Discrete(2)
    reward_threshold, max_episode_steps = None, LIMIT

    def reset(self, key):
        square = first_square(key)
        return (square, jnp.int32(0)), square, None

    def step(self, state, action, key):
        square, time = next_square(state[0], action), state[1] + 1
        ends = square == END, time >= LIMIT
        return (square, time), FunctionalStep(square, None, reward_of(square), *ends)


class DoneWalk(FrankWalk):
    """One end for both."""

    def step(self, state, action, key):
        square = next_square(state[0], action)
        return (square, state[1] + 1), (square, reward_of(square), square == END, {})


class GrowingWalk(FrankWalk):
    """Its state grows."""

    def reset(self, key):
        return (first_square(key), jnp.zeros(1)), first_square(key), None

    def step(self, state, action, key):
        after, step = super().step((state[0], jnp.int32(0)), action, key)
        return (after[0], jnp.concatenate([state[1], jnp.zeros(1)])), step


class ListedWalk(FrankWalk):
    """Its state has more parts after a step."""

    def step(self, state, action, key):
        after, step = super().step(state[:2], action, key)
        return (*after, jnp.int32(1)), step


class WrongShapeWalk(FrankWalk):
    """Its observations have another shape than its space says."""

    observation_space = spaces.Box(0, END, (3,), np.float32)


class BranchingWalk(FrankWalk):
    """It asks for the value of a number."""

    def step(self, state, action, key):
        if state[0] > 2:
            action = 1
        return super().step(state, action, key)


class NumpyWalk(FrankWalk):
    """It computes with NumPy."""

    def step(self, state, action, key):
        return super().step((np.maximum(np.asarray(state[0]), 0), state[1]), action, key)


class RandomWalk(FrankWalk):
    """Its rewards come from a generator."""

    def step(self, state, action, key):
        after, step = super().step(state, action, key)
        return after, step._replace(reward=step.reward + np.random.default_rng().random())


class ScalingWalk(FrankWalk):
    """What it draws from a generator counts for an action that is not 0 alone."""

    def step(self, state, action, key):
        after, step = super().step(state, action, key)
        drawn = np.random.default_rng().random()
        return after, step._replace(reward=step.reward + drawn * jnp.asarray(action, jnp.float32))


class LookingUpWalk(FrankWalk):
    """It calls back, which is pure, and fails for what is no action."""

    def step(self, state, action, key):
        after, step = super().step(state, action, key)
        bonus = jax.pure_callback(
            lambda given: np.float32((0.0, 0.25)[int(given)]),
            jax.ShapeDtypeStruct((), jnp.float32),
            action,
            vmap_method="sequential",
        )
        return after, step._replace(reward=step.reward + bonus)


class CountingWalk(FrankWalk):
    """It counts its calls."""

    calls = 0

    def step(self, state, action, key):
        self.calls += 1
        return super().step(state, action, key)


class ListingWalk(FrankWalk):
    """It lists its calls."""

    def __init__(self):
        self.calls = []

    def step(self, state, action, key):
        self.calls.append("step")
        return super().step(state, action, key)


class ArrayWalk(FrankWalk):
    """It adds to an array in place, and pays what stands there."""

    def __init__(self):
        self.counts = np.zeros(2, np.float32)

    def step(self, state, action, key):
        self.counts += 1
        after, step = super().step(state, action, key)
        return after, step._replace(reward=step.reward + self.paid(action))

    def paid(self, action):
        return jnp.asarray(self.counts)[action]


class CompiledArrayWalk(ArrayWalk):
    """The array is a constant of a function in the function."""

    def paid(self, action):
        return jax.jit(lambda one: jnp.asarray(self.counts)[one])(action)


class UnusedArrayWalk(ArrayWalk):
    """Nothing depends on the array."""

    def paid(self, action):
        return 0.0


class NestedListWalk(FrankWalk):
    """It counts in a list in a mapping."""

    def __init__(self):
        self.counts = {"calls": [0]}

    def step(self, state, action, key):
        self.counts["calls"][0] += 1
        return super().step(state, action, key)


class RememberingWalk(FrankWalk):
    """It keeps its state in itself."""

    def reset(self, key):
        self.square = first_square(key)
        return super().reset(key)

    def step(self, state, action, key):
        return super().step((self.square, state[1]), action, key)


class CallingWalk(FrankWalk):
    """A callback on the host gives something else each time."""

    def step(self, state, action, key):
        after, step = super().step(state, action, key)
        drawn = jax.pure_callback(
            lambda: np.float32(np.random.default_rng().random()),
            jax.ShapeDtypeStruct((), np.float32),
        )
        return after, step._replace(reward=step.reward + drawn)


class KeyedWalk(FrankWalk):
    """It keeps a typed key in its state."""

    def reset(self, key):
        return (first_square(key), key), first_square(key), None

    def step(self, state, action, key):
        after, step = super().step((state[0], jnp.int32(0)), action, key)
        return (after[0], state[1]), step


class BrokenWalk(FrankWalk):
    """It raises."""

    def step(self, state, action, key):
        raise RuntimeError("no such square")


class NowhereWalk(GymnasiumWalk):
    """It does not say what it shows."""

    @property
    def observation_space(self):
        raise AttributeError("no space", name="observation_space", obj=self)


class FractionWalk(GymnasiumWalk):
    """Its space has bytes, and it shows numbers from 0 to 1."""

    observation_space = spaces.Box(0, 255, (1,), np.uint8)

    def observation(self, state, rng, params=None):
        return (state / END)[None]


class FractionsOfFive(GymnasiumWalk):
    """Its space numbers its squares, and it shows fractions."""

    observation_space = spaces.Discrete(5)

    def observation(self, state, rng, params=None):
        return state / END


class BfloatWalk(GymnasiumWalk):
    """Its state is of a type that NumPy does not have."""

    def initial(self, rng, params=None):
        return first_square(rng).astype(jnp.bfloat16)

    def transition(self, state, action, rng, params=None):
        return next_square(state, action).astype(jnp.bfloat16)


class FloatingWalk(GymnasiumWalk):
    """Its square becomes a fraction."""

    def transition(self, state, action, rng, params=None):
        return next_square(state, action) * 1.0


class FiveWalk(FrankWalk):
    """It steps as Gymnasium does on the host."""

    def step(self, state, action, key):
        return state, 1.0, False, False, {}


class TwoWalk(FrankWalk):
    """It begins as Gymnasium does on the host."""

    def reset(self, key):
        return super().reset(key)[1], {}


class EndlessWalk:
    """Frank's form with what it must have, and without an end."""

    observation_space = spaces.Box(0, 1, (1,), np.float32)
    action_space = spaces.Discrete(2)

    def reset(self, key):
        return jnp.zeros((), jnp.int32), jnp.zeros(1), None

    def step(self, state, action, key):
        no = jnp.zeros((), jnp.bool)
        return state, FunctionalStep(jnp.zeros(1), None, jnp.ones(()), no, no)


class LooksLikeGymnasium:
    """In the form of Gymnasium's environments, and none of them."""

    observation_space = spaces.Box(0, 1, (1,), np.float32)
    action_space = spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        return np.zeros(1, np.float32), {}

    def step(self, action):
        return np.zeros(1, np.float32), 0.0, False, False, {}


class SometimesNowhere(EndlessWalk):
    """One episode in three begins with what is no number."""

    def reset(self, key):
        nowhere = jax.random.bernoulli(key, 1 / 3)
        return jnp.zeros((), jnp.int32), jnp.where(nowhere, jnp.nan, jnp.zeros(1)), None


class AttributeLimitedWalk(EndlessWalk):
    """It names its time limit, and leaves it to Frank."""

    max_episode_steps = LIMIT


class TwoPlayers(PgxWalk):
    """A game for two."""

    num_players = 2


def make_walk(length=END):
    """A function that makes one."""
    return FrankWalk()
