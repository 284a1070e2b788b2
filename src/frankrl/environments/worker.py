"""A worker process that steps some environments: `python -m frankrl.environments.worker`.

It answers requests on the connection whose number it is given, until that is closed.
"""

import os
import sys
from multiprocessing.connection import Connection

from frankrl.core.errors import EnvironmentUnusableError, FrankError
from frankrl.core.system import given_pipe
from frankrl.environments import protocol
from frankrl.environments.checked_env import CheckedEnv, close_envs
from frankrl.environments.describing import describe
from frankrl.environments.preprocessing import Preprocessing


def serve(connection: Connection) -> None:
    """Answer requests until the other end is closed."""
    groups: dict[int, dict[int, CheckedEnv]] = {}
    while True:
        try:
            request = protocol.decode_request(connection.recv_bytes())
            connection.send_bytes(_answer(groups, request))
        except (EOFError, OSError):
            # The main process has closed the connection.
            return


def _answer(groups: dict[int, dict[int, CheckedEnv]], request: protocol.Request) -> bytes:
    if request.kind == protocol.OPEN:
        message = request.body
        try:
            preprocessing = Preprocessing.from_data(message["preprocessing"])
            spec = describe(
                message["env_id"],
                message["env_kwargs"],
                message["action_mask"],
                preprocessing,
                message["wrappers"],
            )
            if protocol.spec_fingerprint(spec) != message["fingerprint"]:
                raise EnvironmentUnusableError(f"{spec.env_id} is another environment here")
            groups[request.group] = {
                env_index: CheckedEnv(
                    spec, message["first"] + env_index, info_metrics=message["info_metrics"]
                )
                for env_index in message["env_indices"]
            }
        except FrankError as error:
            return protocol.encode_failure(error)
        return protocol.OK
    if request.kind == protocol.CLOSE:
        close_envs(groups.pop(request.group, {}).values())
        return protocol.OK
    envs, done = groups[request.group], []
    env_indices, *columns = request.body
    if request.kind == protocol.MAKE_ANEW:
        try:
            envs[env_indices[0]] = envs[env_indices[0]].made_anew()
        except FrankError as error:
            return protocol.encode_failure(error)
        return protocol.OK
    what = "reset" if request.kind == protocol.RESET else "step"
    encode = protocol.encode_states if what == "reset" else protocol.encode_steps
    try:
        for env_index, *row in zip(env_indices, *columns, strict=True):
            done.append(getattr(envs[env_index], what)(*row))
    except FrankError as error:
        return protocol.encode_failure(error, len(done), encode(done))
    return encode(done)


def main() -> None:
    """Serve the connection named on the command line."""
    # What an environment prints must not end up among the results on standard output.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    serve(given_pipe(sys.argv[1]))


if __name__ == "__main__":
    main()
