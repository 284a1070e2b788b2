"""Atari games after other episodes: each episode must depend on its seed and actions alone.

The console's memory outlasts a reset, and the random numbers of some games are made of it.
"""

import contextlib
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Sequence

import ale_py
import gymnasium
import numpy as np

from frankrl.config import Settings
from frankrl.environments import CheckedEnv, describe_for
from robustness.outcome import Outcome

gymnasium.register_envs(ale_py)
ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
GAMES = tuple(sorted(name for name in gymnasium.registry if name.startswith("ALE/")))
_CHANGES = {"noop_max": 30, "sticky_actions": 0.25}
_SEED = 7
_AT_ONCE = 13
"""How many games are played by one other process."""


def study(env_ids: Sequence[str] = GAMES, num_steps: int = 120) -> Outcome:
    """Play an episode after others, again after it was left, and first of all in another process.

    Args:
        env_ids: the games.
        num_steps: how many steps of each episode.
    """
    outcome = Outcome("games", "an Atari episode after others: the same screens and rewards")
    for first in range(0, len(env_ids), _AT_ONCE):
        several = env_ids[first : first + _AT_ONCE]
        for env_id, alone in zip(several, _played_alone(several, num_steps), strict=True):
            with contextlib.closing(_made(env_id)) as env:
                for other in range(3):
                    digest_in(env, other, num_steps)
                found = digest_in(env, _SEED, num_steps)
                digest_in(env, _SEED + 1, num_steps // 2)
                again = digest_in(env, _SEED, num_steps)
            outcome.note(found == again == alone, f"{env_id}: another episode than alone")
    return outcome


def digest_in(env: CheckedEnv, seed: int, num_steps: int) -> str:
    """A hash of all that an episode shows; its actions are random ones by the seed."""
    random = np.random.default_rng(seed)
    seen = hashlib.blake2b(env.reset(seed, 0).tobytes())
    for _ in range(num_steps):
        step = env.step(int(random.integers(env.spec.num_actions)))
        seen.update(step.row.tobytes() + repr(step[1:]).encode())
        if step.terminated or step.truncated:
            break
    return seen.hexdigest()


def print_digests(env_ids: Sequence[str], num_steps: int) -> None:
    """Play each game once, and print what was seen."""
    digests = []
    for env_id in env_ids:
        with contextlib.closing(_made(env_id)) as env:
            digests.append(digest_in(env, _SEED, num_steps))
    print(json.dumps(digests))


def _played_alone(env_ids: Sequence[str], num_steps: int) -> list[str]:
    """The digests of another process, which has played nothing before."""
    program = (
        "import json, sys; from robustness.games import print_digests;"
        "print_digests(json.loads(sys.argv[1]), int(sys.argv[2]))"
    )
    found = subprocess.run(
        [sys.executable, "-c", program, json.dumps(env_ids), str(num_steps)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(found.stdout.splitlines()[-1])


def _made(env_id: str) -> CheckedEnv:
    return CheckedEnv(describe_for(env_id, Settings().with_changes(**_CHANGES).resolved()))
