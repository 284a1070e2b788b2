"""TensorBoard: event files in the run folder, written by tensorboardX."""

import struct
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from tensorboardX import summary  # pyright: ignore[reportMissingImports]
from tensorboardX.event_file_writer import EventsWriter  # pyright: ignore[reportMissingImports]
from tensorboardX.proto.event_pb2 import Event  # pyright: ignore[reportMissingImports, reportAttributeAccessIssue]
from tensorboardX.proto.summary_pb2 import Summary  # pyright: ignore[reportMissingImports, reportAttributeAccessIssue]

from frankrl.trackers.protocol import FILM, TrackedRun, Tracker
from frankrl.trackers.texts import plain, settings_table

_EVENTS = "events"
"""Begins the name of each event file."""
_HEADER, _FOOTER = struct.Struct("<QI"), 4
"""Of a record in an event file: its length and two checksums."""


_GIF_SIZE_AT, _GIF_SIZE = 6, struct.Struct("<HH")
"""Where a GIF says its width and height."""
_RGB = 3


class TensorBoard(Tracker):
    """Writes one event a row, and flushes it, so that a killed process leaves all its rows."""

    def __init__(self, run: TrackedRun) -> None:
        run.folder.mkdir(parents=True, exist_ok=True)
        files = _event_files(run.folder)
        self._logged = _last_steps(files)
        # A file's name ends in the second that it was made in, which two may share.
        self._writer = EventsWriter(str(run.folder / _EVENTS), f".{len(files)}")
        if not files:
            self._write_settings(run)

    def logged(self) -> Mapping[str, int]:
        """See `Tracker.logged`."""
        return self._logged

    def log(self, env_steps: int, values: Mapping[str, float]) -> None:
        """See `Tracker.log`."""
        found = [Summary.Value(tag=name, simple_value=value) for name, value in values.items()]
        self._write(Summary(value=found), env_steps)
        self._writer.flush()

    def film(self, env_steps: int, file: Path) -> None:
        """See `Tracker.film`."""
        if file.suffix != ".gif":
            raise ValueError("TensorBoard plays .gif only: film again with --out FILE.gif")
        content = file.read_bytes()
        width, height = _GIF_SIZE.unpack_from(content, _GIF_SIZE_AT)
        image = Summary.Image(
            height=height, width=width, colorspace=_RGB, encoded_image_string=content
        )
        self._write(Summary(value=[Summary.Value(tag=FILM, image=image)]), env_steps)

    def close(self) -> None:
        """See `Tracker.close`."""
        self._writer.close()

    def _write_settings(self, run: TrackedRun) -> None:
        """Write the settings for the pages HPARAMS and TEXT."""
        for found in summary.hparams(plain(run.settings), {"eval/mean_reward": None}):
            self._write(found, 0)
        self._write(summary.text("settings", settings_table(run.settings)), 0)

    def _write(self, found: Summary, env_steps: int) -> None:
        self._writer.write_event(Event(wall_time=time.time(), step=env_steps, summary=found))


def open_tracker(run: TrackedRun) -> TensorBoard:
    """TensorBoard for a run; `tensorboard --logdir RUNS` finds it in the run folder."""
    return TensorBoard(run)


def _event_files(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"{_EVENTS}.*"))


def _last_steps(files: Iterable[Path]) -> dict[str, int]:
    """The last env step of each name in event files."""
    found: dict[str, int] = {}
    for file in files:
        for event in _events(file):
            for value in event.summary.value:
                found[value.tag] = max(event.step, found.get(value.tag, 0))
    return found


def _events(file: Path) -> Iterator[Event]:
    """The events of a file; a last one that is not complete is left out, as TensorBoard does."""
    with open(file, "rb") as stream:
        while len(header := stream.read(_HEADER.size)) == _HEADER.size:
            length, _ = _HEADER.unpack(header)
            record = stream.read(length + _FOOTER)
            if len(record) < length + _FOOTER:
                return
            yield Event.FromString(record[:length])
