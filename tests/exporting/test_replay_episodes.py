"""The whole episodes of a replay buffer, beside lists of what the environments gave."""

from typing import NamedTuple

import jax
import numpy as np
import pytest
from data_sets import assert_same_episode
from exporting.exported_agents import spec_for
from gymnasium import spaces
from replay.naive_replay import NUM_ACTIONS, World, stacked

from frankrl.datasets import DataEpisode
from frankrl.exporting.replay_episodes import whole_episodes
from frankrl.replay import ReplayBuffer, UniformSampler, cut_short

FIRST_ACTION = 3
LONE = spaces.Box(-np.inf, np.inf, (2,), np.float64)
DICT = spaces.Dict(
    picture=spaces.Box(0, 255, (2, 2), np.uint8), vector=spaces.Box(-np.inf, np.inf, (2,))
)


class Setup(NamedTuple):
    num_envs: int
    n_step: int
    capacity: int
    kind: str
    mask: str
    """Where it is: nowhere, in the info, or in the observation."""
    frame_stack: int = 1
    begin: int = 0
    """Env step at which the buffer begins, empty."""

    def spec(self):
        space = LONE if self.kind == "lone" else DICT
        if self.mask == "observation":
            parts = {"board": LONE} if self.kind == "lone" else dict(DICT)
            space = spaces.Dict({**parts, "action_mask": spaces.MultiBinary(NUM_ACTIONS)})
        key = "legal" if self.mask == "info" else ""
        return spec_for(space, actions=NUM_ACTIONS, first_action=FIRST_ACTION, mask=key)

    def buffer(self):
        sizes = self.capacity, self.num_envs, self.n_step
        return ReplayBuffer(
            *sizes, 0.5, UniformSampler(2), self.frame_stack, first_env_step=self.begin
        )


SETUPS = {
    "several": Setup(4, 1, 90, "dict", "info"),
    "n steps": Setup(3, 4, 50, "lone", "observation"),
    "stacks": Setup(2, 2, 60, "dict", "observation", frame_stack=3),
    "stacks begun later": Setup(2, 2, 200, "lone", "", frame_stack=3, begin=30),
}


class Noted:
    """What each environment gave, episode by episode."""

    def __init__(self, setup):
        self.setup, self.spec = setup, setup.spec()
        self.running = [[] for _ in range(setup.num_envs)]
        self.ended = []
        """The steps of each episode that ended, with their env steps."""

    def add(self, env_step, step):
        steps = self.running[env_step % self.setup.num_envs]
        steps.append((env_step, step))
        if step.terminated or step.truncated:
            self.cut(env_step % self.setup.num_envs)

    def cut(self, env_index):
        if self.running[env_index]:
            self.ended.append(self.running[env_index])
        self.running[env_index] = []

    def whole(self, first, num_steps):
        """Those whose steps are all in the buffer, in the order of their begins."""
        found = {}
        for steps in self.ended:
            begin = steps[0][0]
            # Where the buffer begins later, it cannot know that an episode began there, too.
            known = self.setup.begin == 0 or begin >= self.setup.begin + self.setup.num_envs
            if known and first <= begin:
                found[begin] = self._episode([step for _, step in steps])
        return [found[begin] for begin in sorted(found)]

    def _episode(self, steps):
        states = stacked([*(step.observation for step in steps), steps[-1].arrived])
        if self.setup.kind == "lone":
            states = states.astype(np.float64)
        masks = None
        if self.setup.mask:
            masks = np.stack([*(step.mask for step in steps), steps[-1].arrived_mask])
        if self.setup.mask == "observation":
            parts = {"board": states} if self.setup.kind == "lone" else states
            states, masks = parts | {"action_mask": masks.astype(np.int8)}, None
        return DataEpisode(
            observations=states,
            actions=np.array([step.action for step in steps]) + FIRST_ACTION,
            rewards=np.array([step.reward for step in steps]),
            terminated=steps[-1].terminated,
            truncated=not steps[-1].terminated,
            masks=masks,
        )


@pytest.mark.parametrize("name", SETUPS)
def test_whole_episodes_of_a_buffer_are_what_the_environments_gave(name):
    setup = SETUPS[name]
    buffer, noted = setup.buffer(), Noted(setup)
    world = World(setup.num_envs, setup.kind, masked=bool(setup.mask), seed=7)
    shapes = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), world.observation(0)
    )
    state = buffer.init(shapes, NUM_ACTIONS if setup.mask else None, buffer.num_rows)
    add, env_step, seen = jax.jit(buffer.add), setup.begin, 0
    random = np.random.default_rng(3)
    for round_number in range(40):
        vector_steps = [world.vector_step(0.1, 0.1) for _ in range(2)]
        steps = world.steps(vector_steps)
        for vector_step in vector_steps:
            for step in vector_step:
                noted.add(env_step, step)
                env_step += 1
        state = add(state, steps)
        if round_number % 15 == 9:
            # As where an environment could not be restored.
            env_index = int(random.integers(setup.num_envs))
            running = noted.running[env_index]
            noted.cut(env_index)
            if running:
                world.reset(env_index)
                state = cut_short(buffer, state, [env_index])
                # Nothing else tells the observation that it arrived at.
                running[-1][1].truncated = True
        if round_number % 7 == 0 or round_number == 39:
            first, _ = buffer.drawable(env_step)
            found = list(whole_episodes(noted.spec, buffer, state))
            for one, other in zip(found, noted.whole(first, env_step), strict=True):
                assert_same_episode(one, other)
            seen += len(found)
    assert seen > 10
