"""`python -m frankrl.dashboard.work ORDER`: do one piece of work, at low priority.

The order is a JSON object. How far the work is, or what went wrong, is printed in lines of
JSON; the result is a file in the order's folder.
"""

import contextlib
import json
import os
import sys
import warnings
from pathlib import Path
from typing import Any

from frankrl.errors import FrankError, FrankWarning

_NICENESS = 10
_RESULT = "result.json"
_NO_WINDOW = {
    "SDL_VIDEODRIVER": "dummy",
    "SDL_AUDIODRIVER": "dummy",
    "PYGAME_HIDE_SUPPORT_PROMPT": "1",
}


def _say(**told: Any) -> None:
    print(json.dumps(told), flush=True)


def _progress(done: int, of: int) -> None:
    _say(done=done, of=of)


def _do(order: dict[str, Any], out: Path) -> dict[str, Any]:
    from frankrl.runs.folder import RunFolder

    folder = RunFolder.open(order["run"])
    match order["kind"]:
        case "episode":
            from frankrl.dashboard.work.episode import play

            return play(folder, order["seed"], out, _progress)
        case "update":
            from frankrl.dashboard.work.update import open_update

            return open_update(folder, order["number"], out, _progress)
        case "inside":
            from frankrl.dashboard.work.inside import look_inside

            return look_inside(folder)
        case kind:
            raise ValueError(f"there is no such work: {kind!r}")


def main() -> None:
    """Do what the command line orders."""
    order = json.loads(sys.argv[1])
    os.environ.update(_NO_WINDOW)
    out = Path(order["out"])
    with contextlib.suppress(OSError):
        os.nice(_NICENESS)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result = _do(order, out)
        except FrankError as error:
            _say(error=str(error))
            return
    told = [str(w.message) for w in caught if issubclass(w.category, FrankWarning)]
    text = json.dumps(result | {"warnings": told}, allow_nan=False)
    (out / _RESULT).write_text(text, "utf-8")


if __name__ == "__main__":
    main()
