"""Environments brought back in the middle of an episode, from seed and actions alone."""

import numpy as np

from frankrl.environments import GymnasiumVector, describe
from robustness.outcome import Outcome

_FIELDS = ("action", "reward", "next_observation", "terminated", "truncated")
"""What of a step must be the same again."""
_AFTER = 100


def study(snapshots: int, env_id: str = "LunarLander-v3", num_envs: int = 8) -> list[Outcome]:
    """Restore snapshots taken at random steps, and compare what follows.

    Args:
        snapshots: how many, each of one environment.
        env_id: whose environments.
        num_envs: how many stand side by side.
    """
    same = Outcome("snapshots", f"{env_id} restored: the next {_AFTER} steps bit for bit")
    altered = Outcome("altered logs", "an action log with one action changed: detected")
    spec, random = describe(env_id, {}), np.random.default_rng(0)
    while same.tried < snapshots:
        seed = int(random.integers(2**32))
        original = GymnasiumVector(spec, num_envs, seed)
        steps = 0
        for _ in range(int(random.integers(1, 400))):
            original.step(random.integers(spec.num_actions, size=num_envs), steps)
            steps += num_envs
        logs = original.logs()
        restored = GymnasiumVector(spec, num_envs, seed)
        different = set(restored.restore(logs))
        equal = np.array([index not in different for index in range(num_envs)])
        for _ in range(_AFTER):
            actions = random.integers(spec.num_actions, size=num_envs)
            (one, _), (other, _) = original.step(actions, steps), restored.step(actions, steps)
            for name in _FIELDS:
                pairs = zip(getattr(one, name), getattr(other, name), strict=True)
                equal &= [a.tobytes() == b.tobytes() for a, b in pairs]
        for index, holds in enumerate(equal[: snapshots - same.tried].tolist()):
            same.note(holds, f"seed {seed}, environment {index} went another way")
        _alter(altered, spec, logs, seed, random)
        original.close()
        restored.close()
    return [same, altered]


def _alter(outcome: Outcome, spec, logs: list, seed: int, random: np.random.Generator) -> None:
    """Change one action of each log, and see whether every one of them is found out."""
    changed = []
    for index, log in enumerate(logs):
        actions = np.array(log.actions)
        if len(actions):
            at = int(random.integers(len(actions)))
            actions[at] = (actions[at] + random.integers(1, spec.num_actions)) % spec.num_actions
            changed.append(index)
        logs[index] = log._replace(actions=actions)
    vector = GymnasiumVector(spec, len(logs), seed)
    found = vector.restore(logs)
    vector.close()
    for index in changed:
        outcome.note(index in found, f"seed {seed}, environment {index}: not detected")
