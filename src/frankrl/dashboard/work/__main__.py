"""`python -m frankrl.dashboard.work ORDER`: do one job at low priority.

The order is a JSON object. Progress and errors are printed as lines of JSON; the result is a
file in the order's folder. The process ends when its standard input ends.
"""

import contextlib
import json
import os
import sys
import threading
import warnings
from pathlib import Path
from typing import Any

from frankrl.core import system
from frankrl.core.errors import FrankError, FrankWarning
from frankrl.core.text import shown
from frankrl.core.wording import command_line

_NICENESS = 19
_OOM_SCORE = "1000"
"""Score for the out-of-memory killer: it should end this process before any training."""
_LONGEST_ERROR = 1_000
_RESULT = "result.json"
_NO_WINDOW = {
    "SDL_VIDEODRIVER": "dummy",
    "SDL_AUDIODRIVER": "dummy",
    "PYGAME_HIDE_SUPPORT_PROMPT": "1",
}


class _Log:
    """Lines of JSON on standard output; the output of an environment goes to standard error."""

    def __init__(self) -> None:
        sys.stdout.flush()
        self._file = os.fdopen(os.dup(1), "w", encoding="utf-8")
        os.dup2(2, 1)

    def write(self, **payload: Any) -> None:
        """Write one line."""
        self._file.write(f"{json.dumps(payload)}\n")
        self._file.flush()

    def progress(self, done: int, of: int) -> None:
        """Report progress."""
        self.write(done=done, of=of)


def _do(order: dict[str, Any], out: Path, log: _Log) -> dict[str, Any]:
    from frankrl.runs.folder import RunFolder
    from frankrl.runs.permission import permission_of

    folder = RunFolder.open(order["run"], permission_of(None, order["allow_code"]))
    match order["kind"]:
        case "episode":
            from frankrl.dashboard.work.episode import play

            return play(folder, order["seed"], out, log.progress)
        case "update":
            from frankrl.dashboard.work.update import open_update

            return open_update(folder, order["number"], out, log.progress)
        case "diagnostics":
            from frankrl.dashboard.work.diagnostics import diagnose

            return diagnose(folder)
        case kind:
            raise ValueError(f"there is no such job: {kind!r}")


def _lower_priority() -> None:
    """Yield processors and memory to any training."""
    system.lower_priority(_NICENESS)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_OOM_SCORE, "ascii")


def _end_with_input() -> None:
    while os.read(0, 1024):
        pass
    if system.IS_WINDOWS or os.getpgrp() == os.getpid():
        system.kill_group(os.getpid())
    os._exit(1)


def main() -> None:
    """Do the job given on the command line."""
    order = json.loads(sys.argv[1])
    log = _Log()
    os.environ.update(_NO_WINDOW)
    out = Path(order["out"])
    _lower_priority()
    threading.Thread(target=_end_with_input, daemon=True).start()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            with command_line():
                result = _do(order, out, log)
            notices = [
                shown(w.message, _LONGEST_ERROR)
                for w in caught
                if issubclass(w.category, FrankWarning)
            ]
            text = json.dumps(result | {"notices": notices}, allow_nan=False)
            (out / _RESULT).write_text(text, "utf-8")
        except FrankError as error:
            log.write(error=shown(error, _LONGEST_ERROR))
        # An environment may call sys.exit.
        except (Exception, SystemExit) as error:
            reason = f"the job failed: {type(error).__name__}: {error}"
            log.write(error=shown(reason, _LONGEST_ERROR))


if __name__ == "__main__":
    main()
