"""Ray clusters on this machine: each node at an address of its own, everything ended by its id."""

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

from hanging import HANGS_AFTER_SECONDS

TOKEN = {
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": secrets.token_hex(32),
    "RAY_USAGE_STATS_ENABLED": "0",
}
"""Environment variables with which a process may speak with these clusters."""
_SOON = {
    "RAY_health_check_initial_delay_ms": "0",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "2000",
    "RAY_health_check_failure_threshold": "3",
}
"""A node that does not answer is taken for dead after some seconds."""
_TASK = "ray::run_task"
"""What the command line of a process says while it does a job."""
_SOURCES = Path(__file__).parent.parent / "src"


class RayNode:
    """One node: the process `ray start --block` with all that it has started."""

    def __init__(
        self, host: str, words: list[str], log: Path, before: tuple[str, ...] = ()
    ) -> None:
        self.host = host
        command = [*before, str(Path(sys.executable).with_name("ray")), "start", "--block", *words]
        with open(log, "wb") as file:
            self._process = subprocess.Popen(
                command, stdout=file, stderr=file, env=environment(), start_new_session=True
            )

    def processes(self, word: str = "") -> list[int]:
        """Ids of the node's living processes whose command line holds a word."""
        found = []
        for folder in Path("/proc").iterdir():
            if folder.name.isdecimal():
                with contextlib.suppress(OSError):
                    after_name = (folder / "stat").read_text().rpartition(")")[2].split()
                    state, session = after_name[0], after_name[3]
                    named = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                    # One that nobody has waited for yet is dead as well.
                    is_alive = state != "Z"
                    if is_alive and session == str(self._process.pid) and word in named:
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

    network, first = "127.0.0", 11

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        # The paths of its sockets must be short.
        self._temporary = Path(f"/tmp/frank-{secrets.token_hex(4)}")
        host = f"{self.network}.{self.first}"
        port = _free_port(host)
        self.address = f"{host}:{port}"
        self._next = self.first
        self.nodes: list[RayNode] = []
        self.head = self._start(
            *("--head", f"--port={port}", "--num-cpus=0", "--include-dashboard=false"),
            f"--temp-dir={self._temporary}",
        )

    def add(self, cpus: int = 1, resources: str = "{}") -> RayNode:
        """Start a node."""
        words = [f"--address={self.address}", f"--num-cpus={cpus}", "--resources", resources]
        node = self._start(*words, before=self._place(self._next))
        self.nodes.append(node)
        return node

    def remove(self, node: RayNode) -> None:
        """Kill a node."""
        node.kill()
        self.nodes.remove(node)

    def busy(self) -> RayNode:
        """The first node that does a job, once there is one."""
        wait_for(lambda: any(node.processes(_TASK) for node in self.nodes), "a task")
        return next(node for node in self.nodes if node.processes(_TASK))

    def said(self, text: str) -> bool:
        """Whether a process of the cluster has said something on its standard error."""
        logs = self._temporary.glob("session_*/logs/worker-*.err")
        return any(text in log.read_text(errors="replace") for log in logs)

    def close(self) -> None:
        """End everything."""
        for node in [*self.nodes, self.head]:
            node.kill()
        shutil.rmtree(self._temporary, ignore_errors=True)

    def _place(self, number: int) -> tuple[str, ...]:
        """The beginning of the command that starts a node at this number of the network."""
        return ()

    def _start(self, *words: str, before: tuple[str, ...] = ()) -> RayNode:
        host = f"{self.network}.{self._next}"
        self._next += 1
        common = ["--disable-usage-stats", "--object-store-memory=100000000"]
        ports = ["--min-worker-port=0", "--max-worker-port=0", f"--node-ip-address={host}"]
        log = self._folder / f"{host}.log"
        node = RayNode(host, [*words, *common, *ports], log, before)
        # One after the other: nodes that start together can keep each other from starting.
        wait_for(lambda: b"Ray runtime started" in log.read_bytes(), f"the Ray node {host}")
        return node


class NamespacedCluster(RayCluster):
    """A cluster each of whose nodes has a network of its own, with a link that can be cut."""

    network, first = "10.203.77", 1
    _BRIDGE = "frankbr"

    def __init__(self, folder: Path) -> None:
        self._spaces: list[str] = []
        _ip("link", "add", self._BRIDGE, "type", "bridge")
        _ip("addr", "add", f"{self.network}.{self.first}/24", "dev", self._BRIDGE)
        _ip("link", "set", self._BRIDGE, "up")
        super().__init__(folder)

    @staticmethod
    def is_allowed() -> bool:
        """Whether this process may make networks."""
        try:
            _ip("netns", "add", "frank-try")
            _ip("netns", "del", "frank-try")
        except (OSError, subprocess.CalledProcessError):
            return False
        return True

    def cut(self, node: RayNode) -> None:
        """Cut the link of a node."""
        _ip("link", "set", _link(node.host), "down")

    def mend(self, node: RayNode) -> None:
        """Put the link back."""
        _ip("link", "set", _link(node.host), "up")

    def close(self) -> None:
        """End everything, and remove the networks."""
        super().close()
        for space in self._spaces:
            _ip("netns", "del", space)
        _ip("link", "del", self._BRIDGE)

    def _place(self, number: int) -> tuple[str, ...]:
        link = _link(f"{self.network}.{number}")
        space = f"ns-{link}"
        _ip("netns", "add", space)
        self._spaces.append(space)
        _ip("link", "add", link, "type", "veth", "peer", "name", "inside", "netns", space)
        _ip("link", "set", link, "master", self._BRIDGE, "up")
        inside = ("netns", "exec", space, "ip")
        _ip(*inside, "addr", "add", f"{self.network}.{number}/24", "dev", "inside")
        for device in ("inside", "lo"):
            _ip(*inside, "link", "set", device, "up")
        return ("ip", "netns", "exec", space)


_Cluster = TypeVar("_Cluster", bound=RayCluster)


@contextlib.contextmanager
def ray_cluster(
    folder: Path, nodes: int = 2, kind: type[_Cluster] = RayCluster
) -> Iterator[_Cluster]:
    """A cluster with so many nodes of one CPU each; it ends with the context."""
    cluster = kind(folder)
    try:
        for _ in range(nodes):
            cluster.add()
        yield cluster
    finally:
        cluster.close()


def environment() -> dict[str, str]:
    """Environment variables of a process that belongs to such a cluster."""
    found = filter(None, [str(_SOURCES), os.environ.get("PYTHONPATH")])
    return os.environ | TOKEN | _SOON | {"PYTHONPATH": os.pathsep.join(found)}


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


def _link(host: str) -> str:
    return f"frank{host.rpartition('.')[2]}"


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)
