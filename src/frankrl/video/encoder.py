"""Writes frames to a video file that appears whole or not at all."""

import contextlib
import errno
import os
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from jaxtyping import UInt8

from frankrl.core.errors import SettingError
from frankrl.core.system import apart

ENDINGS = (".mp4", ".gif")
GIF_FRAMES_PER_SECOND = 15

_REFUSALS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EIO)
"""What the system may refuse while a file is written."""
_TV_COLOURS = "scale=out_color_matrix=bt709:out_range=tv"
_H264 = [
    *("-c:v", "libx264", "-pix_fmt", "yuv420p"),
    *("-vf", _TV_COLOURS, "-colorspace", "bt709", "-color_primaries", "bt709"),
    *("-color_trc", "bt709", "-crf", "20", "-preset", "medium", "-movflags", "+faststart"),
]


def check_ending(path: Path) -> None:
    """Check the file extension of a film.

    Raises:
        SettingError: the extension is neither .mp4 nor .gif.
    """
    if path.suffix.lower() not in ENDINGS:
        given = f"ends in {path.suffix!r}" if path.suffix else "has no ending"
        raise SettingError(f"a film is written to a .mp4 or a .gif file; {path} {given}")


class VideoWriter:
    """A context manager that takes frames; leaving it finishes the file.

    Until then the data lies in hidden files next to the target. An exception removes them.
    """

    def __init__(self, path: Path, frames_per_second: int) -> None:
        """Prepare to write; no file is created before the first frame.

        Args:
            path: target, ending in .mp4 (H.264) or .gif.
            frames_per_second: speed; a .gif drops frames to at most 15 per second.
        """
        check_ending(path)
        self._path = path
        self._frames_per_second = max(frames_per_second, 1)
        self._is_gif = path.suffix.lower() == ".gif"
        self._encoder: subprocess.Popen[bytes] | None = None
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 (closed in __exit__)
        self._recorded = self._hidden(".mkv" if self._is_gif else ".mp4")
        self._palette = self._hidden(".png")
        self._converted = self._hidden(".gif")

    def add(self, frame: UInt8[np.ndarray, "height width 3"]) -> None:
        """Append a frame; height and width must be even and the same for all frames.

        Raises:
            SettingError: the target is not writable.
        """
        try:
            if self._encoder is None:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._encoder = self._start(frame.shape[1], frame.shape[0])
            assert self._encoder.stdin is not None
            self._encoder.stdin.write(frame.tobytes())
        except BrokenPipeError as error:
            raise self._not_writable(self._reason()) from error
        except OSError as error:
            raise self._not_writable(error.strerror or str(error)) from error

    def _start(self, width: int, height: int) -> "subprocess.Popen[Any]":
        """Start the encoder.

        Not with `imageio_ffmpeg.write_frames`: that forks, which a process with JAX must not
        do, and it does not report whether the encoder succeeded.
        """
        raw = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}"]
        rate = ["-r", str(self._frames_per_second)]
        # The palette of a .gif needs the whole film, so the film is first recorded without loss.
        codec = ["-c:v", "ffv1", "-pix_fmt", "bgr0"] if self._is_gif else _H264
        return subprocess.Popen(
            [*_ffmpeg(), *raw, *rate, "-i", "-", "-an", *codec, _plain(self._recorded)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=self._stderr,
            **apart(),  # Ctrl-C reaches only this process, which then ends the encoder.
        )

    def _finish(self) -> None:
        """Turn the recording into the target."""
        if self._stop():
            raise self._not_writable(self._reason())
        if self._is_gif:
            self._convert()
        finished = self._converted if self._is_gif else self._recorded
        try:
            finished.replace(self._path)
        except OSError as error:
            raise self._not_writable(error.strerror or str(error)) from error

    def _stop(self) -> int:
        """End the recording and return the encoder's exit status."""
        if self._encoder is None or self._encoder.stdin is None:
            return 0
        with contextlib.suppress(OSError):
            self._encoder.stdin.close()
        return self._encoder.wait()

    def _convert(self) -> None:
        """Make the .gif: first the palette of the whole film, then the frames."""
        rate = f"fps={min(GIF_FRAMES_PER_SECOND, self._frames_per_second)}"
        colours = "palettegen=stats_mode=full"
        # Without dithering, flat areas stay flat: the text is sharp and the file small.
        use = f"[0:v]{rate}[film];[film][1:v]paletteuse=dither=none:diff_mode=rectangle"
        command = [*_ffmpeg(), "-i", _plain(self._recorded)]
        for options in (
            ["-vf", f"{rate},{colours}", "-update", "1", _plain(self._palette)],
            [
                "-f",
                "png_pipe",
                "-i",
                _plain(self._palette),
                "-lavfi",
                use,
                "-loop",
                "0",
                _plain(self._converted),
            ],
        ):
            done = subprocess.run(
                [*command, *options], stdin=subprocess.DEVNULL, stderr=self._stderr
            )
            if done.returncode:
                raise self._not_writable(self._reason())

    def __enter__(self) -> "VideoWriter":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if self._encoder is not None and kind is None:
                self._finish()
        finally:
            if self._encoder is not None:
                self._encoder.kill()
                self._stop()
            self._stderr.close()
            for leftover in (self._recorded, self._palette, self._converted):
                with contextlib.suppress(OSError):
                    leftover.unlink(missing_ok=True)

    def _hidden(self, ending: str) -> Path:
        return self._path.with_name(f".{self._path.stem}.new-{os.getpid()}{ending}")

    def _reason(self) -> str:
        """Why the encoder failed: what the system refused, else the last line of its own output."""
        self._stderr.seek(0)
        text = self._stderr.read().decode("utf-8", "replace").strip()
        for refusal in map(os.strerror, _REFUSALS):
            if refusal in text:
                return refusal
        return f"the video encoder failed: {text.splitlines()[-1].strip() if text else 'no reason'}"

    def _not_writable(self, why: str) -> SettingError:
        return SettingError(f"cannot write the film {self._path}: {why}")


def _ffmpeg() -> list[str]:
    import imageio_ffmpeg

    return [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-v", "error"]


def _plain(path: Path) -> str:
    """A path in a form that ffmpeg reads as a file, whatever its characters."""
    return f"file:{path}"
