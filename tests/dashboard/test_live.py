import asyncio
import json

import pytest
from dashboard_runs import make_run, write_metrics

from frankrl.core.errors import FrankWarning
from frankrl.dashboard.live import Live
from frankrl.dashboard.run_table import RunTable


async def never():
    return False


def payload_of(event):
    return json.loads(event.removeprefix(b"data: "))


def test_a_page_receives_changes_and_nothing_is_left_when_it_closes(tmp_path):
    run = make_run(tmp_path / "run")

    async def watch():
        run_table = RunTable(tmp_path)
        live = Live(run_table)
        events = live.events(never)
        first = payload_of(await anext(events))
        while not first["rows"]:
            first = payload_of(await anext(events))
        write_metrics(run, training={"env_steps": [100], "updates": [1]})
        second = payload_of(await anext(events))
        assert second["rows"][0]["env_steps"] == 100
        run_table.curves(tuple(first["ids"]), "env_steps", group=False)
        assert run_table._histories
        await events.aclose()
        assert (live.streams, live._polling) == (0, None)
        # Whoever reads just now lets go of it in passing.
        while run_table._histories or run_table._answers:
            await asyncio.sleep(0.01)

    asyncio.run(watch())


def test_a_hundred_pages_receive_the_same_event_and_are_released(tmp_path):
    make_run(tmp_path / "run")

    async def watch():
        run_table = RunTable(tmp_path)
        run_table.refresh()
        live = Live(run_table)
        pages = [live.events(never) for _ in range(100)]
        first = await asyncio.gather(*map(anext, pages))
        assert len(set(first)) == 1
        assert live.streams == 100
        for page in pages[:-1]:
            await page.aclose()
        assert live.streams == 1
        assert live._polling is not None
        await pages[-1].aclose()
        assert live._polling is None

    asyncio.run(watch())


def test_a_page_that_has_gone_ends_its_stream(tmp_path):
    async def watch():
        live, gone = Live(RunTable(tmp_path)), asyncio.Event()

        async def is_gone():
            return gone.is_set()

        events = live.events(is_gone)
        await anext(events)
        gone.set()
        with pytest.raises(StopAsyncIteration):
            await anext(events)
        assert live.streams == 0

    asyncio.run(watch())


def test_polling_goes_on_after_an_unforeseen_error(tmp_path):
    make_run(tmp_path / "run")

    async def watch():
        run_table = RunTable(tmp_path)
        live, scan = Live(run_table), run_table.refresh

        def fail(**_):
            run_table.refresh = scan
            raise RuntimeError("unforeseen")

        run_table.refresh = fail
        events = live.events(never)
        while not payload_of(await anext(events))["rows"]:
            pass
        await events.aclose()

    with pytest.warns(FrankWarning, match="could not be read: RuntimeError: unforeseen"):
        asyncio.run(watch())


def test_a_page_that_goes_waits_for_no_slow_disk(tmp_path):
    make_run(tmp_path / "run")

    async def watch():
        run_table = RunTable(tmp_path)
        run_table.refresh()
        events = Live(run_table).events(never)
        await anext(events)
        with run_table._lock:
            await events.aclose()

    asyncio.run(watch())
