"""Sequences by the slowest means: whole episodes in lists, cut by plain loops."""

import dataclasses
from typing import Any

import jax
import numpy as np
from naive_replay import NUM_ACTIONS, NaiveStep, stacked

from frankrl.core.sequences import Sequences
from frankrl.core.types import SequenceSpec


@dataclasses.dataclass
class NaiveSequences:
    """Keeps all that ever happened; what can be drawn are the newest `capacity` starts of which all
    steps are there."""

    spec: SequenceSpec
    capacity: int
    num_envs: int
    n_step: int
    gamma: float
    frame_stack: int
    skipped: int
    """So many starts at the beginning are not kept."""

    def __post_init__(self) -> None:
        self._running: list[list[NaiveStep]] = [[] for _ in range(self.num_envs)]
        self._begun: list[tuple[list[NaiveStep], int]] = []
        """Of each env step its episode and its place in it."""

    def append(self, env_index: int, step: NaiveStep) -> None:
        episode = self._running[env_index]
        self._begun.append((episode, len(episode)))
        episode.append(step)
        if step.terminated or step.truncated:
            self._running[env_index] = []

    def cut_short(self, env_index: int) -> None:
        self._running[env_index] = []

    @property
    def starts(self) -> list[tuple[list[NaiveStep], int]]:
        """What can be drawn, the oldest first."""
        held = (self.spec.learned_steps + self.n_step - 2) * self.num_envs
        complete = self._begun[self.skipped : max(self.skipped, len(self._begun) - held)]
        return complete[-self.capacity :]

    @property
    def num_drawable(self) -> int:
        return len(self.starts)

    def batch(self, count: int) -> Sequences:
        """The sequences, the oldest first; the newest again and again after them."""
        found = [self._sequence(*start) for start in self.starts]
        return stacked([*found, *found[-1:] * (count - len(found))])

    def _sequence(self, episode: list[NaiveStep], first: int) -> Sequences:
        before, learned = self.spec.burn_in_steps, self.spec.learned_steps
        seen = [*(step.observation for step in episode), episode[-1].arrived]
        masks = [*(step.mask for step in episode), episode[-1].arrived_mask]
        nothing = jax.tree.map(np.zeros_like, seen[0])
        frames = [nothing] * (self.frame_stack - 1) + seen
        observation, is_shown, mask = [], [], []
        for place in range(first - before, first + learned + self.n_step):
            shown = 0 <= place < len(seen)
            newest = frames[max(place, 0) : max(place, 0) + self.frame_stack]
            stack = newest if shown else [nothing] * self.frame_stack
            observation.append(stack[0] if self.frame_stack == 1 else stacked(stack))
            is_shown.append(shown)
            mask.append(masks[place] if shown else np.ones(NUM_ACTIONS, bool))
        steps = [self._learned(episode, first + number) for number in range(learned)]
        return Sequences(
            spec=self.spec,
            observation=stacked(observation),
            is_shown=np.array(is_shown),
            memory=memory_before(episode[max(0, first - before)].observation),
            mask=None if masks[0] is None else np.stack(mask),
            action=np.array([action for action, *_ in steps], np.uint16),
            reward=np.array([reward for _, reward, *_ in steps], np.float32),
            discount=np.array([discount for *_, discount, _ in steps], np.float32),
            arrival=np.array(
                [before + number + step[-1] for number, step in enumerate(steps)], np.int32
            ),
            belongs=np.array([step[-1] > 0 for step in steps]),
        )

    def _learned(self, episode: list[NaiveStep], place: int) -> tuple[int, float, float, int]:
        """Action, sum of rewards, discount and number of rewards; zeros after the end."""
        reward, discount, count = 0.0, 1.0, 0
        for step in episode[place : place + self.n_step]:
            reward += discount * step.reward
            discount *= self.gamma
            count += 1
            if step.terminated or step.life_lost:
                discount = 0.0
                break
        if not count:
            return 0, 0.0, 0.0, 0
        return episode[place].action, reward, discount, count


def memory_before(observation: Any) -> np.ndarray:
    """What the acting network is said to have remembered before an observation."""
    vector = observation["vector"] if isinstance(observation, dict) else observation
    return np.concatenate([vector / 2**20, [0.5]]).astype(np.float32)


def with_memories(steps: Any) -> Any:
    """The steps of a round with the memory before each observation."""
    rows = len(jax.tree.leaves(steps.observation)[0])
    of_row = [jax.tree.map(lambda leaf: leaf[row], steps.observation) for row in range(rows)]  # noqa: B023
    return steps._replace(memory=np.stack([memory_before(each) for each in of_row]))
