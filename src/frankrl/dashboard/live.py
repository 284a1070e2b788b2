"""Sends changed runs to every open page; polls the runs only while a page is open."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable

from frankrl.core.errors import warn
from frankrl.dashboard.run_table import RunTable

SECONDS = 0.5
"""Time between two polls of the runs."""
_POLLS_PER_SCAN = 4
"""Every so many polls, the folder is scanned for new runs."""
_STILL_THERE = b": still here\n\n"
_SILENT_POLLS = 30
"""After so many polls without a change, a page gets a comment that keeps the stream open."""
MAX_STREAMS = 64


class Live:
    """Polls the runs once for all open pages."""

    def __init__(self, run_table: RunTable) -> None:
        self._run_table = run_table
        self._polling: asyncio.Task[None] | None = None
        self._polled = asyncio.Event()
        self._newest_event: tuple[int, int, bytes] = (-1, -1, b"")
        self.streams = 0
        """Number of open pages."""

    async def events(self, is_gone: Callable[[], Awaitable[bool]]) -> AsyncGenerator[bytes, None]:
        """Server-sent events with the rows that have changed.

        Args:
            is_gone: whether the page has been closed.
        """
        self.streams += 1
        try:
            if self._polling is None:
                self._polling = asyncio.create_task(self._poll())
            seen, silent = -1, 0
            while not await is_gone():
                polled = self._polled
                if self._run_table.change != seen:
                    seen, event = await self._event(seen)
                    silent = 0
                    yield event
                elif (silent := silent + 1) % _SILENT_POLLS == 0:
                    yield _STILL_THERE
                await polled.wait()
        finally:
            self.streams -= 1
            if self.streams == 0 and self._polling is not None:
                self._polling.cancel()
                self._polling = None
                self._run_table.forget()

    async def _event(self, seen: int) -> tuple[int, bytes]:
        """The rows changed since `seen`; pages with the same `seen` share the bytes."""
        if self._newest_event[:2] != (seen, self._run_table.change):
            change, text = await asyncio.to_thread(self._run_table.rows_since, seen)
            self._newest_event = (seen, change, f"data: {text}\n\n".encode())
        return self._newest_event[1:]

    async def _poll(self) -> None:
        polls, reported = 0, ""
        while True:
            everything = polls % _POLLS_PER_SCAN == 0
            try:
                await asyncio.to_thread(self._run_table.refresh, everything=everything)
            except Exception as error:
                # An unforeseen error in one run's files must not end the polling.
                trouble = f"{type(error).__name__}: {error}"
                if trouble != reported:
                    warn(f"the runs could not be read: {trouble}")
                reported = trouble
            polls += 1
            polled, self._polled = self._polled, asyncio.Event()
            polled.set()
            await asyncio.sleep(SECONDS)
