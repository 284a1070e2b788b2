"""What an update of a network with memory costs, as a multiple of the arithmetic of its sequences.

`python -m benchmarks recurrent` times the very call that training makes after a round, on a full
buffer of random steps shaped like LunarLander's. Beside it, in turns and on the same thread, it
times the arithmetic: the matrix products of the update and nothing else, in one straight compiled
call. The products with the memory are as many and as small there as the order of time makes them,
each with the result of the one before; those over all steps at once are single ones. All else
(gates, target, loss, Adam, adding the steps, building the sequences) is what the multiple pays for.
Times are of the processor, since the learner has one thread, so that other programs count little.
Takes a minute or two.
"""

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from jaxtyping import Array

from benchmarks.update import NUM_ENVS, lander, random_steps, timed
from frankrl.config import Settings
from frankrl.core.backend import start_backend
from frankrl.core.types import Steps
from frankrl.training import Experiment, init_train_state
from frankrl.training.learner_call import compiled_learn
from frankrl.training.rounds import learner_input


@dataclass(frozen=True)
class Options:
    """What to measure."""

    updates_per_call: int = 4
    """Updates in one compiled call."""
    turns: int = 15
    """Turns; in each, every case and its arithmetic are timed once."""
    cases: tuple[str, ...] = ("128:32:40:10", "128:64:40:10", "128:64:80:40", "64:32:40:10")
    """UNITS:BATCH:STEPS:BURN_IN."""


@dataclass(frozen=True)
class Case:
    """One size of memory and batch."""

    settings: Settings

    @classmethod
    def parse(cls, text: str) -> "Case":
        """A case from its text."""
        units, batch, steps, burn_in = map(int, text.split(":"))
        changes = {
            "num_envs": NUM_ENVS,
            "memory": "gru",
            "memory_units": units,
            "batch_size": batch,
            "sequence_steps": steps,
            "burn_in_steps": burn_in,
            "replay_capacity": 20_000,
            "learning_starts_env_steps": 10_000,
        }
        return cls(Settings().with_changes(**changes).resolved())

    def update(self, num_updates: int) -> Callable[[], None]:
        """A function that does so many updates and waits for them."""
        experiment = Experiment.of(self.settings, lander(), seed=0)
        random, units = np.random.default_rng(0), experiment.network.memory_units
        state, replay = init_train_state(experiment), experiment.replay
        add = jax.jit(replay.add, donate_argnums=(0,))

        def steps(count: int) -> Steps:
            memory = random.uniform(-1, 1, (count + NUM_ENVS, units)).astype(np.float32)
            return random_steps(random, count)._replace(memory=memory)

        full = state.replay
        for _ in range(2):
            full = add(full, steps(replay.capacity))
        env_steps = 2 * replay.capacity + self.settings.round_ticks
        given = learner_input(
            experiment, steps(self.settings.round_ticks), env_steps, 0, num_updates
        )
        leaves, structure = jax.tree.flatten((state.learner, full))
        learn = compiled_learn(self.settings.learning, experiment.network, replay, structure)

        def once() -> None:
            nonlocal leaves
            output = learn(leaves, given)
            leaves = output.leaves
            output.params.block_until_ready()

        return once

    def arithmetic(self, num_updates: int) -> Callable[[], None]:
        """A function that computes the matrix products of so many updates and waits for them."""
        products = _Products.of(self.settings)
        random = np.random.default_rng(0)
        weights = [
            jnp.asarray(random.uniform(-0.1, 0.1, shape), jnp.float32) for shape in products.shapes
        ]
        rows = jnp.asarray(random.normal(size=products.inputs), jnp.float32)

        @jax.jit
        def all_of(weights: list[Array], rows: Array) -> list[list[Array]]:
            found = []
            for _ in range(num_updates):
                # Each update's products wait for those of the one before.
                after = 1e-9 * found[-1][-1][0, 0] if found else 0.0
                found.append(products.of_update(weights, rows + after))
            return found

        def once() -> None:
            jax.block_until_ready(all_of(weights, rows))

        return once


@dataclass(frozen=True)
class _Products:
    """The matrix products of one update."""

    batch: int
    burn_in: int
    learned: int
    after: int
    """Observations after the learned steps."""
    widths: tuple[int, ...]
    """Of the inputs, the memory, the hidden layers and the outputs."""

    @classmethod
    def of(cls, settings: Settings) -> "_Products":
        (leaf,) = lander().leaves
        replay, network = settings.replay, settings.network
        return cls(
            replay.batch_size,
            replay.burn_in_steps,
            replay.sequence_steps - replay.burn_in_steps,
            replay.n_step,
            (leaf.size, network.memory_units, *network.hidden_widths, lander().num_actions),
        )

    @property
    def time(self) -> int:
        return self.burn_in + self.learned + self.after

    @property
    def inputs(self) -> tuple[int, int]:
        return self.batch * self.time, self.widths[0]

    @property
    def shapes(self) -> list[tuple[int, int]]:
        inputs, units, *layers = self.widths
        dense = zip((units, *layers), layers, strict=False)
        return [(inputs, 3 * units), (units, 3 * units), *dense]

    def of_update(self, weights: list[Array], rows: Array) -> list[Array]:
        """Every product, of which none can be left out; the last is the first one's."""
        by_input, by_memory, *dense = weights
        units, reach = self.widths[1], self.learned + self.after
        forward = [(rows + network) @ by_input for network in range(2)]
        memories = [product[: self.batch, :units] for product in forward]
        for network, step in itertools.product(range(2), range(self.time)):
            memories[network] = self._gated(memories[network] @ by_memory, step)
        flowing = memories[0]
        for step in range(reach):
            flowing = jnp.concatenate([flowing, -flowing, flowing + step], axis=1) @ by_memory.T
        backward = forward[0][: self.batch * reach] + flowing[0, 0]
        gradients = [rows[: len(backward)].T @ backward, backward[:, :units].T @ backward]
        online, target = (
            self._through(dense, product[: self.batch * self.learned, :units] + memory[0, 0])
            for product, memory in zip(forward, memories, strict=True)
        )
        own = online[-1]
        for below, weight in zip(online[-2::-1], dense[::-1], strict=True):
            gradients.append(below.T @ own)
            own = own @ weight.T
        return [*gradients, own, online[-1], target[-1], forward[1], flowing]

    def _through(self, dense: list[Array], rows: Array) -> list[Array]:
        """The rows, and what comes out of each layer."""
        found = [rows]
        for weight in dense:
            found.append(found[-1] @ weight)
        return found

    def _gated(self, product: Array, step: int) -> Array:
        """All columns of a product take part; of the gates this is the least."""
        units = self.widths[1]
        return product[:, :units] + product[:, units : 2 * units] - product[:, 2 * units :] + step


def main(options: Options) -> None:
    """Measure and print a table."""
    count = options.updates_per_call
    print(f"XLA's threads: {start_backend()}, updates in a call: {count}\n")
    print("| units · batch · steps · burn-in | ms an update | quartiles | ms of arithmetic | × |")
    print("|---|---|---|---|---|")
    for text in options.cases:
        case = Case.parse(text)
        seconds = timed(
            [case.update(count), case.arithmetic(count)], options.turns, 2, time.process_time
        )
        low, median, high = np.percentile(seconds[0], [25, 50, 75]) / count * 1e3
        least = np.median(seconds[1]) / count * 1e3
        ratio = np.median(seconds[0] / seconds[1])
        print(
            f"| {text.replace(':', ' · ')} | {median:.2f} | {low:.2f}–{high:.2f} | {least:.2f} | "
            f"{ratio:.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
