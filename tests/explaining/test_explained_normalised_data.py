"""Opened updates of runs that learn from a data set alone, and normalise by all that it holds."""

import shutil

import numpy as np
import pytest
from long_forms import some_of
from offline_data import random_episodes, write
from robustness.runs import contents

import frankrl
from frankrl.config import Settings
from frankrl.explaining import batch_origins, reopen
from frankrl.runs import RunFolder, list_checkpoints

pytest.importorskip("h5py")
ENV = "CartPole-v1"
SHORT = {
    "preset": "default",
    "hidden_widths": (5,),
    "batch_size": 8,
    "updates_per_round": 5,
    "total_updates": 20,
    "log_every_updates": 5,
    "checkpoint_every_updates": 10,
    "evaluate_every_updates": None,
    "final_evaluation_episodes": None,
    "normalize_observations": True,
}
KINDS = {
    "cloned": {"algorithm": "bc"},
    "prioritised": {"replay_sampling": "prioritised", "normalize_rewards": True},
}


@pytest.mark.parametrize("kind", some_of(KINDS, ["cloned"]))
def test_updates_before_and_after_a_checkpoint_normalise_by_the_whole_data_set(kind, tmp_path):
    episodes = random_episodes(ENV, 6)
    data = write("cartpole/random-v0", tmp_path, ENV, episodes)
    run = tmp_path / "run"
    frankrl.train(ENV, dataset=str(data), out=run, progress=False, **SHORT, **KINDS[kind])
    folder, own = RunFolder.open(run), Settings().environment

    seen = np.concatenate([episode.observations[:-1] for episode in episodes]).astype(np.float64)
    spread = np.sqrt(seen.var(axis=0) + own.normalize_epsilon)
    normal = np.clip((seen - seen.mean(axis=0)) / spread, -10, 10)
    scale, returns = 1.0, []
    if "normalize_rewards" in KINDS[kind]:
        for episode in episodes:
            ages = np.arange(episode.num_steps)[:, None] - np.arange(episode.num_steps)
            returns.append(np.where(ages >= 0, 0.99 ** np.maximum(ages, 0), 0) @ episode.rewards)
        scale = 1 / np.sqrt(np.concatenate(returns).var() + own.normalize_epsilon)

    for update in (3, 13):
        opened = reopen(folder, update)
        steps = [origin.data_step for origin in batch_origins(folder, opened)]
        batch = opened.record.batch
        np.testing.assert_allclose(batch.observation, normal[steps], rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(batch.reward, scale, rtol=1e-3)  # CartPole's are 1

    killed = tmp_path / "killed"
    shutil.copytree(run, killed)
    shutil.rmtree(list_checkpoints(killed / "checkpoints")[-1])
    (killed / "report.json").unlink()
    frankrl.resume(killed, progress=False)
    assert contents(killed) == contents(run)
