"""Runs whose learner and replay buffer lie on two devices of JAX, in a process of their own.

`python on_two_devices.py FOLDER KIND [DATASET]` prints as JSON what came of a kind of run, with its
buffer beside the learner and in "host memory", which is a second device of the CPU here. JAX
refuses a computation with arrays of both, as it does with those of a GPU and of the host.
"""

import contextlib
import hashlib
import json
import sqlite3
import sys
import warnings
from pathlib import Path

import jax

import frankrl
from frankrl.training import Trainer, replay_place

FIRST, LAST = 20, 300
"""Updates that are opened: before the first checkpoint, and after half of the run."""
SHARED = {"hidden_widths": [16], "final_evaluation_episodes": 1, "device": "cpu"}
ACTING = SHARED | {
    "total_env_steps": 600,
    "learning_starts_env_steps": 100,
    "checkpoint_every_env_steps": 200,
    "evaluate_every_env_steps": None,
    "replay_capacity": 400,
    "num_envs": 2,
    "vector_steps_per_round": 4,
}
OFFLINE = SHARED | {
    "total_updates": 600,
    "checkpoint_every_updates": 200,
    "evaluate_every_updates": None,
    "replay_sampling": "prioritised",
    "priority_beta_updates": 600,
}
KINDS = {
    "uniform": ACTING,
    "prioritised": ACTING
    | {"replay_sampling": "prioritised", "n_step": 3, "priority_beta_env_steps": 600},
    "memory": ACTING
    | {"memory": "gru", "memory_units": 8, "sequence_steps": 12, "burn_in_steps": 4},
    "frames": ACTING | {"frame_stack": 3, "overlap": False, "normalize_observations": True},
    "demonstrations": ACTING | {"demonstration_share": 0.25},
    "data alone": OFFLINE,
}


def trained(path, **changes):
    """The run, and what came of it: its last checkpoint, and where the arrays were."""
    states, whole = [], Trainer.state

    def kept(training):
        states.append(whole(training))
        return states[-1]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        Trainer.state = kept
        try:
            run = frankrl.train("CartPole-v1", out=path, preset="default", **changes).run
        finally:
            Trainer.state = whole
    return run, {"files": facts(run), "devices": devices_of(states[-1])}


def facts(run):
    """The SHA-256 of each array of numbers in the last checkpoint."""
    newest = max((Path(run) / "checkpoints").iterdir())
    files = [path for path in newest.iterdir() if path.suffix != ".json"]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def devices_of(state):
    found = {}
    for name in ("learner", "replay", "params"):
        leaves = jax.tree.leaves(getattr(state, name))
        found[name] = sorted({str(device) for leaf in leaves for device in leaf.devices()})
    return found


def marks_of(run):
    """What the run says of where it cannot be repeated."""
    with contextlib.closing(sqlite3.connect(run / "metrics.sqlite")) as metrics:
        return [reason for (reason,) in metrics.execute("SELECT reason FROM not_reproducible")]


def opened(run, update):
    """The TD errors of an update, and what its opening warned of."""
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        record = frankrl.explain(run, update=update)
    return {"td_errors": record.td_errors.tolist(), "warned": [str(e.message) for e in warned]}


def main(folder, kind, *dataset):
    settings = KINDS[kind] | dict(zip(["dataset"], dataset, strict=False))
    budget = "total_updates" if "total_updates" in settings else "total_env_steps"
    run, beside = trained(folder / "beside", **settings)
    first = opened(run, FIRST)
    beside |= opened(run, LAST)
    replay_place.host_device = lambda: jax.devices()[1]
    settings["replay_device"] = "cpu"
    run, elsewhere = trained(folder / "host", **settings)
    elsewhere |= opened(run, LAST)
    told = {"first": first, "beside": beside, "elsewhere": elsewhere}
    for name, changes in (("resumed", {}), ("moved", {"replay_device": "auto"})):
        half, _ = trained(folder / name, **settings | {budget: 300})
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            frankrl.resume(half, **{budget: 600}, **changes)
        told[name] = {"files": facts(half), "marks": marks_of(half)}
        # An update from before it went on is repeated where it was done.
        told[name] |= opened(half, FIRST)
    print(json.dumps(told))


if __name__ == "__main__":
    jax.config.update("jax_num_cpu_devices", 2)
    main(Path(sys.argv[1]), *sys.argv[2:])
