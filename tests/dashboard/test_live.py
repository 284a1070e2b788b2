import asyncio
import json

import pytest
from dashboard_runs import make_run, write_metrics

from frankrl.core.errors import FrankWarning
from frankrl.dashboard.live import Live
from frankrl.dashboard.run_table import Board


async def never():
    return False


def told(event):
    return json.loads(event.removeprefix(b"data: "))


def test_a_page_is_told_of_what_changes_and_nothing_is_left_when_it_goes(tmp_path):
    run = make_run(tmp_path / "run")

    async def watch():
        board = Board(tmp_path)
        live = Live(board)
        events = live.events(never)
        first = told(await anext(events))
        while not first["rows"]:
            first = told(await anext(events))
        write_metrics(run, training={"env_steps": [100], "updates": [1]})
        second = told(await anext(events))
        assert second["rows"][0]["env_steps"] == 100
        board.curves(tuple(first["ids"]), "env_steps", group=False)
        assert board._histories
        await events.aclose()
        assert (live.streams, live._looking) == (0, None)
        # Whoever reads just now lets go of it in passing.
        while board._histories or board._answers:
            await asyncio.sleep(0.01)

    asyncio.run(watch())


def test_a_hundred_pages_are_told_alike_and_let_go(tmp_path):
    make_run(tmp_path / "run")

    async def watch():
        board = Board(tmp_path)
        board.refresh()
        live = Live(board)
        pages = [live.events(never) for _ in range(100)]
        first = await asyncio.gather(*map(anext, pages))
        assert len(set(first)) == 1
        assert live.streams == 100
        for page in pages[:-1]:
            await page.aclose()
        assert live.streams == 1
        assert live._looking is not None
        await pages[-1].aclose()
        assert live._looking is None

    asyncio.run(watch())


def test_a_page_that_has_gone_ends_its_stream(tmp_path):
    async def watch():
        live, gone = Live(Board(tmp_path)), asyncio.Event()

        async def is_gone():
            return gone.is_set()

        events = live.events(is_gone)
        await anext(events)
        gone.set()
        with pytest.raises(StopAsyncIteration):
            await anext(events)
        assert live.streams == 0

    asyncio.run(watch())


def test_looking_goes_on_after_something_unforeseen(tmp_path):
    make_run(tmp_path / "run")

    async def watch():
        board = Board(tmp_path)
        live, scan = Live(board), board.refresh

        def fail(**_):
            board.refresh = scan
            raise RuntimeError("unforeseen")

        board.refresh = fail
        events = live.events(never)
        while not told(await anext(events))["rows"]:
            pass
        await events.aclose()

    with pytest.warns(FrankWarning, match="could not be looked at: RuntimeError: unforeseen"):
        asyncio.run(watch())


def test_a_page_that_goes_waits_for_no_slow_disk(tmp_path):
    make_run(tmp_path / "run")

    async def watch():
        board = Board(tmp_path)
        board.refresh()
        events = Live(board).events(never)
        await anext(events)
        with board._lock:
            await events.aclose()

    asyncio.run(watch())
