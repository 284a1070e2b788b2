"""purejaxql's PQN on gymnax's CartPole-v1, as published, until a return is reached.

The program is its own `purejaxql/pqn_gymnax.py` with `config/alg/pqn_cartpole.yaml`, read from a
checkout. What it would send to Weights & Biases is heard here; the number of its greedy test
episodes is the job's. It tests 20 times in a run.
"""

# pyright: reportMissingImports=false

import importlib
import sys
from pathlib import Path
from typing import Any

import jax
from omegaconf import OmegaConf

from benchmarks.peers.reaching import Reaching, ReachJob


class Listener:
    """Stands where its script has the module `wandb`."""

    def __init__(self, reaching: Reaching) -> None:
        self.reaching, self.every = reaching, 1

    def log(self, metrics: dict[str, Any], step: int) -> None:
        """Take the metrics of an update; most repeat the test before."""
        if int(step) % self.every == 0:
            mean_return = float(metrics["test/returned_episode_returns"])
            self.reaching.note(int(metrics["env_step"]), mean_return)


def main() -> None:
    """Do the job."""
    job = ReachJob.given()
    assert job.checkout is not None
    sys.path.insert(0, job.checkout)
    pqn_gymnax: Any = importlib.import_module("purejaxql.pqn_gymnax")
    reaching = Reaching(job)
    listener = Listener(reaching)
    path = Path(job.checkout) / "purejaxql" / "config" / "alg" / "pqn_cartpole.yaml"
    config: Any = OmegaConf.to_container(OmegaConf.load(path))
    config |= {"TEST_NUM_ENVS": job.episodes, "WANDB_MODE": "heard"}
    train = pqn_gymnax.make_train(config)
    listener.every = int(config["NUM_UPDATES"] * config["TEST_INTERVAL"])
    pqn_gymnax.wandb = listener
    jax.block_until_ready(jax.jit(train)(jax.random.PRNGKey(job.seed)))
    jax.effects_barrier()
    reaching.leave()


if __name__ == "__main__":
    main()
