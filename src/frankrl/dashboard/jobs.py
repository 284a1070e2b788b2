"""Slow work, done one job at a time in worker processes of low priority."""

import asyncio
import contextlib
import json
import secrets
import shutil
import tempfile
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from frankrl.core import system
from frankrl.core.processes import module_command, searching

Key = tuple[str, ...]
RESULT = "result.json"
_PREFIX = "frank-dashboard-"
_KEPT = 4
"""Number of results kept on the disk."""
_MAX_WAITING = 8
_LONGEST_SECONDS = 900
_END_SECONDS = 5
"""Time for a worker to exit after its last line of output."""
_POLL_SECONDS = 0.25
"""How often a job checks whether the client is still connected."""


class Jobs:
    """Does work for clients, and keeps the newest results.

    A client that disconnects ends its work.
    """

    def __init__(self, module_path: Sequence[str], *, allow_code: bool) -> None:
        """Begin without any work.

        Args:
            module_path: folders in which the workers find modules first.
            allow_code: whether they may import what a run folder of somebody else names.
        """
        self._module_path = module_path
        self._allow_code = allow_code
        self._turn = asyncio.Lock()
        self._waiting = 0
        self._place = Path(tempfile.mkdtemp(prefix=_PREFIX))
        self._done: dict[Key, str] = {}

    async def answers(
        self, key: Key, order: dict[str, Any], is_gone: Callable[[], Awaitable[bool]]
    ) -> AsyncGenerator[bytes, None]:
        """Lines of JSON: progress, then the result or an error.

        Args:
            key: identifies the result; equal keys share it.
            order: the job for `frankrl.dashboard.work`.
            is_gone: whether the client has disconnected.
        """
        if self._waiting >= _MAX_WAITING:
            yield _line(error="too many jobs are waiting; try again in a moment")
            return
        self._waiting += 1
        try:
            async with contextlib.aclosing(self._until_done(key, order, is_gone)) as lines:
                async for line in lines:
                    yield line
        finally:
            self._waiting -= 1
        # Sent after the turn is released, so that a slow reader does not block other clients.
        if key in self._done:
            yield self._result_line(key)

    async def _until_done(
        self, key: Key, order: dict[str, Any], is_gone: Callable[[], Awaitable[bool]]
    ) -> AsyncGenerator[bytes, None]:
        while key not in self._done:
            try:
                await asyncio.wait_for(self._turn.acquire(), _POLL_SECONDS)
            except TimeoutError:
                if await is_gone():
                    return
                yield _line(waiting=True)
                continue
            try:
                if key not in self._done:
                    async with contextlib.aclosing(self._work(key, order, is_gone)) as lines:
                        async for line in lines:
                            yield line
                return
            finally:
                self._turn.release()

    async def _work(
        self, key: Key, order: dict[str, Any], is_gone: Callable[[], Awaitable[bool]]
    ) -> AsyncGenerator[bytes, None]:
        name = secrets.token_hex(8)
        folder = self._place_for(name)
        worker = await asyncio.create_subprocess_exec(
            *module_command("frankrl.dashboard.work"),
            json.dumps(order | {"out": str(folder), "allow_code": self._allow_code}),
            # The worker ends with this process, because the pipe then closes.
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env=searching(self._module_path),
            **system.apart(),
        )
        assert worker.stdout is not None
        time_is_up = asyncio.get_running_loop().time() + _LONGEST_SECONDS
        reading: asyncio.Task[bytes] | None = None
        finished = False
        try:
            while True:
                reading = reading or asyncio.ensure_future(worker.stdout.readline())
                await asyncio.wait([reading], timeout=_POLL_SECONDS)
                if await is_gone():
                    return
                if asyncio.get_running_loop().time() > time_is_up:
                    yield _line(error=f"given up after {_LONGEST_SECONDS} s")
                    return
                if reading.done():
                    line, reading = reading.result(), None
                    if not line:
                        break
                    yield line
            if worker.returncode is None:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(worker.wait(), _END_SECONDS)
            if worker.returncode:
                # A worker reports its own errors and exits with 0; any other status means a kill.
                yield _line(error="the work was ended from outside; is there enough memory?")
                return
            finished = (folder / RESULT).is_file()
            if finished:
                self._keep(key, name)
        finally:
            if reading is not None:
                reading.cancel()
            system.kill_group(worker.pid)
            if not finished:
                shutil.rmtree(folder, ignore_errors=True)
            # If this task is being cancelled, the event loop reaps the process.
            with contextlib.suppress(asyncio.CancelledError):
                await worker.wait()

    def _place_for(self, name: str) -> Path:
        """A new folder for a result. If the temporary folder was deleted, all results are gone."""
        if not self._place.is_dir():
            self._done.clear()
            self._place = Path(tempfile.mkdtemp(prefix=_PREFIX))
        folder = self._place / name
        folder.mkdir()
        return folder

    def _keep(self, key: Key, name: str) -> None:
        self._done[key] = name
        while len(self._done) > _KEPT:
            oldest = next(iter(self._done))
            shutil.rmtree(self._place / self._done.pop(oldest), ignore_errors=True)

    def _result_line(self, key: Key) -> bytes:
        name = self._done[key] = self._done.pop(key)
        try:
            text = (self._place / name / RESULT).read_bytes()
        except OSError:
            del self._done[key]
            return _line(error="this result is no longer kept; ask for it again")
        return b'{"name": "%s", "result": %s}\n' % (name.encode(), text)

    def piece(self, name: str, number: int) -> tuple[bytes, str] | None:
        """A file of a result: a picture, or the HTML of a transition.

        Args:
            name: name of the result.
            number: number of the file, from 0.

        Returns:
            Its content and its file extension; None if the file no longer exists.
        """
        if name not in self._done.values() or not 0 <= number < 1_000_000:
            return None
        for ending in ("jpg", "png", "html"):
            with contextlib.suppress(OSError):
                return (self._place / name / f"{number}.{ending}").read_bytes(), ending
        return None

    def close(self) -> None:
        """Remove all results."""
        self._done.clear()
        shutil.rmtree(self._place, ignore_errors=True)


def _line(**payload: Any) -> bytes:
    return json.dumps(payload).encode() + b"\n"
