"""Tells every open page of what changes; nothing is looked at while no page is open."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable

from frankrl.core.errors import warn
from frankrl.dashboard.run_table import Board

SECONDS = 0.5
"""Between two looks at the runs."""
_LOOKS_TO_ALL = 4
"""Every so many looks new runs are looked for too."""
_STILL_THERE = b": still here\n\n"
_LOOKS_IN_SILENCE = 30
"""After so many a page that hears of no change is sent a word all the same."""
MAX_STREAMS = 64


class Live:
    """One look at the runs serves all pages."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._looking: asyncio.Task[None] | None = None
        self._looked = asyncio.Event()
        self._told: tuple[int, int, bytes] = (-1, -1, b"")
        self.streams = 0
        """Pages that listen."""

    async def events(self, is_gone: Callable[[], Awaitable[bool]]) -> AsyncGenerator[bytes, None]:
        """Server-sent events: the rows that have changed, as soon as they have.

        Args:
            is_gone: whether the page has been closed.
        """
        self.streams += 1
        try:
            if self._looking is None:
                self._looking = asyncio.create_task(self._look())
            seen, silent = -1, 0
            while not await is_gone():
                looked = self._looked
                if self._board.change != seen:
                    seen, event = await self._event(seen)
                    silent = 0
                    yield event
                elif (silent := silent + 1) % _LOOKS_IN_SILENCE == 0:
                    yield _STILL_THERE
                await looked.wait()
        finally:
            self.streams -= 1
            if self.streams == 0 and self._looking is not None:
                self._looking.cancel()
                self._looking = None
                self._board.forget()

    async def _event(self, seen: int) -> tuple[int, bytes]:
        """What has changed since; the pages that stand alike are told the same bytes."""
        if self._told[:2] != (seen, self._board.change):
            change, text = await asyncio.to_thread(self._board.rows_since, seen)
            self._told = (seen, change, f"data: {text}\n\n".encode())
        return self._told[1:]

    async def _look(self) -> None:
        looks, said = 0, ""
        while True:
            everything = looks % _LOOKS_TO_ALL == 0
            try:
                await asyncio.to_thread(self._board.refresh, everything=everything)
            except Exception as error:
                # What was not foreseen in one run's files must not end the looking.
                trouble = f"{type(error).__name__}: {error}"
                if trouble != said:
                    warn(f"the runs could not be looked at: {trouble}")
                said = trouble
            looks += 1
            looked, self._looked = self._looked, asyncio.Event()
            looked.set()
            await asyncio.sleep(SECONDS)
