"""What is shown of a training while it goes on."""

import abc
import contextlib
from collections.abc import Iterable
from types import TracebackType
from typing import IO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.segment import Segment, Segments
from rich.table import Table
from rich.text import Text

from frankrl.config import Clock, Settings
from frankrl.core.figures import counted, figure
from frankrl.core.text import MAX_MESSAGE, shown
from frankrl.display.terminal import can_redraw
from frankrl.training import (
    Checkpointed,
    EnvironmentRestarted,
    Estimating,
    Evaluated,
    Event,
    Progress,
    SavingFailed,
    Solved,
    Trainer,
)
from frankrl.training.replay_place import placed_memory_line

STOPPING = "stopping after this round, then saving (again: end at once)"
"""What is said at the first signal."""
_ROW_SHARE, _ROW_SECONDS = 0.05, 30.0
"""Share of the budget, and seconds, after which plain lines have the next row of metrics."""
_CELL, _MAX_IN_A_ROW = 24, 5
"""Width of a number with its name in the live panel [characters], and numbers in a row."""


def budget_in_words(settings: Settings) -> str:
    """How long a run is; one that does not act ends with a whole call of updates."""
    words, end = counted(settings.budget, settings.clock.unit), settings.last_tick
    if not settings.is_offline or end == settings.budget:
        return words
    each = settings.round_ticks
    return f"{words}, rounded up to {end:,}: a round has updates_per_round = {each:,}"


class Display(abc.ABC):
    """Shows the events of a training."""

    clock = Clock.ENV_STEPS
    """What the run counts; `begin` takes it from the run."""

    def begin(self, training: Trainer) -> None:
        """Say what is about to happen."""
        settings, description = training.settings, training.folder.description
        self.clock = settings.clock
        self.log(
            f"Training {description.env_id} with preset {description.preset}, seed "
            f"{description.seed}, for {budget_in_words(settings)}"
        )
        self.log(f"  {placed_memory_line(training.experiment)}")
        for line in training.notes:
            self.log(f"  {line}")
        if training.ticks:
            self.log(f"  continuing at {self.clock.at(training.ticks)}")
        for warning in settings.warnings():
            self.log(f"  warning: {warning}")

    def end(self, lines: Iterable[str]) -> None:
        """Show the result.

        Args:
            lines: the result in words.
        """
        for line in lines:
            self.log(line)

    @abc.abstractmethod
    def show(self, event: Event) -> None:
        """Show an event."""

    @abc.abstractmethod
    def log(self, text: str) -> None:
        """Print a line that stays."""

    def show_episodes(self, done: int, of: int) -> None:  # noqa: B027 - only a bar shows them
        """Show how many episodes of an evaluation have ended."""

    def note(self, text: str) -> None:
        """Say something at any moment, also between the bytecodes of another output."""
        self.log(text)

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
    """Lines one below the other: for logs and pipes."""

    def __init__(self, stream: IO[str] | None, *, every_row: bool = False) -> None:
        """Print nothing yet.

        Args:
            stream: where lines are printed; None: nowhere.
            every_row: whether each row of metrics is a line, and not only one of every few.
        """
        self._stream = stream
        self._every_row = every_row
        self._last: Progress | None = None
        """The newest row that was printed."""

    def show(self, event: Event) -> None:
        """Print the event's line."""
        if isinstance(event, Progress):
            if not self._is_due(event):
                return
            self._last = event
        line = event_line(event, self.clock)
        if line:
            self.log(line)

    def _is_due(self, event: Progress) -> bool:
        """Whether a row is printed: the first, then one for each share of the budget, or after a
        while in a slow run."""
        last = self._last
        if self._every_row or last is None:
            return True
        steps = event.env_steps - last.env_steps
        is_far = steps >= _ROW_SHARE * event.total_env_steps
        return is_far or event.seconds - last.seconds >= _ROW_SECONDS

    def log(self, text: str) -> None:
        """Print a line; if the stream is closed, training goes on without output."""
        if self._stream is None:
            return
        try:
            print(shown(text, MAX_MESSAGE), file=self._stream, flush=True)
        except (OSError, ValueError):
            self._stream = None


class LiveDisplay(Display):
    """A progress bar and the newest numbers, redrawn in place; other lines stay above them."""

    def __init__(self, stream: IO[str]) -> None:
        self._console = Console(file=stream, highlight=False, emoji=False)
        self._bar = Bar(
            TextColumn("{task.completed:,.0f} / {task.total:,.0f} {task.description}"),
            BarColumn(bar_width=None),
            TextColumn("{task.percentage:3.0f} %"),
            TimeRemainingColumn(),
            expand=True,
            console=self._console,
        )
        self._training = self._bar.add_task("env steps", total=None)
        self._evaluation = self._bar.add_task("episodes", total=None, visible=False)
        self._newest: Progress | None = None
        self._note = ""
        self._live = Live(
            console=self._console,
            get_renderable=self._content,
            refresh_per_second=8,
            transient=True,
        )

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
            self._training,
            total=training.settings.budget,
            completed=training.ticks,
            description=training.settings.clock,
        )

    def show(self, event: Event) -> None:
        """Take the newest numbers; evaluations and other lines stay above them."""
        if isinstance(event, Progress):
            self._newest = event
            self._bar.update(self._training, completed=event.env_steps)
        elif isinstance(event, Evaluated):
            self._bar.update(self._evaluation, visible=False)
        if not isinstance(event, Progress) and (line := event_line(event, self.clock)):
            self.log(line)

    def show_episodes(self, done: int, of: int) -> None:
        """Move the bar of an evaluation, which is there while one is played."""
        self._bar.update(self._evaluation, completed=done, total=of, visible=done < of)

    def note(self, text: str) -> None:
        """Show a line below the bars, from the next time they are drawn."""
        self._note = text

    def end(self, lines: Iterable[str]) -> None:
        """Remove the bar and print the result."""
        self.close()
        super().end(lines)

    def log(self, text: str) -> None:
        """Print a line above the live numbers."""
        # A segment is neither wrapped nor read as markup. Options of `print` that say so would also
        # hold for the live numbers, which are drawn again below it.
        line = Segments([Segment(shown(text, MAX_MESSAGE)), Segment.line()])
        # The terminal may close while training goes on.
        with contextlib.suppress(OSError, ValueError):
            self._console.print(line, crop=False)

    def _content(self) -> RenderableType:
        if self._bar.tasks[0].total is None:
            return Group()
        # The last line has room for the ^C that a terminal echoes: in a full one it would begin a
        # new line, and the panel would be erased one line too low.
        parts: list[RenderableType] = [self._bar, Text(self._note)]
        if self._newest is not None:
            parts.insert(
                0, Panel(_figures(self._newest, self.clock, self._console.width), title="Frank")
            )
        return Group(*parts)


class QuietDisplay(PlainDisplay):
    """Nothing but the result and what went wrong."""

    def begin(self, training: Trainer) -> None:
        """Say only what the settings should be warned of."""
        self.clock = training.settings.clock
        for warning in training.settings.warnings():
            self.log(f"warning: {warning}")

    def show(self, event: Event) -> None:
        """Print what went wrong."""
        if isinstance(event, SavingFailed | EnvironmentRestarted):
            super().show(event)


def make_display(stream: IO[str] | None, *, quiet: bool = False, verbose: bool = False) -> Display:
    """A live display on a terminal that can redraw, plain lines elsewhere.

    Args:
        stream: where it is shown.
        quiet: show nothing but the result and what went wrong.
        verbose: print each row of metrics as a line, on a terminal as well.
    """
    if quiet:
        return QuietDisplay(stream)
    if verbose or not can_redraw(stream):
        return PlainDisplay(stream, every_row=verbose)
    return LiveDisplay(stream)


def event_line(event: Event, clock: Clock) -> str:
    """One line about an event; empty if there is nothing to print.

    Args:
        event: the event.
        clock: what the run counts.
    """
    if isinstance(event, Progress) and clock is Clock.UPDATES:
        return (
            f"updates {event.env_steps:>9,}/{event.total_env_steps:,}  "
            f"{event.env_steps_per_second:>7,.0f}/s  "
            f"loss {_known(event.loss):>7}  mean Q {_known(event.mean_q):>7}  "
            f"|TD error| {_known(event.mean_abs_td_error):>7}"
            f"{_age_of_target(event.updates_since_refresh)}"
        )
    if isinstance(event, Progress):
        return (
            f"env steps {event.env_steps:>9,}/{event.total_env_steps:,}  "
            f"{event.env_steps_per_second:>7,.0f}/s  episodes {event.episodes:>5,}  "
            f"return(100) {_known(event.mean_return):>7}"
            f"{_success('  ', event.success_rate)}  ε {_epsilon(event)}  "
            f"loss {_known(event.loss):>7}  mean Q {_known(event.mean_q):>7}  "
            f"updates {event.updates:>8,}{_age_of_target(event.updates_since_refresh)}"
        )
    if isinstance(event, Evaluated):
        return _evaluated_line(event, clock)
    if isinstance(event, Solved):
        return f"  solved at {clock.at(event.env_steps)}, after {event.seconds:.1f} s"
    if isinstance(event, EnvironmentRestarted):
        return (
            f"  WARNING: environment {event.env_index} failed at env step {event.env_steps:,} and "
            f"is made anew: {event.reason}"
        )
    if isinstance(event, Estimating):
        return f"  estimating from the data: {event.done:,} of {counted(event.of, 'update')}"
    if isinstance(event, Checkpointed):
        return f"  checkpoint {event.path}"
    if isinstance(event, SavingFailed):
        return f"  WARNING: {saving_failed_line(event, clock)}"
    return ""


def saving_failed_line(event: SavingFailed, clock: Clock) -> str:
    """What could not be written, and what follows; arguments as of `event_line`."""
    there = f"the newest checkpoint is {event.newest}" if event.newest else "there is none yet"
    return (
        f"writing failed at {clock.at(event.env_steps)}: {event.what} ({event.reason}). Training "
        f"goes on and tries again; {there}"
    )


def _evaluated_line(event: Evaluated, clock: Clock) -> str:
    evaluation = event.evaluation
    what = "solved check"
    if event.purpose == "progress":
        what = f"evaluation at {clock.at(event.env_steps)}"
    mean = figure(evaluation.mean_return, 2 * evaluation.standard_error)
    over = counted(len(evaluation.returns), "greedy episode")
    return f"  {what}: mean return {mean} over {over}{_success(', ', evaluation.success_rate)}"


def _success(before: str, rate: float | None) -> str:
    """A success rate in words, with what stands before it; empty where there is none."""
    return "" if rate is None else f"{before}success {100 * rate:.0f} %"


def _figures(event: Progress, clock: Clock, width: int) -> Table:
    """The newest numbers, as many in a row as a terminal of this width holds."""
    table = Table.grid(padding=(0, 3), expand=True)
    cells = named_figures(event, clock)
    # Not markup: it would be shown as it is wherever somebody prints without it.
    in_a_row = min(max(width // _CELL, 1), _MAX_IN_A_ROW)
    for start in range(0, len(cells), in_a_row):
        row = cells[start : start + in_a_row]
        table.add_row(*(Text(name, style="dim") for name, _ in row))
        table.add_row(*(Text(value, style="bold") for _, value in row))
    return table


def _age_of_target(updates: int | None) -> str:
    return "" if updates is None else f" (target {counted(updates, 'update')} old)"


def named_figures(event: Progress, clock: Clock) -> list[tuple[str, str]]:
    """The numbers of a training, each with its name; arguments as of `event_line`."""
    acting = [
        ("episodes", f"{event.episodes:,}"),
        ("mean return (100)", _known(event.mean_return)),
        ("mean length (100)", _known(event.mean_length)),
        ("ε", _epsilon(event)),
    ]
    found = [
        (f"{clock}/s", f"{event.env_steps_per_second:,.0f}"),
        *([] if clock is Clock.UPDATES else acting),
        ("loss", _known(event.loss)),
        ("mean Q", _known(event.mean_q)),
        ("updates", f"{event.updates:,}"),
        ("time", f"{event.seconds:,.0f} s"),
    ]
    if event.updates_since_refresh is not None:
        ago = f"{counted(event.updates_since_refresh, 'update')} ago"
        found.insert(-1, ("target refreshed", ago))
    if event.success_rate is not None:
        found.append(("success (100)", f"{100 * event.success_rate:.0f} %"))
    return found


def _epsilon(event: Progress) -> str:
    return "–" if event.epsilon is None else f"{event.epsilon:.3f}"


def _known(value: float | None) -> str:
    return "–" if value is None else figure(value)
