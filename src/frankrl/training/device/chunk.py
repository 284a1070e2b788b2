"""A chunk: any number of rounds in one compiled call."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PyTree, UInt32

from frankrl.core.compiling import compiler_options

Carry = Any
"""Everything that rounds change; a pytree of arrays."""


class RoundOutput(NamedTuple):
    """What one round gives besides the new carry; of a chunk with an axis for rounds in front."""

    metrics: Float[Any, "update metric"]
    """A row for each update that a round can have; zeros for those that were not due."""
    td_errors: Float[Any, " batch"]
    """y - Q(s, a) in the last of these updates; zeros if there is none. [reward]"""
    episode_return: Float[Any, " step"]
    """By env step: of the episode that it ended, undiscounted."""
    episode_length: Int[Any, " step"]
    """Env steps of that episode; 0 if the step ended none."""
    unfit: Bool[Any, " step"]
    """By env step: `DeviceStep.unfit`. If any is set, the round has changed nothing of the carry,
    except in lanes."""


class ChunkOutput(NamedTuple):
    """The result of a chunk."""

    carry: Carry
    """Donated to the next chunk."""
    rounds: RoundOutput
    """By round; rows beyond the rounds that were done are zeros."""
    newest: PyTree[Array]
    """What only the last round gives, such as the transitions that it learned from."""
    params: Float[Any, " weight"]
    """θ after the chunk."""
    eval_params: Float[Any, " weight"]
    """Parameters for greedy acting."""


@runtime_checkable
class RoundFunction(Protocol):
    """One round as a pure function. It compares and hashes by value, so that equal ones share a
    compilation, and holds no arrays."""

    def __call__(
        self, carry: Carry, seed: UInt32[Array, "2"], schedule: Any, goes_on: Bool[Array, ""]
    ) -> tuple[Carry, RoundOutput, PyTree[Array]]:
        """The carry after the round, its output, and what only the last round of a chunk gives.

        Args:
            carry: before the round.
            seed: result of `seed_words`.
            schedule: the round's row of the tables that the host has made.
            goes_on: false after a round of this chunk in which an environment failed: then this
                one changes nothing of the carry.
        """
        ...

    @property
    def products(self) -> int:
        """Multiplications of numbers with weights for one batch; see `compiler_options`."""
        ...

    def params(self, carry: Carry) -> tuple[Float[Array, " weight"], Float[Array, " weight"]]:
        """θ and the parameters for greedy acting."""
        ...

    def in_lanes(self) -> "RoundFunction":
        """The same for the runs of several seeds as one program, vmapped along `LANES`."""
        ...


Chunk = Callable[[Carry, Any, Any, Any], ChunkOutput]


def make_chunk(one_round: RoundFunction) -> Chunk:
    """The function that does the first `num_rounds` rounds of a schedule.

    The number is an argument of the compiled program, so the same program does one round or all
    of them: where chunks end changes no bit. To batch it over seeds, vmap over carry and seed
    only; then the schedule's branches stay branches.
    """

    def chunk(
        carry: Carry, seed: UInt32[Array, "2"], schedule: Any, num_rounds: Int[Array, ""]
    ) -> ChunkOutput:
        def row(index: Any) -> Any:
            return jax.tree.map(lambda table: table[index], schedule)

        size = jax.tree.leaves(schedule)[0].shape[0]

        def this_round(*given: Any) -> Any:
            return one_round(*given)

        # Compiled in itself, so that it is traced once. JAX would take what it has traced of an
        # equal round, whose optimiser of the user's own may have been another one.
        traced = jax.jit(this_round)
        _, output, newest = jax.eval_shape(traced, carry, seed, row(0), jnp.array(True))
        outputs = jax.tree.map(lambda leaf: jnp.zeros((size, *leaf.shape), leaf.dtype), output)
        newest = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), newest)

        def body(index: Any, state: tuple) -> tuple:
            carry, outputs, _, goes_on = state
            carry, output, newest = traced(carry, seed, row(index), goes_on)
            outputs = jax.tree.map(lambda all, own: all.at[index].set(own), outputs, output)
            return carry, outputs, newest, goes_on & ~jnp.any(output.unfit)

        state = (carry, outputs, newest, jnp.array(True))
        carry, outputs, newest, _ = jax.lax.fori_loop(0, num_rounds, body, state)
        # Copies, because the carry is donated to the next chunk.
        params, eval_params = map(jnp.copy, one_round.params(carry))
        return ChunkOutput(carry, outputs, newest, params, eval_params)

    return chunk


@functools.lru_cache(maxsize=8)
def compiled_chunk(one_round: RoundFunction) -> Chunk:
    """The compiled chunk of one run; its carry is donated."""
    options = compiler_options(one_round.products)
    return jax.jit(make_chunk(one_round), donate_argnums=0, compiler_options=options)
