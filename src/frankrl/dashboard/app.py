"""The routes of the dashboard and their answers."""

import asyncio
import contextlib
import importlib.resources
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from frankrl.core.errors import FrankError, SettingError
from frankrl.core.random import check_seed
from frankrl.dashboard.jobs import Jobs
from frankrl.dashboard.live import MAX_STREAMS, Live
from frankrl.dashboard.run_table import RunTable
from frankrl.runs.checkpoint_folder import list_checkpoints
from frankrl.runs.folder import RunFolder
from frankrl.runs.no_checkpoint import no_checkpoint

_KINDS = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".jpg": "image/jpeg",
    ".png": "image/png",
}
_JSON = "application/json"
_LINES = "application/x-ndjson"
_FRESH = {"cache-control": "no-store"}
_KEPT = {"cache-control": "private, max-age=3600"}
Handler = Callable[[Request], Awaitable[Response]]


def make_app(
    root: Path,
    is_ending: Callable[[], bool] = lambda: False,
    *,
    module_path: Sequence[str] = (),
    allow_code: bool = False,
) -> Starlette:
    """The application that shows the runs below a folder.

    Args:
        root: the folder.
        is_ending: whether the server is shutting down; streams then end as well.
        module_path: folders in which the page's workers find modules first.
        allow_code: whether they may import what a run folder of somebody else names.
    """
    dashboard = _Dashboard(root, is_ending, lambda: Jobs(module_path, allow_code=allow_code))
    routes = {
        "/": dashboard.page,
        "/page/{name}": dashboard.file,
        "/events": dashboard.events,
        "/curves": dashboard.curves,
        "/settings": dashboard.settings,
        "/sweep/{sweep}": dashboard.sweep,
        "/jobs": dashboard.jobs,
        "/warnings/{run}": dashboard.warnings,
        "/episode/{run}": dashboard.episode,
        "/update/{run}": dashboard.update,
        "/diagnostics/{run}": dashboard.diagnostics,
        "/pieces/{name}/{number:int}": dashboard.piece,
    }
    return Starlette(
        routes=[Route(path, _answering_errors(handler)) for path, handler in routes.items()],
        lifespan=dashboard.lifespan,
    )


def page_files() -> dict[str, bytes]:
    """The files of the page by name. No other file of the disk is served under `/page`."""
    own = importlib.resources.files("frankrl.dashboard") / "page"
    files = {entry.name: entry.read_bytes() for entry in own.iterdir() if entry.is_file()}
    document = importlib.resources.files("frankrl.explaining") / "page.css"
    plotly = importlib.resources.files("plotly") / "package_data" / "plotly.min.js"
    return files | {"document.css": document.read_bytes(), "plotly.min.js": plotly.read_bytes()}


def _answering_errors(handler: Handler) -> Handler:
    """A handler that answers an error of ours with status 400 or 404 and its message as JSON."""

    async def answer(request: Request) -> Response:
        try:
            return await handler(request)
        except SettingError as error:
            return _error(400, error)
        except FrankError as error:
            return _error(404, error)

    return answer


def _error(status: int, error: FrankError | str) -> Response:
    payload = json.dumps({"error": str(error)})
    return Response(payload, status, media_type=_JSON, headers=_FRESH)


class _Dashboard:
    """The handlers: one method per route."""

    def __init__(
        self, root: Path, is_ending: Callable[[], bool], make_jobs: Callable[[], Jobs]
    ) -> None:
        self._make_jobs = make_jobs
        self._is_ending = is_ending
        self._run_table = RunTable(root)
        self._live = Live(self._run_table)
        self._files = page_files()
        self._jobs: Jobs

    @contextlib.asynccontextmanager
    async def lifespan(self, app: Starlette) -> AsyncIterator[None]:
        """Set up before the first request, and clean up after the last one."""
        self._jobs = self._make_jobs()
        await asyncio.to_thread(self._run_table.refresh)
        try:
            yield
        finally:
            self._jobs.close()

    async def page(self, request: Request) -> Response:
        """The HTML page."""
        return self._file("index.html")

    async def file(self, request: Request) -> Response:
        """A script, style sheet or picture of the page."""
        return self._file(request.path_params["name"])

    def _file(self, name: str) -> Response:
        if name not in self._files:
            return _error(404, "there is no such file")
        kind = _KINDS[Path(name).suffix]
        # The library is large and changes only with its version.
        headers = _KEPT if name == "plotly.min.js" else {"cache-control": "no-cache"}
        return Response(self._files[name], media_type=kind, headers=headers)

    async def events(self, request: Request) -> Response:
        """The stream of server-sent events; each page listens to one."""
        if self._live.streams >= MAX_STREAMS:
            return _error(503, f"{MAX_STREAMS} pages are open already; close one of them")
        stream = self._live.events(self._gone(request))
        return StreamingResponse(stream, media_type="text/event-stream", headers=_FRESH)

    async def curves(self, request: Request) -> Response:
        """The curves of the selected runs."""
        query, runs = request.query_params, _runs(request)
        group = query.get("group") == "1"
        axis = query.get("x", "env_steps")
        payload = await asyncio.to_thread(self._run_table.curves, runs, axis, group=group)
        return Response(payload, media_type=_JSON, headers=_FRESH)

    async def settings(self, request: Request) -> Response:
        """The settings of the selected runs, side by side."""
        payload = await asyncio.to_thread(self._run_table.settings, _runs(request))
        return Response(payload, media_type=_JSON, headers=_FRESH)

    async def sweep(self, request: Request) -> Response:
        """A sweep: its definition, trials, and what follows from them."""
        sweeps, sweep = self._run_table.sweeps, request.path_params["sweep"]
        payload = await asyncio.to_thread(sweeps.payload, sweep)
        return Response(payload, media_type=_JSON, headers=_FRESH)

    async def jobs(self, request: Request) -> Response:
        """The published runs: who writes each, under which lease, and how far it is."""
        payload = await asyncio.to_thread(self._run_table.published.payload)
        return Response(payload, media_type=_JSON, headers=_FRESH)

    async def warnings(self, request: Request) -> Response:
        """The warnings about a run, from its metrics and settings."""
        run = request.path_params["run"]
        warnings = await asyncio.to_thread(self._run_table.warnings, run)
        looked_at = await asyncio.to_thread(self._run_table.checked, run)
        payload = {"warnings": [warning.plain() for warning in warnings], "checked": looked_at}
        return Response(json.dumps(payload), media_type=_JSON, headers=_FRESH)

    async def episode(self, request: Request) -> Response:
        """A fresh episode of the newest checkpoint."""
        folder = self._folder(request)
        seed = _whole(request, "seed")
        check_seed(seed)
        return self._work(request, folder, "episode", newest_checkpoint(folder), seed=seed)

    async def update(self, request: Request) -> Response:
        """One update, recomputed."""
        number = _whole(request, "number")
        return self._work(request, self._folder(request), "update", number=number)

    async def diagnostics(self, request: Request) -> Response:
        """Diagnostics of the newest checkpoint."""
        folder = self._folder(request)
        return self._work(request, folder, "diagnostics", newest_checkpoint(folder))

    async def piece(self, request: Request) -> Response:
        """A picture, or the explanation of a transition."""
        piece = self._jobs.piece(request.path_params["name"], request.path_params["number"])
        if piece is None:
            return _error(404, "this result is no longer kept; ask for it again")
        content, ending = piece
        return Response(content, media_type=_KINDS[f".{ending}"], headers=_KEPT)

    def _gone(self, request: Request) -> Callable[[], Awaitable[bool]]:
        """A function that says whether the client has gone or the server is shutting down."""

        async def gone() -> bool:
            return self._is_ending() or await request.is_disconnected()

        return gone

    def _folder(self, request: Request) -> RunFolder:
        return self._run_table.folder(request.path_params["run"])

    def _work(
        self, request: Request, folder: RunFolder, kind: str, at: str = "", **order: Any
    ) -> Response:
        run = str(folder.path.resolve())
        key = (kind, run, repr(folder.description), at, *map(str, order.values()))
        lines = self._jobs.answers(key, {"kind": kind, "run": run, **order}, self._gone(request))
        return StreamingResponse(lines, media_type=_LINES, headers=_FRESH)


def newest_checkpoint(folder: RunFolder) -> str:
    """The name of a run's newest checkpoint.

    Raises:
        RunFolderError: there is no checkpoint yet.
    """
    there = list_checkpoints(folder.checkpoints)
    if not there:
        raise no_checkpoint(folder)
    return there[-1].name


def _runs(request: Request) -> tuple[str, ...]:
    """The ids of the selected runs."""
    runs = tuple(filter(None, request.query_params.get("runs", "").split(",")))
    if not runs:
        raise SettingError("name at least one run")
    return runs


def _whole(request: Request, name: str) -> int:
    given = request.query_params.get(name, "0")
    if not (given.isascii() and given.isdigit()) or len(given) > 20:
        raise SettingError(f"{name} must be a whole number, got {given[:20]!r}")
    return int(given)
