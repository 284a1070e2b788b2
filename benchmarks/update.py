"""What an update costs, as a multiple of its arithmetic at this machine's matrix rate.

`python -m benchmarks.update` times the very call that training makes after a step of 16
environments, on a full buffer of random steps shaped like LunarLander's, and beside it, in
turns, a large matrix product on the same one thread. Of an update only the matrix products
are counted as arithmetic; everything else (activations, target, loss, Adam, adding the steps,
building the transitions) is what the multiple pays for.
"""

import functools
import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import tyro

from frankrl.config import Settings
from frankrl.core.backend import start_backend
from frankrl.core.types import ACTION_DTYPE, Steps
from frankrl.environments import EnvironmentSpec, describe
from frankrl.experiments.family import together
from frankrl.training import Experiment, init_train_state
from frankrl.training.learner_call import compiled_learn
from frankrl.training.rounds import learner_input

NUM_ENVS = 16
_SHARE_OF_ENDS = 0.01
"""Of all steps, those that end an episode."""
_MATRIX = 1024
_CALLS = 5


@dataclass(frozen=True)
class Options:
    """What to measure."""

    updates_per_call: int = 16
    """Updates in one compiled call."""
    turns: int = 30
    """Turns; in each, every case and the matrix product are timed once."""
    cases: tuple[str, ...] = (
        "64x64:64",
        "64x64:128",
        "128x128:128",
        "256x256:128",
        "64x64:64:LayerNorm",
        "64x64:64:Double",
        "64x64:128:LayerNorm:Double:Huber",
        "128x128:128:LayerNorm:Double",
    )
    """WIDTHS:BATCH, then any of the family's switches, by the names of `frank experiment family`;
    the arithmetic is counted right for Double, Huber, LayerNorm and prioritised."""


@dataclass(frozen=True)
class Case:
    """One size of network and batch, with the switches that are on."""

    name: str
    settings: Settings

    @classmethod
    def parse(cls, text: str, capacity: int = 100_000) -> "Case":
        """A case from its text, with a buffer of that capacity."""
        widths, batch, *switches = text.split(":")
        sizes = {
            "num_envs": NUM_ENVS,
            "hidden_widths": [int(width) for width in widths.split("x")],
            "batch_size": int(batch),
            "replay_capacity": capacity,
            # The buffer is filled twice.
            "total_env_steps": max(100_000, 3 * capacity),
        }
        settings = Settings().with_changes(**sizes | together(tuple(switches))).resolved()
        return cls(text, settings)

    def operations(self) -> int:
        """Floating-point operations of the matrix products of one update.

        Forward with s, forward with s′ (twice for Double), the weights' gradients, and
        the inputs' gradients, which the first layer does not need.
        """
        spec = lander()
        inputs = sum(leaf.size for leaf in spec.leaves)
        widths = (inputs, *self.settings.network.hidden_widths, spec.num_actions)
        products = [rows * columns for rows, columns in itertools.pairwise(widths)]
        passes = 4 + self.settings.learning.double
        per_row = passes * sum(products) - products[0]
        return 2 * per_row * self.settings.replay.batch_size

    def call(self, num_updates: int) -> Callable[[], None]:
        """A function that does so many updates and waits for them."""
        experiment = Experiment.of(self.settings, lander(), seed=0)
        random = np.random.default_rng(0)
        state, replay = init_train_state(experiment), experiment.replay
        add = jax.jit(replay.add, donate_argnums=(0,))
        # The second time fills the rows beyond the capacity, which n steps need.
        full = state.replay
        for _ in range(2):
            full = add(full, random_steps(random, replay.capacity))
        env_steps = 2 * replay.capacity + self.settings.round_ticks
        steps = random_steps(random, self.settings.round_ticks)
        given = learner_input(experiment, steps, env_steps, 0, num_updates)
        leaves, structure = jax.tree.flatten((state.learner, full, None))
        learn = compiled_learn(self.settings.learning, experiment.network, replay, structure)

        def once() -> None:
            nonlocal leaves
            output = learn(leaves, given)
            leaves = output.leaves
            output.params.block_until_ready()

        return once


@functools.cache
def lander() -> EnvironmentSpec:
    return describe("LunarLander-v3", {})


def random_steps(random: np.random.Generator, count: int) -> Steps:
    spec = lander()
    (leaf,) = spec.leaves

    def observations(count: int) -> np.ndarray:
        return random.normal(size=(count, *leaf.shape)).astype(leaf.dtype)

    ends = random.random(count) < _SHARE_OF_ENDS
    return Steps(
        observation=observations(count + NUM_ENVS),
        mask=None,
        action=random.integers(0, spec.num_actions, count).astype(ACTION_DTYPE),
        reward=random.normal(size=count).astype(np.float32),
        is_last=ends,
        terminated=ends,
        last_observation=observations(count),
        last_mask=None,
    )


def matrix_product() -> Callable[[], None]:
    """A function that multiplies two large matrices and waits for the product."""
    left, right = (
        jax.device_put(np.random.default_rng(seed).normal(size=(_MATRIX, _MATRIX)).astype("f4"))
        for seed in (0, 1)
    )
    multiply = jax.jit(jnp.matmul)

    def once() -> None:
        multiply(left, right).block_until_ready()

    return once


def timed(
    functions: list[Callable[[], None]],
    turns: int,
    calls: int = _CALLS,
    clock: Callable[[], float] = time.perf_counter,
) -> np.ndarray:
    """Seconds of each function in each turn, taken one after the other; shape (function, turn).

    In a turn a function is called several times in a row, as in training, where nothing
    else uses the learner's core; the first call, which finds the caches full of another
    function's arrays, is not counted.
    """
    for function in functions:
        function()
    seconds = np.empty((len(functions), turns))
    for turn, row in itertools.product(range(turns), range(len(functions))):
        functions[row]()
        start = clock()
        for _ in range(calls):
            functions[row]()
        seconds[row, turn] = (clock() - start) / calls
    return seconds


def main(options: Options) -> None:
    """Measure and print a table."""
    print(f"XLA's threads: {start_backend()}, updates in a call: {options.updates_per_call}")
    cases = [Case.parse(text) for text in options.cases]
    calls = [case.call(options.updates_per_call) for case in cases]
    *seconds, matrix = timed([*calls, matrix_product()], options.turns)
    rate = 2 * _MATRIX**3 / np.median(matrix)
    print(f"matrix rate: {rate / 1e9:.0f} GFLOP/s ({_MATRIX} cubed)\n")
    columns = "network · batch · switches", "µs an update", "quartiles", "MFLOP"
    print(f"| {' | '.join(columns)} | µs of arithmetic | multiple |")
    print("|---|---|---|---|---|---|")
    for case, row in zip(cases, seconds, strict=True):
        low, median, high = np.percentile(row, [25, 50, 75]) / options.updates_per_call * 1e6
        least = case.operations() / rate * 1e6
        name = case.name.replace(":", " · ")
        print(
            f"| {name} | {median:.0f} | {low:.0f}–{high:.0f} | "
            f"{case.operations() / 1e6:.2f} | {least:.0f} | {median / least:.2f} |"
        )


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
