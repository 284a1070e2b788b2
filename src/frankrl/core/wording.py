"""How a message names an option: by its flag on the command line, by its argument in Python."""

import contextlib
import contextvars
import shlex
from collections.abc import Iterator

_on_command_line = contextvars.ContextVar("_on_command_line", default=False)


@contextlib.contextmanager
def command_line() -> Iterator[None]:
    """Within this context, messages name flags of the command line."""
    before = _on_command_line.set(True)
    try:
        yield
    finally:
        _on_command_line.reset(before)


def is_on_command_line() -> bool:
    """Whether messages name flags."""
    return _on_command_line.get()


def option(name: str, value: object = None) -> str:
    """An option, with its value if one is given: `--overwrite`, or in Python `overwrite=True`."""
    if not _on_command_line.get():
        return name if value is None else f"{name}={value!r}"
    flag = f"--{name.replace('_', '-')}"
    return flag if value is None or value is True else f"{flag} {shlex.quote(str(value))}"


def training() -> str:
    """How to begin a run."""
    return "`frank train ENV`" if _on_command_line.get() else "frankrl.train(env)"


def resuming(run: object) -> str:
    """How to continue a run."""
    if _on_command_line.get():
        return f"frank train --resume {shlex.quote(str(run))}"
    return f"frankrl.resume({str(run)!r})"
