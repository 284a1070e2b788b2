"""The server: listen at an address, serve until stopped."""

import contextlib
import errno
import importlib.util
import ipaddress
import os
import secrets
import socket
import threading
import webbrowser
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from frankrl.core import system
from frankrl.core.errors import FrankError, MissingExtraError, SettingError, warn

_PACKAGES = ("starlette", "uvicorn", "plotly")
_NICENESS = 19
_LARGEST_PORT = 65_535
_GRACE_SECONDS = 3
"""Time for streams to end on shutdown; they poll twice a second."""


def check_packages() -> None:
    """Check that the packages of the dashboard are installed.

    Raises:
        MissingExtraError: a package is missing.
    """
    for package in _PACKAGES:
        if importlib.util.find_spec(package) is None:
            raise MissingExtraError("the dashboard", package, "dashboard")


def listen(host: str, port: int) -> socket.socket:
    """Bind a listening socket.

    Args:
        host: an IP address, or `localhost`.
        port: 0 picks a free port.

    Raises:
        SettingError: the address is not one of this machine, or the port is taken.
    """
    if not 0 <= port <= _LARGEST_PORT:
        raise SettingError(f"--port must be from 0 to {_LARGEST_PORT}, got {port}")
    host = "127.0.0.1" if host == "localhost" else host
    try:
        version = ipaddress.ip_address(host).version
    except ValueError:
        raise SettingError(
            f"--host must be an IP address such as 127.0.0.1 or 0.0.0.0, got {host!r}"
        ) from None
    family = socket.AF_INET6 if version == 6 else socket.AF_INET
    # With the protocol named, asyncio sets TCP_NODELAY; without it packets wait for 40 ms.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(128)
    except OSError as error:
        listening.close()
        if error.errno == errno.EADDRINUSE:
            raise SettingError(
                f"port {port} is taken, perhaps by another frank dashboard: "
                "choose another with --port, or let --port 0 pick a free one"
            ) from error
        raise SettingError(f"cannot listen at {host} port {port}: {error.strerror}") from error
    return listening


def serve(
    root: Path,
    listening: socket.socket,
    *,
    opened: bool,
    module_path: Sequence[str],
    allow_code: bool = False,
    with_parent: bool = False,
) -> None:
    """Serve the runs below a folder until SIGINT or SIGTERM.

    Args:
        root: the folder.
        listening: a socket from `listen`.
        opened: open the page in the browser.
        module_path: folders in which the page's workers find modules first.
        allow_code: whether they may import what a run folder of somebody else names.
        with_parent: stop when standard input ends, which happens when the parent process ends.
    """
    import uvicorn

    from frankrl.dashboard.app import make_app
    from frankrl.dashboard.guard import Guard, local_names

    host, port = listening.getsockname()[:2]
    token = "" if ipaddress.ip_address(host).is_loopback else secrets.token_urlsafe(24)
    shown_app = make_app(
        root, lambda: server.should_exit, module_path=module_path, allow_code=allow_code
    )
    config = uvicorn.Config(
        Guard(shown_app, port=port, names=local_names(host), token=token),
        log_level="error",
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        ws="none",
        timeout_graceful_shutdown=_GRACE_SECONDS,
        limit_concurrency=512,
    )
    server = uvicorn.Server(config)
    reached = _reached_at(host)
    shown = f"[{reached}]" if ":" in reached else reached
    url = f"http://{shown}:{port}/" + (f"?token={token}" if token else "")
    print(url, flush=True)
    if opened and token:
        # Every user of this machine can read the command line of a browser, and so the token.
        warn("the address has a token, so --open does nothing: open the page yourself")
    elif opened:
        # Some browsers return only when they are closed, so a thread waits for them.
        threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()
    # After starting the browser, which should keep its priority.
    _lower_priority()
    if with_parent:
        threading.Thread(target=_stop_at_end_of_input, args=(server,), daemon=True).start()
    with contextlib.suppress(KeyboardInterrupt):
        server.run(sockets=[listening])
    if not server.started:
        raise FrankError("the dashboard could not be started; the lines above say why")


def _lower_priority() -> None:
    """Lower the priority of this process, so that it never preempts a training."""
    system.lower_priority(_NICENESS, never_preempts=True)


def _reached_at(host: str) -> str:
    """The address to print: for 0.0.0.0 or ::, one that other machines can reach."""
    address = ipaddress.ip_address(host)
    if not address.is_unspecified:
        return host
    family, elsewhere = (
        (socket.AF_INET, "192.0.2.1") if address.version == 4 else (socket.AF_INET6, "2001:db8::1")
    )
    # Connecting a UDP socket sends nothing; it only tells which address the system would use.
    with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as asking:
        asking.connect((elsewhere, 9))
        return str(asking.getsockname()[0])
    return "127.0.0.1" if address.version == 4 else "::1"


def _stop_at_end_of_input(server: Any) -> None:
    while os.read(0, 1024):
        pass
    server.should_exit = True
