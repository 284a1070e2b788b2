"""Gymnasium alone: how long env steps take with random actions and no agent, on one core."""

import json
import time

import gymnasium
import numpy as np

from benchmarks.peers.protocol import Job


def main() -> None:
    """Do the job."""
    job = Job.given()
    env = gymnasium.make(job.env_id)
    assert isinstance(env.action_space, gymnasium.spaces.Discrete)
    actions = np.random.default_rng(job.seed).integers(env.action_space.n, size=job.env_steps)
    env.reset(seed=job.seed)
    begun = time.perf_counter()
    for action in actions.tolist():
        *_, terminated, truncated, _ = env.step(action)
        if terminated or truncated:
            env.reset()
    print(json.dumps({"bare_seconds": time.perf_counter() - begun}))


if __name__ == "__main__":
    main()
