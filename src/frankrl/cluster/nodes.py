"""The machines of a cluster: their CPUs, and what decides the bits of a run there."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from frankrl.core.errors import FrankError
from frankrl.core.text import shown

_NEEDED = ("python", "frankrl", "jax", "jaxlib", "numpy", "optax", "gymnasium", "ray")
"""What every machine must have, in the same versions. Other packages need not be there."""
PRUNING = "optuna"
"""What every machine must have, in the same version, if runs are pruned there."""
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
    sees_file: bool
    """Whether it sees the file that it was asked for, if any."""


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


def resource_for(
    nodes: Sequence[Node], busy: Mapping[str, int], begun_on: str, given_up: str = ""
) -> str:
    """The resource that a job should ask for, so that its run stays on one CPU model.

    Args:
        nodes: the living nodes.
        busy: jobs under way, by the resource that they have asked for.
        begun_on: the CPU model on which the run was written last; empty: it is new.
        given_up: a resource for which the job has waited long enough.

    Returns:
        The resource of the run's model, for which the job waits if no node has it. Of a run that is
        new, or has waited long enough, that of the model with most free CPUs. Empty if the nodes
        were started without one, so that they are taken for alike.
    """
    cpus: dict[str, int] = {}
    for node in nodes:
        cpus[node.resource] = cpus.get(node.resource, 0) + node.cpus
    of_run = cpu_resource(begun_on) if begun_on else ""
    are_alike = any(cpus.values()) and not any(cpus[name] for name in cpus if name)
    waits = of_run != given_up and not are_alike
    if of_run and (cpus.get(of_run) or waits):
        return of_run
    return max(sorted(cpus), key=lambda name: cpus[name] - busy.get(name, 0), default="")


def check_versions(ours: Mapping[str, str], node: str, theirs: Mapping[str, str]) -> None:
    """Refuse a machine whose software differs from that of the process that gives the work.

    Args:
        ours: versions of that process; with Optuna's if runs are pruned on the machine.
        node: the machine's address.
        theirs: versions of the machine.

    Raises:
        FrankError: a version differs; the node, the package and both versions are named.
    """
    for package in dict.fromkeys([*ours, *theirs]):
        here, there = ours.get(package), theirs.get(package)
        needed = package in _NEEDED or (package == PRUNING and package in ours)
        if here != there and (needed or None not in (here, there)):
            raise FrankError(
                f"the node {node} has {_named(package, there)}, and the machine that gives the "
                f"work has {_named(package, here)}; install the same versions on all machines of "
                "the cluster, so that a run that moves keeps its bits"
            )


def _named(package: str, version: str | None) -> str:
    return f"no {package}" if version is None else f"{package} {shown(version)}"
