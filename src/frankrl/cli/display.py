"""Terminal output of a training."""

import abc
import contextlib
import shlex
from types import TracebackType
from typing import IO, Any

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.table import Table

from frankrl.core.text import MAX_MESSAGE, shown
from frankrl.training import (
    Checkpointed,
    Evaluated,
    Event,
    Progress,
    SavingFailed,
    Solved,
    Trainer,
)
from frankrl.training.preflight import memory_line
from frankrl.training.session import TrainingResult


class Display(abc.ABC):
    """Shows the events of a training."""

    def begin(self, training: Trainer) -> None:
        """Say what is about to happen."""
        settings, description = training.settings, training.folder.description
        self.log(
            f"Training {description.env_id} with preset {description.preset}, seed "
            f"{description.seed}, for {settings.training.total_env_steps:,} env steps"
        )
        self.log(f"  {memory_line(training.experiment)}")
        for line in training.notes:
            self.log(f"  {line}")
        if training.env_steps:
            self.log(f"  continuing at env step {training.env_steps:,}")
        for warning in settings.warnings():
            self.log(f"  warning: {warning}")

    def end(self, result: TrainingResult) -> None:
        """Print the result, and what to type next."""
        for line in ending_lines(result):
            self.log(line)

    @abc.abstractmethod
    def show(self, event: Event) -> None:
        """Show an event."""

    @abc.abstractmethod
    def log(self, text: str) -> None:
        """Print a line that stays."""

    def open(self) -> None:  # noqa: B027 - most displays have nothing to do
        """Get ready to show events."""

    def close(self) -> None:  # noqa: B027
        """Show nothing more."""

    def __enter__(self) -> "Display":
        self.open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class PlainDisplay(Display):
    """One line per interval: for logs and pipes."""

    def __init__(self, stream: IO[str] | None) -> None:
        self._stream = stream

    def show(self, event: Event) -> None:
        """Print the event's line."""
        line = event_line(event)
        if line:
            self.log(line)

    def log(self, text: str) -> None:
        """Print a line; if the stream is closed, training goes on without output."""
        if self._stream is None:
            return
        try:
            print(shown(text, MAX_MESSAGE), file=self._stream, flush=True)
        except (OSError, ValueError):
            self._stream = None


class LiveDisplay(Display):
    """A progress bar and the newest numbers, redrawn in place."""

    def __init__(self, stream: IO[str]) -> None:
        self._console = Console(file=stream, highlight=False, emoji=False)
        self._bar = Bar(
            TextColumn("{task.completed:,.0f} / {task.total:,.0f} env steps"),
            BarColumn(bar_width=None),
            TextColumn("{task.percentage:3.0f} %"),
            TimeRemainingColumn(),
            expand=True,
            console=self._console,
        )
        self._task = self._bar.add_task("", total=None)
        self._live = Live(console=self._console, refresh_per_second=8, transient=True)

    def open(self) -> None:
        """Start drawing."""
        self._live.start()

    def close(self) -> None:
        """Stop drawing and restore the terminal."""
        with contextlib.suppress(OSError, ValueError):
            self._live.stop()

    def begin(self, training: Trainer) -> None:
        """Say what is about to happen and start the bar."""
        super().begin(training)
        self._bar.update(
            self._task,
            total=training.settings.training.total_env_steps,
            completed=training.env_steps,
        )
        self._live.update(self._bar)

    def show(self, event: Event) -> None:
        """Redraw the numbers; evaluations and other lines stay above them."""
        if isinstance(event, Progress):
            # The terminal may close while training goes on.
            with contextlib.suppress(OSError, ValueError):
                self._bar.update(self._task, completed=event.env_steps)
                self._live.update(Group(Panel(_figures(event), title="Frank"), self._bar))
        elif line := event_line(event):
            self.log(line)

    def end(self, result: TrainingResult) -> None:
        """Remove the bar and print the result."""
        self.close()
        super().end(result)

    def log(self, text: str) -> None:
        """Print a line above the live numbers."""
        with contextlib.suppress(OSError, ValueError):
            self._console.print(shown(text, MAX_MESSAGE), markup=False, soft_wrap=True)


def make_display(stream: IO[str] | None) -> Display:
    """A live display on a terminal that can redraw, plain lines elsewhere."""
    if stream is None or not stream.isatty() or Console(file=stream).is_dumb_terminal:
        return PlainDisplay(stream)
    return LiveDisplay(stream)


def event_line(event: Event) -> str:
    """One line about an event; empty if there is nothing to print."""
    if isinstance(event, Progress):
        return (
            f"env steps {event.env_steps:>9,}/{event.total_env_steps:,}  "
            f"{event.env_steps_per_second:>7,.0f}/s  episodes {event.episodes:>5,}  "
            f"return(100) {_number(event.mean_return):>7}  ε {event.epsilon:.3f}  "
            f"loss {_number(event.loss):>7}  mean Q {_number(event.mean_q):>7}  "
            f"updates {event.updates:>8,} (target {event.updates_since_refresh:,} old)"
        )
    if isinstance(event, Evaluated) and event.purpose == "progress":
        evaluation = event.evaluation
        return (
            f"  evaluation at env step {event.env_steps:,}: mean return "
            f"{evaluation.mean_return:.1f} over {len(evaluation.returns)} greedy episodes"
        )
    if isinstance(event, Evaluated):
        evaluation = event.evaluation
        return (
            f"  solved check: mean return {evaluation.mean_return:.1f} over "
            f"{len(evaluation.returns)} greedy episodes"
        )
    if isinstance(event, Solved):
        return f"  solved at env step {event.env_steps:,}, after {event.seconds:.1f} s"
    if isinstance(event, Checkpointed):
        return f"  checkpoint {event.path}"
    if isinstance(event, SavingFailed):
        there = f"the newest checkpoint is {event.newest}" if event.newest else "there is none yet"
        return (
            f"  WARNING: writing failed at env step {event.env_steps:,}: {event.what} "
            f"({event.reason}). Training goes on and tries again; {there}"
        )
    return ""


def ending_lines(result: TrainingResult) -> list[str]:
    """The result of a training, and what to type next."""
    lines = [
        "",
        f"{'Stopped' if result.stopped else 'Finished'} after {result.env_steps:,} env steps and "
        f"{result.updates:,} updates, {result.seconds:.1f} s",
    ]
    if result.solved:
        lines.append(
            f"Solved at env step {result.solved['env_steps']:,}, "
            f"after {result.solved['seconds']:.1f} s"
        )
    if result.evaluation:
        lines += evaluation_lines(result.evaluation, None)
    lines += [
        f"Not bit-exact from env step {mark['env_steps']:,} on, because {mark['reason']}"
        for mark in result.not_reproducible
    ]
    run = shlex.quote(str(result.run))
    lines += [f"Run folder: {run}", "", "Next:"]
    if result.stopped:
        lines.append(f"  frank train --resume {run}")
    lines += [f"  frank {verb} {run}" for verb in ("film", "plot", "evaluate")]
    return lines


def evaluation_lines(summary: dict[str, Any], threshold: float | None) -> list[str]:
    """An evaluation as lines of text."""
    low, high = summary["interval_95"]
    lines = [
        f"Greedy evaluation over {summary['episodes']} episodes: mean return "
        f"{summary['mean_return']:.1f} ± {summary['std_return']:.1f} "
        f"(95 % interval of the mean {low:.1f} … {high:.1f})",
        f"  worst {summary['min_return']:.1f}, median {summary['median_return']:.1f}, best "
        f"{summary['max_return']:.1f}; mean length {summary['mean_length']:.0f} steps",
    ]
    if threshold is not None:
        verdict = "reached" if summary["mean_return"] >= threshold else "not reached"
        lines.append(f"  the environment counts as solved at {threshold:g}: {verdict}")
    return lines


def _figures(event: Progress) -> Table:
    table = Table.grid(padding=(0, 3), expand=True)
    cells = [
        ("env steps/s", f"{event.env_steps_per_second:,.0f}"),
        ("episodes", f"{event.episodes:,}"),
        ("mean return (100)", _number(event.mean_return)),
        ("mean length (100)", _number(event.mean_length)),
        ("ε", f"{event.epsilon:.3f}"),
        ("loss", _number(event.loss)),
        ("mean Q", _number(event.mean_q)),
        ("updates", f"{event.updates:,}"),
        ("target refreshed", f"{event.updates_since_refresh:,} updates ago"),
        ("time", f"{event.seconds:,.0f} s"),
    ]
    for start in range(0, len(cells), 5):
        row = cells[start : start + 5]
        table.add_row(*(f"[dim]{name}[/dim]" for name, _ in row))
        table.add_row(*(f"[bold]{value}[/bold]" for _, value in row))
    return table


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}" if abs(value) < 100 else f"{value:.1f}"
