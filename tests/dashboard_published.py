"""Published runs as processes on chosen machines leave them."""

import json
import time
from pathlib import Path
from unittest import mock

from frankrl.config.presets import load_preset
from frankrl.runs import RunDescription
from frankrl.runs.publishing import Log, Ownership, open_storage
from frankrl.runs.publishing.records import CHECKPOINT, FINISHED, File, Owner, saved_content

RUN = RunDescription("CartPole-v1", "default", 0, load_preset("default").resolved())
SHA = "0123456789abcdef" * 4
FILES = {"config.toml": File(f"000001/{SHA}", 3, SHA)}


def publish(
    path: Path, *, host="node-1", cpu="CPU A", pid=11, env_steps=(), finished=False, renewed=1.0
):
    """Claim a run as a process on a machine, and publish states at these env steps.

    Args:
        path: the shared storage.
        host: the machine's name.
        cpu: its processor model.
        pid: id of the process.
        env_steps: of the published checkpoints.
        finished: whether the last one is the end of the run.
        renewed: how long ago the lease was renewed, which holds for 30 seconds. [s]
    """
    storage = open_storage(path)
    log = Log(storage)
    owner = Owner(host, pid, cpu, {"jax": "1"})
    with mock.patch.object(Owner, "this_process", return_value=owner):
        owned = Ownership.claimed(log, *log.head(), RUN, 30.0)
    assert owned is not None
    for number, steps in enumerate(env_steps, start=1):
        is_end = finished and number == len(env_steps)
        owned.append(FINISHED if is_end else CHECKPOINT, saved_content(steps, FILES, {}))
    beat = {"counter": 1, "time": time.time() - renewed, "lease_seconds": 30.0}
    storage.put(f"lease/{owned.fence:06d}.json", json.dumps(beat).encode())
