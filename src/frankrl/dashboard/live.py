"""Tells every open page of what changes; nothing is polled at while no page is open."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable

from frankrl.core.errors import warn
from frankrl.dashboard.run_table import RunTable

SECONDS = 0.5
"""Between two looks at the runs."""
_POLLS_PER_SCAN = 4
"""Every so many looks new runs are polled for too."""
_STILL_THERE = b": still here\n\n"
_SILENT_POLLS = 30
"""After so many a page that hears of no change is sent a word all the same."""
MAX_STREAMS = 64


class Live:
    """One look at the runs serves all pages."""

    def __init__(self, run_table: RunTable) -> None:
        self._run_table = run_table
        self._polling: asyncio.Task[None] | None = None
        self._polled = asyncio.Event()
        self._newest_event: tuple[int, int, bytes] = (-1, -1, b"")
        self.streams = 0
        """Pages that listen."""

    async def events(self, is_gone: Callable[[], Awaitable[bool]]) -> AsyncGenerator[bytes, None]:
        """Server-sent events: the rows that have changed, as soon as they have.

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
        """What has changed since; the pages that stand alike are told the same bytes."""
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
                # What was not foreseen in one run's files must not end the looking.
                trouble = f"{type(error).__name__}: {error}"
                if trouble != reported:
                    warn(f"the runs could not be read: {trouble}")
                reported = trouble
            polls += 1
            polled, self._polled = self._polled, asyncio.Event()
            polled.set()
            await asyncio.sleep(SECONDS)
