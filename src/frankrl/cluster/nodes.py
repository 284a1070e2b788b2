"""The machines of a cluster: their CPUs, and what decides the bits of a run there."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from frankrl.core.errors import FrankError
from frankrl.core.text import shown

_NEEDED = ("python", "frankrl", "jax", "jaxlib", "numpy", "optax", "gymnasium", "ray")
"""What every machine must have, in the same versions. Other packages need not be there."""
PREFIX = "cpu:"
"""Beginning of the name of the resource by which nodes of one CPU model are told apart."""
_MAX_SLUG = 60


class Node(NamedTuple):
    """A machine of the cluster."""

    node_id: str
    address: str
    cpus: int
    """CPUs that Ray may use there."""
    resource: str
    """Name of the resource of its CPU model, `cpu:…`; empty: it was started without one."""


class NodeFacts(NamedTuple):
    """What a machine says of itself."""

    versions: dict[str, str]
    """Of Python, Ray and all packages that may affect the bits of a run."""
    cpu_model: str
    sees_storage: bool
    """Whether it finds the shared storage, if it was asked for one."""


def nodes_of(listed: Sequence[Mapping[str, Any]]) -> list[Node]:
    """The living nodes in what `ray.nodes()` returns."""
    return [
        Node(
            each["NodeID"],
            each["NodeManagerAddress"],
            int(each["Resources"].get("CPU", 0)),
            next((name for name in sorted(each["Resources"]) if name.startswith(PREFIX)), ""),
        )
        for each in listed
        if each["Alive"]
    ]


def cpu_resource(model: str) -> str:
    """The name of the resource of a CPU model.

    Args:
        model: its name, as the system gives it, such as `AMD EPYC 7B13`.

    Returns:
        `cpu:amd-epyc-7b13`.
    """
    slug = re.sub(r"[^a-z0-9.]+", "-", model.lower()).strip("-")[:_MAX_SLUG]
    return PREFIX + (slug or "unknown")


def check_versions(ours: Mapping[str, str], node: Node, theirs: Mapping[str, str]) -> None:
    """Refuse a machine whose software differs from this one's.

    Raises:
        FrankError: a version differs; the node, the package and both versions are named.
    """
    for package in dict.fromkeys([*ours, *theirs]):
        here, there = ours.get(package), theirs.get(package)
        if here != there and (package in _NEEDED or None not in (here, there)):
            raise FrankError(
                f"the node {node.address} has {_named(package, there)} and this machine "
                f"{_named(package, here)}; install the same versions on all machines of the "
                "cluster, so that a run that moves keeps its bits"
            )


def _named(package: str, version: str | None) -> str:
    return f"no {package}" if version is None else f"{package} {shown(version)}"
