"""The learner's call of a round: store the steps, draw batches, do the updates."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from frankrl.config import LearningSettings
from frankrl.core.compiling import compiler_options
from frankrl.core.normalisation import Scales
from frankrl.core.sequences import Sequences
from frankrl.core.types import Steps, Transition
from frankrl.learning import LearnerState, UpdateMetrics, UpdateNoise, updates
from frankrl.networks import QNetwork
from frankrl.replay import ReplayBuffer, ReplayState, Sample, joined, parted
from frankrl.training.replay_place import Device, learning_device

Buffers = tuple[ReplayBuffer, ReplayBuffer | None]
"""Definitions: of a run's own buffer, and of that of a data set, of which batches have a part."""


Stored = tuple[ReplayState, ReplayState | None]
"""Their states."""
Drawn = tuple[Sample, Transition | Sequences]
"""What a round's updates learn from."""


class LearnerInput(NamedTuple):
    """Input of the learner's call of one round."""

    steps: Steps | None
    """Steps of the round; their number is fixed. None: the run does not act."""
    draws: Any
    """Input for sampling the transitions of the updates that are due, the result of
    `Sampler.draws`; None if none is due."""
    learning_rate: Float[Any, ""]
    noise: UpdateNoise
    """Random numbers of the updates that are due."""
    scales: Scales | None = None
    """How observations and rewards are normalised; None: they are not."""
    demonstration_draws: Any = None
    """Input for sampling the share of a data set, as `draws`; None: there is none."""


class LearnerOutput(NamedTuple):
    """Output of the learner's call of one round.

    On the CPU its arrays may still be being computed; reading one waits for it.
    """

    leaves: list[Array]
    """Leaves of the learner and the buffers; donated to the next call."""
    params: Float[Array, " weight"]
    """θ after the updates of the round."""
    eval_params: Float[Array, " weight"]
    """Parameters for greedy acting after these updates."""
    metrics: Float[Any, "update metric"]
    """A row for each update of the round; columns as in `UpdateMetrics`."""
    td_errors: Float[Any, "round batch"]
    """y - Q(s, a) in the last of these updates; no row if there is none. [reward]"""
    sample: PyTree
    """The transitions that these updates learned from, a `Sample`, or with PQN a `PqnSample`; None
    if there is none."""


def sampled(
    buffers: Buffers, stored: ReplayState, others: ReplayState | None, given: LearnerInput
) -> tuple[Sample, Transition | Sequences]:
    """The transitions of all updates of a round; those of a data set stand behind the own ones."""
    replay, demonstrations = buffers
    own = replay.sample(stored, given.draws, given.scales)
    if demonstrations is None or others is None:
        return own
    return joined(own, demonstrations.sample(others, given.demonstration_draws, given.scales))


class _Updated(NamedTuple):
    """What the updates of a round come to."""

    learner: LearnerState
    params: Float[Array, " weight"]
    eval_params: Float[Array, " weight"]
    """Copies, because the learner is donated to the next call."""
    metrics: Float[Any, "update metric"]
    td_errors: Float[Any, "round batch"]
    priorities: Float[Array, "update batch"] | None


class _Parts(NamedTuple):
    """The parts of the call, which one program holds, or one for each device."""

    settings: LearningSettings
    network: QNetwork
    buffers: Buffers

    @property
    def options(self) -> dict[str, Any] | None:
        """How the updates are compiled."""
        transitions = sum(each.update_transitions for each in self.buffers if each is not None)
        return compiler_options(self.network.num_products * transitions)

    def drawn(self, stored: Stored, given: LearnerInput) -> tuple[Stored, Drawn | None]:
        """The buffers with the steps of the round, and the batches of the updates that are due."""
        own, others = stored
        if given.steps is not None:
            own = self.buffers[0].add(own, given.steps)
        if given.draws is None:
            return (own, others), None
        # One gather for all updates is faster than one for each.
        return (own, others), sampled(self.buffers, own, others, given)

    def updated(self, learner: LearnerState, drawn: Drawn | None, given: LearnerInput) -> _Updated:
        """The learner after the updates on these batches."""
        batch_size = sum(each.sampler.batch_size for each in self.buffers if each is not None)
        metrics = jnp.zeros((0, len(UpdateMetrics._fields)), jnp.float32)
        td_errors = jnp.zeros((0, batch_size), jnp.float32)
        priorities = None
        if drawn is not None:
            sample, batches = drawn
            learner, output = updates(
                self.settings,
                self.network,
                learner,
                batches,
                given.learning_rate,
                given.noise,
                sample.weights,
            )
            metrics, td_errors = output.metrics, output.td_errors[-1:]
            priorities = output.priorities
        params, eval_params = jnp.copy(learner.params), jnp.copy(learner.eval_params)
        return _Updated(learner, params, eval_params, metrics, td_errors, priorities)

    def prioritised(
        self, stored: Stored, sample: Sample, priorities: Float[Array, "update batch"] | None
    ) -> Stored:
        """The buffers with the priorities of what has been learned from."""
        (own, others), (replay, demonstrations) = stored, self.buffers
        if demonstrations is None or others is None:
            return replay.set_priorities(own, sample, priorities), others
        first, second = parted((sample, priorities), replay.sampler.batch_size)
        own = replay.set_priorities(own, *first)
        return own, demonstrations.set_priorities(others, *second)


def _output(stored: Stored, sample: Sample | None, updated: _Updated) -> LearnerOutput:
    return LearnerOutput(
        leaves=jax.tree.leaves((updated.learner, *stored)),
        params=updated.params,
        eval_params=updated.eval_params,
        metrics=updated.metrics,
        td_errors=updated.td_errors,
        sample=sample,
    )


@functools.lru_cache(maxsize=8)
def compiled_learn(
    settings: LearningSettings,
    network: QNetwork,
    replay: ReplayBuffer,
    structure: Any,
    demonstrations: ReplayBuffer | None = None,
    host: Device | None = None,
) -> Callable[[list[Array], LearnerInput], LearnerOutput]:
    """The compiled learner's call: adds steps to the buffer, then does the updates.

    It takes the flat leaves of learner and buffers, which are donated; otherwise each call would
    copy the whole buffer. The number of updates follows from the shape of the draws. A run has at
    most three: none, and `replay_ratio` × env steps of a round, rounded down and up.

    Args:
        settings: those of the learner.
        network: the Q-network.
        replay: the buffer that the run fills.
        structure: of the tree of the learner and both buffers.
        demonstrations: the buffer of a data set.
        host: in whose memory the buffers lie; None: where the updates are done.
    """
    parts = _Parts(settings, network, (replay, demonstrations))
    if host is not None:
        return _learn_from(host, parts, structure)

    @functools.partial(jax.jit, donate_argnums=(0,), compiler_options=parts.options)
    def compiled(leaves: list[Array], given: LearnerInput) -> LearnerOutput:
        learner, own, others = jax.tree.unflatten(structure, leaves)
        (own, others), drawn = parts.drawn((own, others), given)
        updated = parts.updated(learner, drawn, given)
        if drawn is not None:
            own, others = parts.prioritised((own, others), drawn[0], updated.priorities)
        return _output((own, others), drawn and drawn[0], updated)

    return compiled


def _learn_from(
    host: Device, parts: _Parts, structure: Any
) -> Callable[[list[Array], LearnerInput], LearnerOutput]:
    """The learner's call where the buffers lie in the host's memory: a program for each device.

    Batches are drawn on the host, sent to the device that learns, and priorities sent back.
    """
    learning = learning_device()
    draw = jax.jit(parts.drawn, donate_argnums=0)
    learn = jax.jit(parts.updated, donate_argnums=0, compiler_options=parts.options)
    prioritise = jax.jit(parts.prioritised, donate_argnums=0)

    def called(leaves: list[Array], given: LearnerInput) -> LearnerOutput:
        learner, own, others = jax.tree.unflatten(structure, leaves)
        for_updates = given._replace(steps=None, draws=None, scales=None, demonstration_draws=None)
        stored, drawn = draw((own, others), given._replace(learning_rate=None, noise=None))
        sample = drawn and drawn[0]
        updated = learn(learner, jax.device_put(drawn, learning), for_updates)
        if sample is not None:
            priorities = jax.device_put(updated.priorities, host)
            stored = prioritise(stored, sample, priorities)
        return _output(stored, sample, updated)

    return called
