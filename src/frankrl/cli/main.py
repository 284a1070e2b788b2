"""The command `frank`: find the subcommand, run it, turn errors into one line."""

import contextlib
import errno
import gc
import importlib
import io
import os
import shlex
import sys
import tomllib
import warnings
from collections.abc import Sequence
from typing import Any, NoReturn

from frankrl.cli.output import discard_results, only_results_on_stdout, results_stream
from frankrl.core.absent import is_absent
from frankrl.core.errors import FrankError, FrankWarning, nearest
from frankrl.core.system import flush_c
from frankrl.core.text import shown
from frankrl.core.wording import command_line

_GROUPS = {
    "Train": {
        "train": "train a Deep Q-Network, or continue a run",
        "sweep": "search settings over several seeds; the best become a preset",
        "experiment": "test a claim: train with one thing changed, over several seeds",
    },
    "Look at runs": {
        "evaluate": "play greedy episodes with a trained agent and report its returns",
        "film": "write a film of an episode, with the Q-value of every action",
        "plot": "draw the learning curves of one or several runs",
        "dashboard": "watch runs on a live page: curves, episodes, updates, warnings",
        "explain": "open one update of a run and show every number of it",
        "runs": "list, compare and remove runs",
    },
    "Take them elsewhere": {
        "export": "write an agent, or a run's episodes, to a file for other programs",
        "hub": "push a run to the Hub (huggingface.co), or pull one from there",
        "fetch": "copy a published run from shared storage into a run folder",
    },
    "This machine, and many": {
        "doctor": "say what this machine has, and what would help",
        "cluster": "print this machine's CPU model as a resource for Ray",
        "job": "do one job that another command has printed",
        "completion": "print what a shell needs to complete commands and options",
    },
}
COMMANDS = {name: text for group in _GROUPS.values() for name, text in group.items()}
_WITH_ENVIRONMENTS = frozenset(
    {"train", "evaluate", "film", "explain", "export", "hub", "sweep", "experiment", "job"}
)
"""The commands that run environments, which may print whatever they like."""
_COLLECT_AFTER = (50_000, 10, 10)
"""Thresholds of Python's garbage collector. Its usual ones make it look through the modules of JAX
again and again while these are imported: a sixth of the start, and 7 % of the training after it."""
_USER_ERROR = 2
_INTERRUPTED = 130
_NO_MEMORY = "frank: there is not enough memory for this"


def main(argv: Sequence[str] | None = None) -> int:
    """Run `frank` and return its exit status.

    0: done; 2: a mistake of the user; 130, 143 or 129: ended by SIGINT, SIGTERM or SIGHUP.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    warnings.showwarning = _show_warning
    try:
        with command_line():
            status = _run(arguments, is_process=argv is None)
        if (stream := results_stream()) is not None:
            stream.flush()
        return status
    except FrankError as error:
        print(f"frank: {error}", file=sys.stderr)
        return _USER_ERROR
    except KeyboardInterrupt as interruption:
        print(f"frank: {str(interruption) or 'interrupted'}", file=sys.stderr)
        return getattr(interruption, "exit_status", _INTERRUPTED)
    except MemoryError:
        print(_NO_MEMORY, file=sys.stderr)
        return _USER_ERROR
    except RuntimeError as error:
        # How XLA says it.
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        print(f"{_NO_MEMORY}: {shown(' '.join(str(error).split()))}", file=sys.stderr)
        return _USER_ERROR
    except OSError as error:
        if error.errno not in (errno.EPIPE, errno.ENOSPC) or results_stream() is None:
            raise
        if error.errno == errno.ENOSPC:
            place = f": {error.filename}" if error.filename else " for the output"
            print(f"frank: no space is left on the disk{place}", file=sys.stderr)
        # The reader of the output has gone, or the disk is full; flushing at exit must not raise.
        discard_results()
        return 1


def run_process() -> NoReturn:
    """Run `frank` as this process, and end the process at once.

    When `main` returns, everything is written and closed. Python would still take JAX apart, for
    about 0.3 s in which a person waits for the prompt.
    """
    gc.set_threshold(*_COLLECT_AFTER)
    status = main()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
    flush_c()
    os._exit(status)


def _show_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, *rest: Any
) -> None:
    """Print Frank's own warnings as one line, without a location in the code."""
    if issubclass(category, FrankWarning):
        print(f"frank: warning: {message}", file=sys.stderr)
    else:
        print(warnings.formatwarning(message, category, filename, lineno), end="", file=sys.stderr)


def _run(arguments: list[str], *, is_process: bool) -> int:
    """Run the command.

    Args:
        arguments: what was typed after `frank`.
        is_process: whether this process does nothing but this command.
    """
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(_help() if arguments else _welcome())
        return 0
    if arguments[0] == "--version":
        from importlib.metadata import version

        print(f"frank {version('frankrl')}")
        return 0
    command, rest = arguments[0], arguments[1:]
    if command not in COMMANDS:
        raise FrankError(
            f"there is no command {command!r}{nearest(command, COMMANDS)} "
            f"(commands: {', '.join(COMMANDS)})"
        )
    with contextlib.ExitStack() as stack:
        if command in _WITH_ENVIRONMENTS:
            stack.enter_context(only_results_on_stdout(for_good=is_process))
        return importlib.import_module(f"frankrl.cli.{command}").run(rest)


def _help() -> str:
    """Every command, by what it is for."""
    width = max(map(len, COMMANDS))
    lines = ["Frank trains Deep Q-Networks.", "", "usage: frank COMMAND [OPTIONS]"]
    for title, commands in _GROUPS.items():
        lines += [
            "",
            f"{title}:",
            *(f"  {name:{width}}  {text}" for name, text in commands.items()),
        ]
    return "\n".join([*lines, "", "`frank COMMAND --help` shows the options of a command."])


def _welcome() -> str:
    """What one can do next."""
    newest = _newest_run()
    film = ""
    if newest and not is_absent(_env_id(newest)):
        film = f"  frank film {shlex.quote(newest)}"
    lines = [
        "Frank trains Deep Q-Networks: you name an environment, it trains an agent.",
        "",
        "  frank train LunarLander-v3     train a lunar lander, in about a minute",
    ]
    if film:
        lines += [film, "                                 look at your newest run"]
    if newest:
        lines.append("  frank runs                     all runs, with their returns")
    lines += [
        "  frank dashboard                watch runs learn, in the browser",
        "  frank --help                   every command",
        "  frank doctor                   what this machine has, and what would help",
    ]
    return "\n".join(lines)


def _newest_run() -> str:
    """The run below the folder `runs` that was begun last; empty if there is none."""
    with contextlib.suppress(OSError):
        found = [
            (entry.stat().st_mtime, entry.path)
            for folder in os.scandir("runs")
            if folder.is_dir()
            for entry in os.scandir(folder.path)
            if os.path.isfile(os.path.join(entry.path, "config.toml"))
        ]
        return max(found)[1] if found else ""
    return ""


def _env_id(run: str) -> str:
    """The name of a run's environment; empty if its folder does not say it."""
    odd = (OSError, ValueError, RecursionError, LookupError, TypeError)
    with contextlib.suppress(*odd), open(os.path.join(run, "config.toml"), "rb") as file:
        return str(tomllib.load(file)["run"]["env_id"])
    return ""


if __name__ == "__main__":
    run_process()
