"""`frank explain`: open an update, and tell it in the order of the notes."""

import contextlib
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import tyro

from frankrl.cli.parsing import parse
from frankrl.errors import SettingError


@dataclass(frozen=True)
class ExplainOptions:
    """Everything that `frank explain` can be told."""

    run: tyro.conf.Positional[str] = ""
    """Run folder; none: the worked example of the notes."""
    update: int = 0
    """The update to open, from 1. [updates]"""
    quadruple: int = 0
    """Which quadruple of its batch to follow, from 0."""
    json: bool = False
    """Print one JSON object with every number instead."""


def run(arguments: Sequence[str]) -> int:
    """Run the command; returns its exit status."""
    description = "Open one update of a run and tell every number of it, in the order of the notes."
    options = parse(ExplainOptions, arguments, "explain", description)
    if not options.run:
        return _explain_notes()

    from frankrl.environments import describe
    from frankrl.explaining import cost_of, origins, reopen
    from frankrl.explaining.plain import plain
    from frankrl.explaining.telling import tell
    from frankrl.runs import RunFolder

    folder = RunFolder.open(options.run)
    settings = folder.description.settings
    size = settings.replay.batch_size
    if not 0 <= options.quadruple < size:
        raise SettingError(f"the batch has the quadruples 0 to {size - 1}, got {options.quadruple}")
    cost = cost_of(folder, options.update)
    _say_cost(cost.env_steps, cost.first_env_step, cost.seconds)
    with _progress() as show:
        record = reopen(folder, options.update, show).record
    came_from = origins(folder, settings, folder.description.seed, record.begun)
    if options.json:
        print(json.dumps(plain(record, came_from), allow_nan=False))
        return 0
    spec = describe(folder.description.env_id, settings.environment.env_kwargs)
    origin = came_from[options.quadruple]
    for line in tell(record, origin, options.quadruple, spec, settings.learning):
        print(line)
    return 0


def _explain_notes() -> int:
    from frankrl.environments import describe
    from frankrl.explaining import Origin
    from frankrl.explaining.notes import collecting, example, settings
    from frankrl.explaining.telling import tell

    spec = describe("LunarLander-v3", {})
    print("Collecting data\n")
    for line in collecting(spec):
        print(line)
    print("\nLearning from it\n")
    origin = Origin(env_step=0, env_index=0, episode=0, step=1, epsilon=1.0, explored=False)
    for line in tell(example(), origin, 0, spec, settings()):
        print(line)
    return 0


def _say_cost(env_steps: int, first: int, seconds: float | None) -> None:
    about = "" if seconds is None else f", about {seconds:.0f} s"
    print(f"running {env_steps:,} env steps again from env step {first:,}{about}", file=sys.stderr)


@contextlib.contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    """A callback that draws a bar on a terminal, and nothing elsewhere."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda done, all_of_them: None
        return
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("coming back to it", total=None)
        yield lambda done, all_of_them: bar.update(task, completed=done, total=all_of_them)
