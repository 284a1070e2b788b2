"""A process of its own that steps some environments: `python -m frankrl.environments.worker`.

It does what it is asked over the connection whose number it is given, until that ends.
"""

import os
import sys
from multiprocessing.connection import Connection

from frankrl.environments import wire
from frankrl.environments.seat import Seat, close_seats
from frankrl.environments.spec import describe
from frankrl.errors import EnvironmentUnusableError, FrankError


def serve(connection: Connection) -> None:
    """Answer requests until the other end is closed."""
    groups: dict[int, dict[int, Seat]] = {}
    while True:
        try:
            request = wire.read_request(connection.recv_bytes())
            connection.send_bytes(_answer(groups, request))
        except (EOFError, OSError):
            # The other end has gone.
            return


def _answer(groups: dict[int, dict[int, Seat]], request: wire.Request) -> bytes:
    if request.kind == wire.OPEN:
        told = request.body
        try:
            spec = describe(told["env_id"], told["env_kwargs"])
            if wire.known_as(spec) != told["known_as"]:
                raise EnvironmentUnusableError(f"{spec.env_id} is another environment here")
            groups[request.group] = {slot: Seat(spec, slot) for slot in told["slots"]}
        except FrankError as error:
            return wire.failure_told(error, 0)
        return wire.OK
    if request.kind == wire.CLOSE:
        close_seats(groups.pop(request.group, {}).values())
        return wire.OK
    seats, done = groups[request.group], []
    slots, *columns = request.body
    what = "reset" if request.kind == wire.RESET else "step"
    try:
        for slot, *row in zip(slots, *columns, strict=True):
            done.append(getattr(seats[slot], what)(*row))
    except FrankError as error:
        return wire.failure_told(error, len(done))
    return wire.states_told(done) if what == "reset" else wire.steps_told(done)


def main() -> None:
    """Serve the connection named on the command line."""
    # What an environment prints must not end up among the results on standard output.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    serve(Connection(int(sys.argv[1])))


if __name__ == "__main__":
    main()
