"""Training under the eyes of a person: the live display, the page, the results."""

import contextlib
import functools
import json
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from frankrl.cli.output import print_result
from frankrl.cli.train_options import TrainOptions
from frankrl.core.stopping import StopSignals

if TYPE_CHECKING:
    from frankrl.display.training import Display
    from frankrl.training import Trainer
    from frankrl.training.result import TrainingResult


def published(
    publish: Callable[..., "TrainingResult | None"], options: TrainOptions, signals: StopSignals
) -> int:
    """Train and publish.

    Args:
        publish: `publish_or_take_over` of the run.
        options: the command line.
        signals: the signals received.

    Returns:
        The command's exit status.
    """
    from frankrl.cli.results import published_lines
    from frankrl.display.training import STOPPING, make_display

    with contextlib.ExitStack() as stack:
        display = stack.enter_context(
            make_display(sys.stderr, quiet=options.quiet, verbose=options.verbose)
        )
        signals.on_first_signal = lambda: display.note(STOPPING)

        begin = functools.partial(_begin, display=display, options=options, stack=stack)
        result = publish(
            stop_requested=signals, on_event=display.show, on_begin=begin, say=display.log
        )
        if result is not None:
            display.end(published_lines(result))
    if options.json and result is not None:
        report = result.report() | {"published": result.published}
        print_result(json.dumps(report, allow_nan=False))
    return 0 if result is not None and not result.stopped else signals.exit_status


def shown(training: "Trainer", options: TrainOptions, signals: StopSignals) -> int:
    """Train, and close the training.

    Args:
        training: a run that is ready.
        options: the command line.
        signals: the signals received.

    Returns:
        The command's exit status.
    """
    from frankrl.cli.results import ending_lines
    from frankrl.display.training import STOPPING, make_display
    from frankrl.training.session import run_to_end

    with contextlib.ExitStack() as stack:
        # Also if the display cannot be shown.
        stack.enter_context(contextlib.closing(training))
        display = stack.enter_context(
            make_display(sys.stderr, quiet=options.quiet, verbose=options.verbose)
        )
        signals.on_first_signal = lambda: display.note(STOPPING)
        _begin(training, display=display, options=options, stack=stack)
        result = run_to_end(training, display.show, signals)
        data = str(training.dataset.folder) if training.dataset else ""
        display.end(ending_lines(result, training.experiment, data))
    if options.json:
        print_result(json.dumps(result.report(), allow_nan=False))
    return signals.exit_status if result.stopped else 0


def _begin(
    training: "Trainer", *, display: "Display", options: TrainOptions, stack: contextlib.ExitStack
) -> None:
    """Show what is about to happen; the page is served until the stack is left."""
    training.watch_episodes(display.show_episodes)
    display.begin(training)
    if options.dashboard:
        from frankrl.dashboard.background import dashboard_in_background

        stack.enter_context(dashboard_in_background(training.folder.path, display.log))
