"""The process of one actor: `python -m frankrl.experience.remote.process`.

It makes the actor that it is first told of, and answers requests on the connection whose number it
is given, until that is closed. Then it closes the actor.
"""

import contextlib
import os
import sys
from multiprocessing.connection import Connection

from frankrl.core.system import given_pipe
from frankrl.experience.remote.handles import Served


def serve(connection: Connection) -> None:
    """Answer requests until the other end is closed; then close the actor."""
    # The main process closes the connection, or has died.
    with contextlib.suppress(EOFError, OSError):
        actor = Served(connection.recv())
        try:
            while True:
                method, arguments = connection.recv()
                connection.send(actor.call(method, *arguments))
        finally:
            actor.call("close")


def main() -> None:
    """Serve the connection named on the command line."""
    # What an environment prints must not end up among the results on standard output.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    serve(given_pipe(sys.argv[1]))


if __name__ == "__main__":
    main()
