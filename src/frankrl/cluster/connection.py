"""The connection to a Ray cluster, and the first questions to its machines."""

import contextlib
import importlib.metadata
import importlib.util
import logging
import os
import secrets
import signal
import socket
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from frankrl.cluster.nodes import PRUNING, Node, NodeFacts, check_versions, nodes_of
from frankrl.cluster.probe import REFUSED, SILENT, probed
from frankrl.core.errors import FrankError, MissingExtraError, RunFolderError
from frankrl.core.text import shown
from frankrl.core.wording import option
from frankrl.runs.machine import versions

_AUTO = "auto"
_PORT_SECONDS = 4.0
"""How long a connection and a first answer may take, each: a wrong address is told within 10 s."""
_PROBE_SECONDS = 60.0
"""How long a process may take to import Ray and to ask, on a machine that is busy."""
_HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
"""With this a client of HTTP/2, on which Ray speaks, begins: a preface and empty settings."""
_SETTINGS = 4
"""Type of the frame, its fourth byte, with which a server answers."""
_FACTS_SECONDS = 120.0
"""How long a node may take to start a worker and to import Frank."""
_CLIENT = "ray://"
_NO_ANSWER = "nothing there answers as Ray does"


def connect(address: str, shared: Path | None = None, *, prunes: bool = False) -> list[Node]:
    """Connect this process to a Ray cluster.

    Everything of this process on the cluster is in a namespace of its own. `disconnect` ends it.

    Args:
        address: `HOST:PORT` of the cluster's head, or `auto`: the cluster of which this machine
            is a node.
        shared: a folder that every machine must see; None: none.
        prunes: whether runs will be pruned on the machines, which Optuna decides.

    Returns:
        The cluster's nodes; each has the same versions of all packages as this process.

    Raises:
        MissingExtraError: Ray is not installed.
        FrankError: there is no cluster at this address, it refuses this process, a node has other
            versions, or does not see the folder.
    """
    if importlib.util.find_spec("ray") is None:
        raise MissingExtraError("a cluster", "ray", "ray")
    _check_address(address)
    import ray
    from ray.exceptions import RayError

    if ray.is_initialized():
        raise FrankError(
            "this process is connected to Ray already; call ray.shutdown() before Frank connects"
        )
    with _own_signals():
        try:
            ray.init(address, logging_level=logging.ERROR, log_to_driver=False)
        except (ConnectionError, RuntimeError, ValueError, RayError) as error:
            raise _not_connected(address, error) from error
    try:
        nodes = living_nodes()
        _check_nodes(nodes, shared, prunes=prunes)
    except BaseException:
        disconnect()
        raise
    return nodes


def disconnect() -> None:
    """End the connection; Ray ends whatever this process still has on the cluster."""
    import ray

    ray.shutdown()


def living_nodes() -> list[Node]:
    """The nodes that Ray takes for alive."""
    import ray

    return nodes_of(ray.nodes())


def own_address() -> str:
    """The address of the node on which a task runs."""
    import ray

    return ray.util.get_node_ip_address()


def own_id() -> str:
    """Ray's name for the node on which a task runs."""
    import ray

    return ray.get_runtime_context().get_node_id()


def software(*, prunes: bool) -> dict[str, str]:
    """Versions of Python, Ray and all packages that may affect the bits of a run.

    Args:
        prunes: whether that of Optuna belongs to them, which decides when a run is pruned.
    """
    found = versions() | {"ray": importlib.metadata.version("ray")}
    if prunes:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[PRUNING] = importlib.metadata.version(PRUNING)
    return found


def _check_nodes(nodes: Sequence[Node], shared: Path | None, *, prunes: bool) -> None:
    """Refuse nodes that cannot do what this process can.

    Raises:
        FrankError: a node has other versions, or does not see the folder.
    """
    ours, file = software(prunes=prunes), None
    if shared is not None:
        file = _marker_in(shared)
    try:
        for node, facts in zip(nodes, _facts_of(nodes, str(file or "")), strict=True):
            check_versions(ours, node.address, facts.versions)
            if not facts.sees_file:
                raise FrankError(
                    f"the node {node.address} does not see {shared}: give {option('out')} a folder "
                    "that all machines of the cluster share under the same path, or "
                    f"{option('publish')} an address in shared storage"
                )
    finally:
        if file is not None:
            file.unlink(missing_ok=True)


def _marker_in(shared: Path) -> Path:
    """A small file, by which a node sees whether it has the same folder."""
    file = shared / f".frank-{secrets.token_hex(8)}"
    try:
        shared.mkdir(parents=True, exist_ok=True)
        file.touch(exist_ok=False)
    except OSError as error:
        raise RunFolderError(f"{shared} cannot be written: {error.strerror or error}") from error
    return file


def _facts_of(nodes: Sequence[Node], file: str) -> list[NodeFacts]:
    """What each node says of itself, by one small task per node."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    task = ray.remote(num_cpus=0, max_retries=0)(_facts)
    asked = [
        task.options(
            scheduling_strategy=NodeAffinitySchedulingStrategy(node.node_id, soft=False)
        ).remote(file)
        for node in nodes
    ]
    return [_answer(node, reference) for node, reference in zip(nodes, asked, strict=True)]


def _facts(file: str) -> dict[str, Any]:
    return NodeFacts(software(prunes=True), not file or os.path.exists(file))._asdict()


def _answer(node: Node, reference: Any) -> NodeFacts:
    import ray
    from ray.exceptions import GetTimeoutError, RayError

    try:
        found: Any = ray.get(reference, timeout=_FACTS_SECONDS)
        return NodeFacts(**found)
    except GetTimeoutError:
        raise FrankError(
            f"the node {node.address} has not answered for {_FACTS_SECONDS:.0f} s; end Ray there, "
            "or try again"
        ) from None
    except RayError as error:
        last = shown(str(error).strip().rsplit("\n", 1)[-1], 300)
        raise FrankError(
            f"the node {node.address} cannot run Frank: {last}; install the same frankrl there"
        ) from error


def _check_address(address: str) -> None:
    """Refuse an address at which no usable Ray answers, within 10 seconds.

    Raises:
        FrankError: there is none.
    """
    if address.startswith(_CLIENT):
        raise FrankError(
            f"{shown(address)} is an address of Ray's client, which Frank does not use: run the "
            "command on a machine of the cluster, and give its HOST:PORT or auto"
        )
    if address != _AUTO:
        _check_port(address)
    found = probed(address, _PROBE_SECONDS)
    if found["state"] == SILENT:
        raise FrankError(_no_ray(address, _NO_ANSWER))
    if found["state"] == REFUSED:
        raise FrankError(
            f"the Ray at {shown(address)} refuses this process: its token is missing or another "
            "one; set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN to the cluster's token"
        )
    ours = software(prunes=False)
    for package in ("python", "ray"):
        theirs = found.get(package)
        if theirs is not None and theirs != ours[package]:
            raise FrankError(
                f"the Ray at {shown(address)} was started with {package} {shown(theirs)} and this "
                f"machine has {package} {ours[package]}; install the same versions on all "
                "machines of the cluster"
            )


def _check_port(address: str) -> None:
    host, colon, port = address.rpartition(":")
    if not colon or not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise FrankError(
            f"a Ray cluster's address is HOST:PORT, such as 10.0.0.5:6379, or auto; got "
            f"{shown(address)!r}"
        )
    try:
        with socket.create_connection((host.strip("[]"), int(port)), _PORT_SECONDS) as found:
            # Where Ray uses TLS, it does not answer this.
            speaks = os.environ.get("RAY_USE_TLS") == "1" or _speaks_http2(found)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise FrankError(_no_ray(address, shown(str(reason), 100))) from None
    if not speaks:
        raise FrankError(_no_ray(address, _NO_ANSWER))


def _speaks_http2(found: socket.socket) -> bool:
    found.settimeout(_PORT_SECONDS)
    answer = b""
    with contextlib.suppress(TimeoutError, ConnectionError):
        found.sendall(_HELLO)
        while len(answer) < _SETTINGS and (part := found.recv(64)):
            answer += part
    return answer[3:4] == bytes((_SETTINGS,))


def _no_ray(address: str, reason: str) -> str:
    if address == _AUTO:
        return (
            "this machine is no node of a Ray cluster; start one with `ray start --head`, or give "
            "the HOST:PORT of the cluster's head"
        )
    return (
        f"there is no Ray at {shown(address)} ({reason}); start one with `ray start --head`, or "
        "give the HOST:PORT that it has printed"
    )


def _not_connected(address: str, error: Exception) -> FrankError:
    return FrankError(
        f"this process cannot join the Ray at {shown(address)}: "
        f"{shown(str(error).strip() or type(error).__name__, 200)}; the command has to run on a "
        "machine of the cluster (`ray start --address=HOST:PORT` makes this one a node)"
    )


@contextlib.contextmanager
def _own_signals() -> Iterator[None]:
    """Within this context, Ray takes no signal from Frank."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
