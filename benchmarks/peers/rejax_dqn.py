"""rejax's DQN and PQN on gymnax's CartPole-v1, as published, until a return is reached.

The settings are those of its `configs/gymnax/cartpole.yaml`. `train` is its own, in one compiled
program; only the evaluation is given to it: greedy, where its own takes a random action in 200
steps, and of as many episodes as the job asks for.
"""

# pyright: reportMissingImports=false

from typing import Any

import jax
from rejax import get_algo
from rejax.evaluate import evaluate

from benchmarks.peers.reaching import Reaching, ReachJob

CONFIGS: dict[str, dict[str, Any]] = {
    "dqn": {
        "agent": "DuelingQNetwork",
        "agent_kwargs": {"activation": "swish"},
        "num_envs": 10,
        "buffer_size": 50_000,
        "fill_buffer": 5_000,
        "batch_size": 100,
        "max_grad_norm": 10,
        "learning_rate": 0.001,
        "num_epochs": 5,
        "total_timesteps": 100_000,
        "eval_freq": 2_500,
        "polyak": 0.98,
        "eps_start": 1,
        "eps_end": 0.05,
        "exploration_fraction": 0.5,
        "gamma": 0.99,
        "ddqn": True,
        "normalize_observations": False,
    },
    "pqn": {
        "num_envs": 16,
        "num_steps": 128,
        "num_minibatches": 16,
        "max_grad_norm": 10,
        "learning_rate": 0.0003,
        "num_epochs": 5,
        "total_timesteps": 524_288,
        "eval_freq": 16_384,
        "eps_start": 1,
        "eps_end": 0.05,
        "exploration_fraction": 0.5,
        "gamma": 0.99,
        "td_lambda": 0.9,
        "normalize_observations": False,
    },
}


def main(name: str) -> None:
    """Do the job with one of its algorithms."""
    job = ReachJob.given()
    reaching = Reaching(job)

    def evaluated(algorithm: Any, state: Any, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        def act(observation: jax.Array, key: jax.Array) -> jax.Array:
            params, one = state.q_ts.params, observation[None]
            return algorithm.agent.apply(params, one, key, epsilon=0.0, method="act").squeeze()

        most = algorithm.env_params.max_steps_in_episode
        lengths, returns = evaluate(
            act, key, algorithm.env, algorithm.env_params, job.episodes, most
        )
        jax.debug.callback(note, state.global_step, returns.mean())
        return lengths, returns

    def note(env_steps: jax.Array, mean_return: jax.Array) -> None:
        reaching.note(int(env_steps), float(mean_return))

    algorithm = get_algo(name).create(env="CartPole-v1", **CONFIGS[name])
    algorithm = algorithm.replace(eval_callback=evaluated)
    jax.block_until_ready(jax.jit(algorithm.train)(jax.random.key(job.seed)))
    jax.effects_barrier()
    reaching.leave()


if __name__ == "__main__":
    main("dqn")
