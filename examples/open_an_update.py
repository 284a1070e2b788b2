"""Open one update of a run and check its numbers by hand. Takes about 20 s on 2 cores."""

import numpy as np

import frankrl

if __name__ == "__main__":
    result = frankrl.train(
        "CartPole-v1",
        preset="classic",
        out="runs/opened",
        overwrite=True,
        total_env_steps=4_000,
        learning_starts_env_steps=500,
        epsilon_decay_env_steps=2_000,
        target_period_updates=500,
        final_evaluation_episodes=10,
    )
    record = frankrl.explain(result, update=2_000)
    batch = record.batch
    y = batch.reward + batch.discount * record.target_q_values.max(axis=1)
    np.testing.assert_allclose(y, record.targets, rtol=1e-5)
    print(record)
