"""`frank export`: a trained agent as a file for other programs, or its episodes as a data set."""

import contextlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import tyro

from frankrl.cli.output import print_result
from frankrl.cli.parsing import parse
from frankrl.core.errors import FrankError
from frankrl.core.stopping import StoppedError, stop_signals


@dataclass(frozen=True)
class ExportOptions:
    """Options of `frank export`."""

    run: tyro.conf.Positional[str]
    """Run folder."""
    onnx: str = ""
    """File to write, .onnx: a graph from observations to Q-values and actions."""
    safetensors: str = ""
    """File to write, .safetensors: the network's parameters by name, with the run's settings."""
    minari: str | None = None
    """Name of a Minari data set to write, such as lander/medium-v0: the whole episodes in the
    replay buffer of the newest checkpoint."""
    out: str = ""
    """With --minari: folder of data sets; by default Minari's own."""
    evaluation_episodes: int | None = None
    """With --minari: play so many fresh episodes, and write these instead. [episodes]"""
    evaluation_env_steps: int | None = None
    """With --minari: play fresh episodes until they have so many steps together. [env steps]"""
    epsilon: float = 0.0
    """Probability of a random action in fresh episodes: 0 greedy, 1 all at random."""
    seed: int = 0
    """Decides the reset seeds of fresh episodes, and their random actions."""
    author: str = ""
    """With --minari: who made the data set."""
    best: bool = False
    """Use the agent with the best evaluation during training instead of the newest."""
    overwrite: bool = False
    """Replace existing files; a data set is never replaced."""
    env: str = ""
    """Name of the run's environment, to import its module although somebody else wrote the run."""
    allow_code: bool = False
    """Import whatever network or torso the run names, although somebody else wrote the run; for
    fresh episodes its environment and wrappers, too."""


def run(arguments: Sequence[str]) -> int:
    """Run the command; returns its exit status."""
    description = "Write an agent to a file for other programs, or its episodes as a data set."
    options = parse(ExportOptions, arguments, "export", description)
    _refuse_without_minari(options)

    from frankrl.api import export, export_dataset

    if options.minari is not None:
        with _removed_if_stopped():
            written = export_dataset(
                options.run,
                options.minari,
                out=options.out or None,
                evaluation_episodes=options.evaluation_episodes,
                evaluation_env_steps=options.evaluation_env_steps,
                epsilon=options.epsilon,
                seed=options.seed,
                best=options.best,
                author=options.author,
                env=options.env or None,
                allow_code=options.allow_code,
            )
        print_result(str(written.folder))
        print(f"frank: {written.in_words()}", file=sys.stderr)
    if options.minari is not None and not (options.onnx or options.safetensors):
        return 0
    files = export(
        options.run,
        onnx=options.onnx or None,
        safetensors=options.safetensors or None,
        best=options.best,
        overwrite=options.overwrite,
        allow_code=options.allow_code,
    )
    for path in files:
        print_result(str(path))
    return 0


@contextlib.contextmanager
def _removed_if_stopped() -> Iterator[None]:
    """Let every signal that asks for an end be an error, after which nothing is left."""
    with stop_signals() as stop:

        def stopped() -> None:
            raise StoppedError("stopped; nothing of the data set is left", stop.exit_status)

        stop.on_first_signal = stopped
        yield


def _refuse_without_minari(options: ExportOptions) -> None:
    """Refuse options that have an effect only with a data set.

    Raises:
        FrankError: one is given without it.
    """
    if options.minari is not None:
        return
    for name in ("out", "evaluation_episodes", "evaluation_env_steps", "epsilon", "seed", "author"):
        if getattr(options, name) not in ("", None, 0):
            raise FrankError(
                f"--{name.replace('_', '-')} is for a data set: name it with --minari, for "
                "example --minari lander/medium-v0"
            )
