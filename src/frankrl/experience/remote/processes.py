"""Actors in processes of this machine."""

import contextlib
import os
import socket
import subprocess
from multiprocessing.connection import Connection
from typing import Any

from frankrl.core.numerics import users_variables
from frankrl.core.processes import module_command, search_path, searching
from frankrl.core.system import IS_WINDOWS, start_with_pipe
from frankrl.experience.remote.handles import ActorLostError, Plan, Wait, taken

_CLOSING_SECONDS = 5.0


class ProcessActor:
    """An actor in a process of its own; what it is sent waits in the pipe until it is read."""

    def __init__(self, plan: Plan) -> None:
        self._asked, self._answered = 0, 0
        try:
            # Ctrl-C is for the main process; an actor ends with its connection.
            self._connection, self.process = start_with_pipe(
                module_command("frankrl.experience.remote.process"),
                searching(search_path()) | users_variables(),
            )
        except OSError as error:
            raise ActorLostError(f"no process can be started: {error}") from error
        self._send(plan)

    def ask(self, method: str, *arguments: Any) -> Wait:
        """See `ActorHandle.ask`."""
        self._send((method, arguments))
        self._asked += 1
        number = self._asked
        return lambda: taken(self._answer(number))

    def has_answered(self) -> bool:
        """Whether an answer is there, or the process has died."""
        try:
            return self._connection.poll()
        except (EOFError, OSError):
            return True

    def hang_up(self) -> None:
        """Have the process close what it has and end, once it has done what it was asked for."""
        # Closing alone would not wake a thread that waits for an answer; on Windows it does.
        if not IS_WINDOWS:
            with contextlib.suppress(OSError), _socket(self._connection) as end:
                end.shutdown(socket.SHUT_RDWR)
        self._connection.close()

    def close(self) -> None:
        """See `ActorHandle.close`."""
        self.hang_up()
        try:
            self.process.wait(_CLOSING_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _send(self, message: Any) -> None:
        # If the process has died, reading its answer says so.
        with contextlib.suppress(OSError):
            self._connection.send(message)

    def _answer(self, number: int) -> Any:
        """The answer of this number, after those that nobody waited for."""
        answer = None
        while self._answered < number:
            try:
                answer = self._connection.recv()
            except (EOFError, OSError) as error:
                raise ActorLostError("its process has died") from error
            self._answered += 1
        return answer


def _socket(connection: Connection) -> socket.socket:
    """The socket of a connection, by another number, which is to be closed as well."""
    return socket.socket(fileno=os.dup(connection.fileno()))


class ProcessActors:
    """Has each actor in a process of this machine."""

    def shared(self, value: Any) -> Any:
        """See `Actors.shared`."""
        return value

    def start(self, plan: Plan) -> ProcessActor:
        """See `Actors.start`."""
        return ProcessActor(plan)

    def close(self) -> None:
        """Nothing is left when the actors have been closed."""
