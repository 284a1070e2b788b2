"""The experience replay buffer: init, add, sample, set_priorities."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PyTree, UInt32

from frankrl.core.normalisation import Scales
from frankrl.core.sequences import Sequences
from frankrl.core.types import SequenceSpec, Steps, Transition
from frankrl.replay.read import Span, TransitionSpec, read_transitions, spans
from frankrl.replay.sampler import Sample, Sampler
from frankrl.replay.sequences import drawn_alike, first_learned, read_sequences
from frankrl.replay.state import ReplayState, field_shapes
from frankrl.replay.write import with_steps

_STEPS_PER_ENDING = 64
"""A new buffer has room for one episode end per this many steps; `with_ending_rows` adds more."""


@dataclass(frozen=True)
class ReplayBuffer:
    """Stores steps once and builds transitions when sampled. Holds no arrays; hashable.

    A transition spans `n_step` steps of one environment, or fewer if its episode ends earlier. It
    can be sampled once `n_step` steps have passed, even if its episode ended earlier. With a
    `frame_stack`, each of its observations is the newest ones of the episode up to there.
    """

    capacity: int
    """Number of transitions that can be sampled; a new one replaces the oldest."""
    num_envs: int
    """Number of environments; their steps are stored in turns."""
    n_step: int
    gamma: float
    """Discount γ per env step."""
    sampler: Sampler
    frame_stack: int = 1
    """Observations that are stacked, along an axis in front; 1: there is no such axis."""
    most_env_steps: int | None = None
    """Most env steps that will be added in all; None: any number."""
    first_env_step: int = 0
    """Env step of the run at which the buffer began, empty."""
    rounds_end_episodes: bool = False
    """Every environment's last step of a round ends its episode, or is stored as if it did. So no
    transition waits for the round after."""
    all_may_end: bool = False
    """There is room for an episode end after every step, so it never grows: compiled rounds cannot
    let it grow."""
    sequences: SequenceSpec | None = None
    """What is sampled in place of transitions for a network with memory: sequences, each by its
    first learned step."""

    @property
    def _transitions(self) -> TransitionSpec:
        """What makes its steps transitions."""
        return TransitionSpec(self.num_envs, self.n_step, self.gamma, self.frame_stack)

    @property
    def update_transitions(self) -> int:
        """Transitions that an update takes from it: with memory those of its sequences."""
        each = 1 if self.sequences is None else self.sequences.learned_steps
        return self.sampler.batch_size * each

    @property
    def _reach(self) -> int:
        """Steps of one environment from the first of a transition, or of the learned ones of a
        sequence, to the one that leads to its last observation."""
        return self.n_step + (self.sequences.learned_steps - 1 if self.sequences else 0)

    @property
    def _lookback(self) -> int:
        """Observations of one environment before the first that a transition or sequence reads:
        those in stacks, and those of the burn-in."""
        return self.frame_stack - 1 + (self.sequences.burn_in_steps if self.sequences else 0)

    @property
    def num_rows(self) -> int:
        """Rows for steps: those of all transitions, the steps after them, the current observation
        of each environment, and the older ones in stacks and burn-ins; no more than will be
        filled."""
        rows = self.capacity + (self._reach + self._lookback) * self.num_envs
        if self.most_env_steps is None:
            return rows
        return min(rows, self.most_env_steps + self.num_envs)

    @property
    def most_transitions(self) -> int:
        """Most transitions that will be in the buffer at a time."""
        most = self.most_env_steps
        return self.capacity if most is None else min(self.capacity, most)

    @property
    def _first_whole(self) -> int:
        """Env step of the first transition whose stack, or burn-in, is known: a buffer that begins
        within episodes lacks their observations before."""
        older = self._lookback * self.num_envs
        return self.first_env_step + older if self.first_env_step else 0

    def init(
        self,
        observation: PyTree[jax.ShapeDtypeStruct],
        num_masked_actions: int | None,
        ending_rows: int,
    ) -> ReplayState:
        """An empty buffer.

        Args:
            observation: shapes and dtypes of the leaves of one observation.
            num_masked_actions: number of actions if there are action masks, else None.
            ending_rows: rows for the last observations of episodes.
        """
        rows = self.num_rows
        room = rows + ending_rows
        mask = None
        if num_masked_actions is not None:
            mask = jnp.zeros((room, num_masked_actions), jnp.bool_)
        return ReplayState(
            observation=jax.tree.map(
                lambda leaf: jnp.zeros((room, *leaf.shape), leaf.dtype), observation
            ),
            mask=mask,
            **{name: jnp.zeros(*field) for name, field in field_shapes(rows).items()},
            num_steps=jnp.full((), self.first_env_step, jnp.uint32),
            num_endings=jnp.zeros((), jnp.uint32),
            priorities=self.sampler.init(self.capacity),
            memory=self.sequences and jnp.zeros((rows, self.sequences.memory_units), jnp.float32),
        )

    def drawable(self, num_steps: int) -> tuple[int, int]:
        """The transitions that can be sampled after so many env steps of the run.

        Returns:
            The env step at which the oldest begins, and the one after that of the newest.
        """
        begin = self._first_whole
        end = max(begin, num_steps - self._held)
        return max(begin, end - self.capacity), end

    @property
    def _held(self) -> int:
        """The newest env steps, whose transitions wait for steps to come."""
        return 0 if self.rounds_end_episodes else (self._reach - 1) * self.num_envs

    def add(
        self, state: ReplayState, steps: Steps, kept: Bool[Array, ""] | bool = True
    ) -> ReplayState:
        """The buffer with the steps of a round; they overwrite the oldest ones.

        Args:
            state: donate it to the compiled call; otherwise the whole buffer is copied.
            steps: at most `capacity`; their number is fixed. With errors only if
                `rounds_end_episodes`, because each is that of a whole transition.
            kept: whether they are stored; if not, nothing changes.
        """
        new_state = with_steps(state, steps, self.num_envs, kept)
        # Without the barrier XLA may copy the whole buffer between writing and reading.
        new_state = jax.lax.optimization_barrier(new_state)
        first, end = self._ends_drawable(state.num_steps), self._ends_drawable(new_state.num_steps)
        most = steps.action.shape[0]
        return self.sampler.add(new_state, self.capacity, first, end, most, steps.errors)

    def _ends_drawable(self, num_steps: UInt32[Array, ""]) -> UInt32[Array, ""]:
        held = jnp.uint32(self._held)
        begin = jnp.uint32(self._first_whole)
        return jnp.where(num_steps > begin + held, num_steps - held, begin).astype(jnp.uint32)

    def window(self, num_steps: UInt32[Array, ""]) -> tuple[UInt32[Array, ""], UInt32[Array, ""]]:
        """What `drawable` gives, in compiled code."""
        end, begin = self._ends_drawable(num_steps), jnp.uint32(self._first_whole)
        full = end > begin + jnp.uint32(self.capacity)
        return jnp.where(full, end - jnp.uint32(self.capacity), begin), end

    def sample(
        self, state: ReplayState, draws: Any, scales: Scales | None = None
    ) -> tuple[Sample, Transition | Sequences]:
        """Sample the transitions, or sequences, for the updates of a round, and build them from the
        steps.

        Args:
            state: the buffer, with the round's steps.
            draws: result of the sampler's `draws`, made on the host.
            scales: how observations and rewards are normalised; None: they are not.

        Returns:
            The sample, and its transitions with fields of shape (update, batch, …).
        """
        sample = self.sampler.sample(state, self.capacity, draws)
        if self.sequences is None:
            return sample, self.read(state, sample.env_steps, scales)
        first = self.first_learned(state, sample.env_steps)
        return sample, self.read_sequences(state, first, scales)

    def read(
        self,
        state: ReplayState,
        env_steps: UInt32[Array, "*batch"],
        scales: Scales | None = None,
    ) -> Transition:
        """The transitions that begin at the given env steps, normalised by `scales` if any."""
        return read_transitions(state, env_steps, self._transitions, scales)

    def first_learned(
        self, state: ReplayState, env_steps: UInt32[Array, "*batch"]
    ) -> UInt32[Array, "*batch"]:
        """The first learned steps of the sequences that are drawn by the given env steps: near an
        episode's start, that start."""
        if self.sequences is None:
            raise RuntimeError("a network without memory learns from transitions")
        return first_learned(state, env_steps, self.sequences, self.num_envs)

    def read_sequences(
        self,
        state: ReplayState,
        env_steps: UInt32[Array, "*batch"],
        scales: Scales | None = None,
    ) -> Sequences:
        """The sequences whose first learned steps are the given env steps; otherwise as `read`."""
        if self.sequences is None:
            raise RuntimeError("a network without memory learns from transitions")
        return read_sequences(state, env_steps, self.sequences, self._transitions, scales)

    def spans(self, state: ReplayState, env_steps: UInt32[Array, "*batch"]) -> Span:
        """The steps that make up the transitions which begin at the given env steps."""
        return spans(state, env_steps, self._transitions)

    def set_priorities(
        self, state: ReplayState, sample: Sample, priorities: Float[Array, "update batch"] | None
    ) -> ReplayState:
        """The buffer with new priorities for the transitions, or sequences, of a sample.

        A sequence gets its priority under every env step that draws it.

        Args:
            state: the buffer, with the steps it had when the sample was drawn.
            sample: the sampled transitions.
            priorities: error of each (`Head.priorities`); None if the sampler gives no weights.
        """
        if self.sequences is not None and priorities is not None:
            drawn = sample.env_steps[..., None]
            alike = drawn_alike(state, sample.env_steps, self.sequences, self.num_envs)
            first, end = self.window(state.num_steps)
            alike = jnp.where((alike >= first) & (alike < end), alike, drawn)
            count = alike.shape[-1]
            sample = sample._replace(env_steps=alike.reshape(alike.shape[0], -1))
            priorities = jnp.repeat(priorities, count, axis=-1)
        return self.sampler.set_priorities(state, self.capacity, sample, priorities)


def first_ending_rows(buffer: ReplayBuffer, round_env_steps: int) -> int:
    """Rows for the last observations of episodes in a new buffer."""
    if buffer.all_may_end:
        return buffer.num_rows
    return 2 * round_env_steps + min(buffer.capacity, buffer.num_rows) // _STEPS_PER_ENDING
