"""Ray clusters on this machine: each node at an address of its own, everything ended by its id."""

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from hanging import HANGS_AFTER_SECONDS

TOKEN = {
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": secrets.token_hex(32),
    "RAY_USAGE_STATS_ENABLED": "0",
}
"""Environment variables with which a process may speak with these clusters."""
_SOURCES = Path(__file__).parent.parent / "src"


class RayNode:
    """One node: the process `ray start --block` with all that it has started."""

    def __init__(self, words: list[str], log: Path, before: tuple[str, ...] = ()) -> None:
        command = [*before, str(Path(sys.executable).with_name("ray")), "start", "--block", *words]
        with open(log, "wb") as file:
            self._process = subprocess.Popen(
                command, stdout=file, stderr=file, env=environment(), start_new_session=True
            )

    def processes(self, word: str = "") -> list[int]:
        """Process ids of the node whose command line holds a word."""
        found = []
        for folder in Path("/proc").iterdir():
            if folder.name.isdecimal():
                with contextlib.suppress(OSError):
                    session = (folder / "stat").read_text().rpartition(")")[2].split()[3]
                    named = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                    if session == str(self._process.pid) and word in named:
                        found.append(int(folder.name))
        return found

    def send(self, number: int, word: str = "") -> int:
        """Send a signal to all processes whose command line holds a word; how many there were."""
        found = self.processes(word)
        for process in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, number)
        return len(found)

    def kill(self) -> None:
        """End the node at once, with everything that it runs, as a power cut does."""
        while self.send(signal.SIGKILL):
            self._process.poll()
            time.sleep(0.02)
        self._process.wait()


class RayCluster:
    """A head without CPUs at 127.0.0.11, and nodes at .12, .13 …"""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.address = f"127.0.0.11:{_free_port('127.0.0.11')}"
        self._at = 11
        self.nodes: list[RayNode] = []
        self.head = self._start(
            *("--head", f"--port={self.address.rpartition(':')[2]}", "--num-cpus=0"),
            # The paths of its sockets must be short.
            *("--include-dashboard=false", f"--temp-dir=/tmp/frank-{secrets.token_hex(4)}"),
        )
        host, port = self.address.split(":")
        wait_for(lambda: _answers(host, int(port)), "the head of the Ray cluster")

    def add(self, cpus: int = 1, resources: str = "{}") -> RayNode:
        """Start a node."""
        node = self._start(
            f"--address={self.address}", f"--num-cpus={cpus}", "--resources", resources
        )
        self.nodes.append(node)
        return node

    def _start(self, *words: str) -> RayNode:
        at, self._at = self._at, self._at + 1
        common = ["--disable-usage-stats", "--object-store-memory=100000000"]
        ports = ["--min-worker-port=0", "--max-worker-port=0", f"--node-ip-address=127.0.0.{at}"]
        return RayNode([*words, *common, *ports], self.folder / f"node-{at}.log")

    def close(self) -> None:
        """End everything."""
        for node in [*self.nodes, self.head]:
            node.kill()


@contextlib.contextmanager
def ray_cluster(folder: Path, nodes: int = 2) -> Iterator[RayCluster]:
    """A cluster with so many nodes of one CPU each; it ends with the context."""
    cluster = RayCluster(folder)
    try:
        for _ in range(nodes):
            cluster.add()
        yield cluster
    finally:
        cluster.close()


def environment() -> dict[str, str]:
    """Environment variables of a process that belongs to such a cluster."""
    found = filter(None, [str(_SOURCES), os.environ.get("PYTHONPATH")])
    return os.environ | TOKEN | {"PYTHONPATH": os.pathsep.join(found)}


def wait_for(condition, what: str) -> None:
    """Wait until something holds.

    Raises:
        TimeoutError: it does not come.
    """
    ends = time.monotonic() + HANGS_AFTER_SECONDS
    while not condition():
        if time.monotonic() > ends:
            raise TimeoutError(f"{what} does not come")
        time.sleep(0.1)


def _free_port(host: str) -> int:
    with socket.socket() as found:
        found.bind((host, 0))
        return found.getsockname()[1]


def _answers(host: str, port: int) -> bool:
    with contextlib.suppress(OSError):
        socket.create_connection((host, port), 1).close()
        return True
    return False
