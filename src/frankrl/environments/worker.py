"""A process of its own that steps some environments: `python -m frankrl.environments.worker`.

It does what it is asked over the connection whose number it is given, until that ends.
"""

import os
import sys
from multiprocessing.connection import Connection

from frankrl.core.errors import EnvironmentUnusableError, FrankError
from frankrl.environments import protocol
from frankrl.environments.checked_env import CheckedEnv, close_envs
from frankrl.environments.spec import describe


def serve(connection: Connection) -> None:
    """Answer requests until the other end is closed."""
    groups: dict[int, dict[int, CheckedEnv]] = {}
    while True:
        try:
            request = protocol.read_request(connection.recv_bytes())
            connection.send_bytes(_answer(groups, request))
        except (EOFError, OSError):
            # The other end has gone.
            return


def _answer(groups: dict[int, dict[int, CheckedEnv]], request: protocol.Request) -> bytes:
    if request.kind == protocol.OPEN:
        told = request.body
        try:
            spec = describe(told["env_id"], told["env_kwargs"])
            if protocol.known_as(spec) != told["known_as"]:
                raise EnvironmentUnusableError(f"{spec.env_id} is another environment here")
            groups[request.group] = {slot: CheckedEnv(spec, slot) for slot in told["slots"]}
        except FrankError as error:
            return protocol.failure_told(error, 0)
        return protocol.OK
    if request.kind == protocol.CLOSE:
        close_envs(groups.pop(request.group, {}).values())
        return protocol.OK
    seats, done = groups[request.group], []
    slots, *columns = request.body
    what = "reset" if request.kind == protocol.RESET else "step"
    try:
        for slot, *row in zip(slots, *columns, strict=True):
            done.append(getattr(seats[slot], what)(*row))
    except FrankError as error:
        return protocol.failure_told(error, len(done))
    return protocol.states_told(done) if what == "reset" else protocol.steps_told(done)


def main() -> None:
    """Serve the connection named on the command line."""
    # What an environment prints must not end up among the results on standard output.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    serve(Connection(int(sys.argv[1])))


if __name__ == "__main__":
    main()
