"""Brings a run of Python code to its end, with a display and the stop signals."""

import contextlib
from collections.abc import Callable

from frankrl.core.stopping import stop_signals
from frankrl.display.choice import display_in_python
from frankrl.display.training import STOPPING, Display
from frankrl.training import Event, Stop, Trainer
from frankrl.training.in_words import outcome_lines
from frankrl.training.result import TrainingResult
from frankrl.training.session import Metrics, run_to_end


def run_or_raise(
    training: Trainer,
    on_event: Callable[[Event], Stop | None],
    metrics: Metrics | None,
    *,
    progress: bool,
) -> TrainingResult:
    """Train to the end; a stop signal is raised as `KeyboardInterrupt` once the run is saved."""
    with (
        # Also if the display cannot be shown.
        contextlib.closing(training),
        stop_signals() as stop_requested,
        display_in_python(progress=progress) as display,
    ):
        stop_requested.on_first_signal = lambda: display.note(STOPPING)
        training.watch_episodes(display.show_episodes)
        display.begin(training)
        show = _shown_before(on_event, display)
        result = run_to_end(training, show, stop_requested, metrics)
        display.end(outcome_lines(result))
    if result.stopped and stop_requested():
        raise KeyboardInterrupt(f"the run is saved; frankrl.resume({str(result.run)!r}) continues")
    return result


def publish_or_raise(
    publish: Callable[..., TrainingResult | None],
    on_event: Callable[[Event], Stop | None],
    *,
    progress: bool,
) -> TrainingResult:
    """Train and publish; a stop signal is raised as `KeyboardInterrupt` once the run is saved.

    Args:
        publish: `publish_or_take_over` of the run.
        on_event: the user's function.
        progress: whether a display is wanted.
    """
    with stop_signals() as stop_requested, display_in_python(progress=progress) as display:
        stop_requested.on_first_signal = lambda: display.note(STOPPING)

        def begin(training: Trainer) -> None:
            training.watch_episodes(display.show_episodes)
            display.begin(training)

        result = publish(
            stop_requested=stop_requested,
            on_event=_shown_before(on_event, display),
            on_begin=begin,
            say=display.log,
        )
        if result is not None:
            display.end(outcome_lines(result))
    if result is None or (result.stopped and stop_requested()):
        raise KeyboardInterrupt("the run is published as far as it went; the same call continues")
    return result


def _shown_before(
    on_event: Callable[[Event], Stop | None], display: Display
) -> Callable[[Event], Stop | None]:
    """A function of events that shows each, then calls the user's with it."""

    def show(event: Event) -> Stop | None:
        display.show(event)
        return on_event(event)

    return show
