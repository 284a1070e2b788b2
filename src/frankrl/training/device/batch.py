"""Runs that differ in their seeds alone, as one compiled program: a lane for each.

The program is the chunk of a run on the device, vmapped over carry and seed. Its last bits may
differ from those of the chunk of one run, because products of matrices are computed in another
order. What a lane does depends on its own seed and state, and on the number of lanes.
"""

import functools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from frankrl.core.compiling import compiler_options
from frankrl.core.errors import EnvironmentFailedError, RunFolderError
from frankrl.core.figures import counted
from frankrl.experience.device import LANES, DeviceSource
from frankrl.learning import has_own_optimiser
from frankrl.training.device.chunk import ChunkOutput, RoundFunction, make_chunk
from frankrl.training.device.dqn_round import DqnCarry, DqnRound
from frankrl.training.device.pqn_round import PqnCarry, PqnRound
from frankrl.training.device.rounds import (
    ended_episodes,
    failure_in,
    first_carry,
    max_rounds,
    round_of,
    schedule_for,
    train_state_of,
    whole_round,
    whole_rounds,
)
from frankrl.training.rounds import Round
from frankrl.training.state import Experiment, TrainState

NextStop = Callable[[int], int]


class _Lane(NamedTuple):
    """One run of a batch."""

    experiment: Experiment
    source: DeviceSource
    state: TrainState
    """Where it begins."""
    episodes: np.ndarray
    """Number of each environment's running episode; counted on."""


class SeedBatch:
    """Trains several runs together; each takes its own rounds from it.

    A run joins with `rounds_of`. All must join before the first `advance`, at the same env step
    and after the same number of updates; one that does not is refused with a `RunFolderError`.
    A lane that no run has joined, because its run is over, computes on from a beginning of its own
    and nobody reads it.
    """

    def __init__(self, num_lanes: int) -> None:
        self._num_lanes = num_lanes
        self._lanes: dict[int, _Lane] = {}
        self._next_stop: NextStop
        self.env_steps = 0
        """Env steps of each run so far."""
        self._updates = 0
        self._leaves: list[Array] = []
        """Of the carry of all lanes: its records have the shapes of one lane."""
        self._structure: Any = None
        """That of the carry of one lane."""
        self._round: DqnRound | PqnRound
        self._chunk: Callable[..., tuple[list[Array], ChunkOutput]] | None = None
        """Made once, before the first chunk."""
        self._newest: dict[int, Round | EnvironmentFailedError] = {}
        """The newest round of each lane, or the error with which it ended."""

    def rounds_of(self, index: int) -> Callable[..., Iterator[Round]]:
        """How the run of a lane gets its rounds; in place of `device_rounds`."""

        def rounds(
            experiment: Experiment, source: DeviceSource, state: TrainState, next_stop: NextStop
        ) -> Iterator[Round]:
            self._check_joins(index, experiment, state)
            episodes = np.asarray(source.states.episode).astype(np.int64)
            self._lanes[index] = _Lane(experiment, source, state, episodes)
            self._next_stop = next_stop
            self.env_steps, self._updates = state.ticks, state.updates
            return self._taken(index)

        return rounds

    def _check_joins(self, index: int, experiment: Experiment, state: TrainState) -> None:
        """Refuse a run that does not stand where the others do."""
        if self._chunk is not None or index in self._lanes or not 0 <= index < self._num_lanes:
            raise RuntimeError(f"no run can join lane {index} now")
        counts, ours = (state.ticks, state.updates), (self.env_steps, self._updates)
        if self._lanes and counts != ours:
            raise RunFolderError(
                f"runs go on as one program from the same env step only: the one with seed "
                f"{experiment.seed} stands at env step {counts[0]:,} after "
                f"{counted(counts[1], 'update')}, the others at env step {ours[0]:,} after "
                f"{counted(ours[1], 'update')}"
            )

    def _taken(self, index: int) -> Iterator[Round]:
        while True:
            found = self._newest.pop(index)
            if isinstance(found, EnvironmentFailedError):
                raise found
            yield found

    def advance(self) -> None:
        """Do a chunk of rounds in all lanes."""
        first = next(iter(self._lanes.values()))
        experiment, size = first.experiment, first.experiment.settings.round_ticks
        # The first chunk is one round, because starting up takes until its end.
        most = 1 if self._chunk is None else max_rounds(size)
        chunk = self._chunk or self._begin()
        wanted = -(-(self._next_stop(self.env_steps) - self.env_steps) // size)
        num_rounds = max(1, min(wanted, most))
        ends = self.env_steps + size * np.arange(1, num_rounds + 1)
        counts = np.diff([self._updates, *map(experiment.updates_due, ends.tolist())])
        schedule = schedule_for(experiment, self._round, self.env_steps, self._updates, counts)
        self._leaves, output = chunk(self._leaves, self._seeds, schedule, np.int32(num_rounds))
        before, self.env_steps = self.env_steps, self.env_steps + num_rounds * size
        self._updates += int(counts.sum())
        host: ChunkOutput = jax.tree.map(np.asarray, output)
        for index, lane in self._lanes.items():
            own_output = _of_lane(host, index)
            if whole_rounds(own_output.rounds, num_rounds) < num_rounds:
                about = (lane.experiment.spec, before, lane.episodes)
                self._newest[index] = failure_in(own_output.rounds, *about)
                continue
            lane.source.states = own_output.carry
            ended = ended_episodes(own_output.rounds, num_rounds, before, lane.episodes)
            found = whole_round(own_output, counts, ended, self.env_steps, self._updates)
            state = functools.partial(self._state_of, index, found)
            self._newest[index] = found._replace(state=state)

    def leave(self, index: int) -> None:
        """Let the run of a lane go, which is over; the lane computes on, and nobody reads it."""
        self._newest.pop(index, None)
        # The first lane's experiment stands for all, so that one stays.
        if len(self._lanes) > 1:
            del self._lanes[index]

    def _begin(self) -> Callable[..., tuple[list[Array], ChunkOutput]]:
        """Put the beginnings of all lanes together; returns the chunk."""
        joined = next(iter(self._lanes.values()))
        one_round = self._round = round_of(joined.experiment, joined.source)
        fill = DeviceSource(joined.source.environments, joined.experiment.seed)
        lanes = [self._lanes.get(i) for i in range(self._num_lanes)]
        self._seeds = np.stack([(lane.source if lane else fill).seed for lane in lanes])

        def carry(lane: _Lane | None) -> DqnCarry | PqnCarry:
            # The state of a lane that nobody reads is any.
            state, source = (lane.state, lane.source) if lane else (joined.state, fill)
            return first_carry(one_round, state, source)

        flat = [jax.tree.flatten(carry(lane)) for lane in lanes]
        self._structure = flat[0][1]
        self._leaves = [jnp.stack(column) for column in zip(*(f[0] for f in flat), strict=True)]
        for index, lane in self._lanes.items():
            # The states of single lanes would hold as much memory once more.
            self._lanes[index] = lane._replace(state=None)  # pyright: ignore[reportArgumentType]
        own = has_own_optimiser(joined.experiment.settings.learning)
        # An own optimiser, or a changed one, may stand under the same name later.
        made = compiled_batch.__wrapped__ if own else compiled_batch
        self._chunk = made(one_round, self._structure, self._num_lanes)
        return self._chunk

    def _state_of(self, index: int, found: Round) -> TrainState:
        """The training state of a lane after its newest round."""
        leaves = _sliced(self._leaves, np.int32(index))
        carry = jax.tree.unflatten(self._structure, leaves)
        return train_state_of(carry, found.output(), found.ticks, found.updates)


def rounds_in_lane(num_lanes: int, index: int) -> Callable[..., Iterator[Round]]:
    """How one run alone gets the rounds that it had in a lane, to the same bits; in place of
    `device_rounds`. The other lanes compute, too, and nobody reads them.

    Args:
        num_lanes: runs that were one program.
        index: the lane of the run.
    """

    def rounds(
        experiment: Experiment, source: DeviceSource, state: TrainState, next_stop: NextStop
    ) -> Iterator[Round]:
        batch = SeedBatch(num_lanes)
        taken = batch.rounds_of(index)(experiment, source, state, next_stop)
        while True:
            batch.advance()
            yield next(taken)

    return rounds


def computed_in_lanes(
    function: Callable[..., Any], num_lanes: int, products: int
) -> Callable[..., Any]:
    """A function compiled as a program of so many runs computes it for each of them.

    It takes the arguments of one run and gives its result: all lanes compute the same.

    Args:
        function: takes and gives pytrees of arrays.
        num_lanes: runs that were one program.
        products: of one of them; see `RoundFunction.products`.
    """
    options = compiler_options(num_lanes * products)

    @functools.partial(jax.jit, static_argnums=0, compiler_options=options)
    def compiled(structure: Any, leaves: list[Array]) -> list[Array]:
        def of_lane(own: list[Array]) -> list[Array]:
            return jax.tree.leaves(function(*jax.tree.unflatten(structure, own)))

        return jax.vmap(of_lane)(leaves)

    def of_one(*args: Any) -> Any:
        leaves, structure = jax.tree.flatten(args)
        # Outside of the compiled function, which would compute once what it knows to be the same.
        every = [jnp.broadcast_to(leaf, (num_lanes, *jnp.shape(leaf))) for leaf in leaves]
        found = [leaf[0] for leaf in compiled(structure, every)]
        shapes = jax.eval_shape(function, *args)
        return jax.tree.unflatten(jax.tree.structure(shapes), found)

    return of_one


@functools.lru_cache(maxsize=8)
def compiled_batch(
    one_round: RoundFunction, structure: Any, num_lanes: int
) -> Callable[..., tuple[list[Array], ChunkOutput]]:
    """The compiled chunk of all lanes, from the leaves of their carries, which are donated.

    It returns the new leaves and the output, whose carry has the environments alone. Schedule and
    number of rounds are the same for all lanes, so that branches stay branches.

    Args:
        one_round: the round of each run.
        structure: that of the carry of one lane.
        num_lanes: number of runs.
    """
    chunk = make_chunk(one_round.in_lanes())

    def of_lane(
        leaves: list[Array], seed: Any, schedule: Any, num_rounds: Any
    ) -> tuple[list[Array], ChunkOutput]:
        output = chunk(jax.tree.unflatten(structure, leaves), seed, schedule, num_rounds)
        # Copies, because the leaves are donated to the next call.
        environments = jax.tree.map(jnp.copy, output.carry.environments)
        return jax.tree.leaves(output.carry), output._replace(carry=environments)

    lanes = jax.vmap(of_lane, in_axes=(0, 0, None, None), axis_name=LANES)
    options = compiler_options(num_lanes * one_round.products)
    return jax.jit(lanes, donate_argnums=0, compiler_options=options)


@jax.jit
def _sliced(leaves: list[Array], index: Any) -> list[Array]:
    return [leaf[index] for leaf in leaves]


def _of_lane(host: ChunkOutput, index: int) -> ChunkOutput:
    """What a chunk gave in one lane, as views; of the carry, the environments alone."""
    return jax.tree.map(lambda leaf: leaf[index], host)
