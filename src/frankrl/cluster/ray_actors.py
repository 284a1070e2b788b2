"""Actors on the nodes of a Ray cluster."""

import contextlib
from typing import Any

from frankrl.cluster.connection import connect, disconnect
from frankrl.core.errors import FrankError, warn
from frankrl.core.text import shown
from frankrl.experience.remote import ActorLostError, Plan, Served, Wait, taken

_PATIENCE_SECONDS = 60.0
"""After so long without a first answer, a person is told what an actor may be waiting for."""


class RayActor:
    """An actor in a process of the cluster; Ray chooses the node."""

    def __init__(self, plan: Plan) -> None:
        import ray

        # Without a number of CPUs Ray looks for a node with a free one and holds none: the actor in
        # the place of a lost one finds room although every CPU has its actor.
        served = ray.remote(max_restarts=0, max_task_retries=0, scheduling_strategy="SPREAD")
        self._actor: Any = served(Served).remote(plan)
        self._has_answered = False

    def ask(self, method: str, *arguments: Any) -> Wait:
        """See `ActorHandle.ask`."""
        asked = self._actor.call.remote(method, *arguments)
        return lambda: taken(self._answer(asked))

    def close(self) -> None:
        """See `ActorHandle.close`."""
        import ray

        # Whatever Ray says: what is left of the actor ends with the connection.
        with contextlib.suppress(Exception):
            ray.kill(self._actor)

    def _answer(self, asked: Any) -> Any:
        import ray
        from ray.exceptions import RayError

        try:
            if not self._has_answered and not ray.wait([asked], timeout=_PATIENCE_SECONDS)[0]:
                warn(
                    f"an actor has not begun for {_PATIENCE_SECONDS:.0f} s: Ray waits for a node "
                    "with a free CPU, or the node is slow to import Frank"
                )
            answer = ray.get(asked)
        except RayError as error:
            reason = str(error).strip().split("\n", 1)[0]
            raise ActorLostError(shown(reason, 300)) from error
        self._has_answered = True
        return answer


class RayActors:
    """Has actors on the nodes of a Ray cluster, wherever Ray finds room."""

    def __init__(self, address: str) -> None:
        """Connect to the cluster.

        Args:
            address: as for `connect`.

        Raises:
            FrankError: as `connect`; or no node of the cluster has a CPU.
        """
        nodes = connect(address)
        if not sum(node.cpus for node in nodes):
            disconnect()
            raise FrankError(
                f"the Ray at {shown(address)} has no node with a CPU, so no actor can be there: "
                "start a node with `ray start --address=HOST:PORT`"
            )

    def shared(self, value: Any) -> Any:
        """See `Actors.shared`."""
        import ray

        return ray.put(value)

    def start(self, plan: Plan) -> RayActor:
        """See `Actors.start`."""
        return RayActor(plan)

    def close(self) -> None:
        """See `Actors.close`."""
        disconnect()
