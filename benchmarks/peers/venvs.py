"""A virtual environment for each library: what is installed in it, and which versions are there."""

import json
import re
import subprocess
import sys
import venv
from collections.abc import Iterable
from pathlib import Path

from benchmarks.peers.command import ROOT, commit

_TORCH = "torch==2.13.0"
_REJAX = ("jax==0.10.2", "rejax==0.1.3", "gymnax==0.0.9")
PEERS = {
    "sb3": (_TORCH, "stable-baselines3==2.9.2"),
    "sbx": (_TORCH, "sbx-rl==0.28.0"),
    "tianshou": (_TORCH, "tianshou==2.0.1"),
    "torchrl": (_TORCH, "torchrl==0.14.1"),
    "rllib": (_TORCH, "ray[rllib]==2.60.0"),
    "cleanrl": (
        _TORCH,
        "stable-baselines3==2.9.2",
        "jax==0.10.2",
        "flax==0.12.8",
        "optax==0.2.8",
    ),
    # gymnax 1 returns more from a step than rejax takes.
    "rejax_dqn": _REJAX,
    "rejax_pqn": _REJAX,
    # Of purejaxql's own list, what its script for gymnax imports; it is no package itself.
    "purejaxql": (
        "jax==0.4.38",
        "jaxlib==0.4.38",
        "gymnax==0.0.6",
        "flax==0.10.4",
        "optax==0.2.5",
        "chex==0.1.90",
        "numpy<2.3",
        "six",
        "wandb",
        "hydra-core",
        "omegaconf",
        "safetensors",
    ),
}
"""What is installed for each adapter, beside the environments."""
FRANK, BARE = "frank", "bare"
"""Adapters that need no environment of their own: Frank, and Gymnasium without an agent."""
_OF_FRANK = ("frankrl", "jax", "optax", "numpy", "gymnasium", "box2d")
_INSTALLED = "installed.txt"
"""The file in a virtual environment that lists what this module has installed there."""
_VERSIONS = """
import importlib.metadata, json, platform, sys
print(json.dumps({"python": platform.python_version()}
    | {name: importlib.metadata.version(name) for name in sys.argv[1:]}))
"""


def python_of(peer: str, venvs: Path, packages: Iterable[str]) -> Path | None:
    """The interpreter that has a library; none where it cannot be installed.

    What an earlier call has installed is not asked for again.
    """
    if peer in (FRANK, BARE):
        return Path(sys.executable)
    # The adapters of one library share its environment: `rejax_dqn` and `rejax_pqn`.
    folder = venvs / peer.partition("_")[0]
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
    wanted = [*PEERS[peer], *packages]
    listed = folder / _INSTALLED
    installed = listed.read_text("utf-8").split() if listed.is_file() else []
    if set(wanted) <= set(installed):
        return python
    # torch first: with another package's range, pip may take a build of several gigabytes.
    for some in (wanted[:1], wanted):
        command = [python, "-m", "pip", "install", "--quiet", *some]
        done = subprocess.run(command, stderr=subprocess.PIPE, text=True)
        if done.returncode:
            print(f"{peer} cannot be installed: {done.stderr.strip().splitlines()[-1]}")
            return None
    listed.write_text("\n".join(dict.fromkeys([*installed, *wanted])), "utf-8")
    return python


def versions_of(peer: str, python: Path, packages: Iterable[str]) -> dict[str, str]:
    """Python and the packages that matter for an adapter; for Frank the commit, too."""
    if peer in (FRANK, BARE):
        names: Iterable[str] = _OF_FRANK
    else:
        wanted = [*PEERS[peer], *packages, "numpy"]
        names = dict.fromkeys(re.split(r"[\[<>=]", text)[0] for text in wanted)
    command = [python, "-c", _VERSIONS, *names]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    found = json.loads(done.stdout)
    if peer == FRANK and (at := commit(ROOT)):
        found["commit"] = at
    return found
