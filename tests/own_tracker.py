"""Trackers as another package brings them, found by an entry point."""

from pathlib import Path

MODULE = '''
import os, pathlib
from frankrl.trackers import Tracker

if canary := os.environ.get("FRANK_TRACKER_CANARY"):
    pathlib.Path(canary).touch()


class Lines(Tracker):
    """A line for each number."""

    def __init__(self, run):
        self.kept = {"id": run.kept.get("id", "first")}
        self.file = open(run.path.parent / f"{run.path.name}-lines.txt", "a")

    def log(self, env_steps, values):
        for name, value in values.items():
            print(env_steps, name, value, file=self.file, flush=True)

    def close(self):
        self.file.close()
'''


def install(place: Path, name: str = "lines") -> None:
    """Put a distribution with a tracker into a folder of `sys.path`."""
    (place / "own_lines.py").write_text(MODULE)
    info = place / "own_lines-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: own-lines\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[frankrl.trackers]\n{name} = own_lines:Lines\n")
