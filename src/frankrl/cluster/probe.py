"""What answers at an address, asked by a process of its own.

Ray waits up to a minute for an address that does not answer, and ends the process where a token is
missing. So a process asks first; whoever started it waits as long as it likes.
"""

import json
import subprocess
from typing import Any

from frankrl.core.processes import module_command

OK, REFUSED, SILENT, UNKNOWN = "ok", "refused", "silent", "unknown"
_ANSWER = "frank's answer: "


def probed(address: str, seconds: float) -> dict[str, Any]:
    """What the process found.

    Args:
        address: host and port, or `auto`.
        seconds: how long to wait for it.

    Returns:
        `state`: `ok`, with the cluster's `python` and `ray`; `refused`: it wants another token;
        `silent`: nothing that speaks as Ray does has answered; `unknown`: this Ray cannot be asked.
    """
    command = [*module_command(__name__), address]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds)
    except subprocess.TimeoutExpired:
        return {"state": UNKNOWN}
    for line in done.stdout.splitlines():
        if line.startswith(_ANSWER):
            return json.loads(line.removeprefix(_ANSWER))
    # Ray's core ends a process that has no token.
    return {"state": REFUSED if "token" in done.stderr.lower() else UNKNOWN}


def _ask(address: str, seconds: int) -> dict[str, Any]:
    """Ask the cluster for the versions it was started with; Ray's own names may change."""
    try:
        from ray._private.services import canonicalize_bootstrap_address
        from ray._raylet import GcsClient  # pyright: ignore[reportAttributeAccessIssue]
    except ImportError:
        return {"state": UNKNOWN}
    found = canonicalize_bootstrap_address(address)
    if found is None:
        return {"state": SILENT}
    try:
        text = GcsClient(address=found).internal_kv_get(
            b"CLUSTER_METADATA", b"cluster", timeout=seconds
        )
        told = json.loads(text or b"{}")
        return {"state": OK, "python": told["python_version"], "ray": told["ray_version"]}
    except Exception as error:
        if type(error).__name__ == "AuthenticationError":
            return {"state": REFUSED}
        return {"state": SILENT if type(error).__name__ == "RpcError" else UNKNOWN}


if __name__ == "__main__":
    import sys

    print(_ANSWER + json.dumps(_ask(sys.argv[1], 20)), flush=True)
