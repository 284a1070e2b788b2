"""Opened updates of networks with memory that learn from a data set, alone or beside acting."""

import re
import shutil

import numpy as np
import pytest
from nine_squares_data import SQUARES, write_squares

import frankrl
from frankrl.cli.main import main as frank
from frankrl.explaining import batch_origins, reopen
from frankrl.explaining.origin import TransitionInData
from frankrl.runs import RunFolder

pytestmark = pytest.mark.slow

pytest.importorskip("h5py")
EPISODES, BATCH, SHARE = 40, 8, 0.5
COMMON = {
    "preset": "default",
    "memory": "gru",
    "memory_units": 4,
    "hidden_widths": (5,),
    "sequence_steps": 5,
    "burn_in_steps": 2,
    "batch_size": BATCH,
    "final_evaluation_episodes": None,
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return frankrl.open_dataset(write_squares(tmp_path_factory.mktemp("data"), EPISODES))


@pytest.fixture(scope="module")
def cloned(data, tmp_path_factory):
    path = tmp_path_factory.mktemp("cloned") / "run"
    own = {"algorithm": "bc", "total_updates": 60, "updates_per_round": 20}
    own |= {"evaluate_every_updates": None, "dataset": str(data.folder)}
    frankrl.train(SQUARES, out=path, progress=False, **COMMON, **own)
    return RunFolder.open(path)


@pytest.fixture(scope="module")
def beside(data, tmp_path_factory):
    path = tmp_path_factory.mktemp("beside") / "run"
    own = {"demonstration_share": SHARE, "dataset": str(data.folder), "num_envs": 3}
    own |= {"total_env_steps": 150, "learning_starts_env_steps": 60, "cql_weight": 0.5}
    own |= {"evaluate_every_env_steps": None}
    frankrl.train(SQUARES, out=path, progress=False, **COMMON, **own)
    return RunFolder.open(path)


def test_a_run_with_memory_that_does_not_act_goes_on(cloned, tmp_path):
    copied = shutil.copytree(cloned.path, tmp_path / "run")
    assert frankrl.resume(copied, total_updates=80, progress=False).updates == 80


@pytest.mark.slow
def test_a_cloned_sequence_has_a_policy_at_every_learned_step(cloned, capsys):
    opened = reopen(cloned, 45)
    record, own = opened.record, opened.record.sequences
    rows = np.arange(len(record.losses))
    policy = np.exp(record.logits) / np.exp(record.logits).sum(axis=1, keepdims=True)
    losses = -np.log(policy[rows, record.batch.action])
    np.testing.assert_allclose(record.losses, losses, rtol=1e-4, atol=1e-6)
    # The mean over the learned steps alone, none of those after an episode's end.
    assert record.loss == pytest.approx(losses.mean(), rel=1e-5)
    assert own.target_memory is None
    assert len(own.is_shown) == BATCH
    last = len(own.rows_of(BATCH - 1)) - 1
    words = ["--update", "45", "--sequence", str(BATCH - 1), "--transition", str(last)]
    assert frank(["explain", str(cloned.path), *words]) == 0
    printed = capsys.readouterr().out
    assert f"learned step {last} of sequence {BATCH - 1}" in printed
    assert "the memory h begins with zeros" in printed
    assert "with s, from which the policy follows: ‖h‖ = " in printed
    assert f"5. Sequence {BATCH - 1}, step by step" in printed
    assert f"mean over {len(record.losses)} learned steps of the batch" in printed
    (head,) = (line for line in printed.splitlines() if "episode of the data" in line)
    assert re.split(r"  +", head.strip())[:3] == ["learned step", "‖h‖", "episode of the data"]
    row, of = own.row_of(last, BATCH - 1), printed.splitlines()
    norm = np.linalg.norm(own.memory[BATCH - 1, own.position[row]])
    found = of[of.index(head) + last + 1].split()
    assert (found[0].strip(">→"), found[1]) == (str(last), f"{norm:.4g}")
    assert f"{record.losses[own.row_of(last, BATCH - 1)]:.4g}" in printed


@pytest.mark.slow
def test_sequences_of_a_data_set_stand_behind_the_run_s_own_and_name_their_steps(
    data, beside, capsys
):
    opened = reopen(beside, 20)
    record, own = opened.record, opened.record.sequences
    of_data = own.sequence >= BATCH * (1 - SHARE)
    origins = batch_origins(beside, opened)
    assert [isinstance(origin, TransitionInData) for origin in origins] == of_data.tolist()
    episodes = list(data.episodes())
    for row in np.flatnonzero(of_data):
        episode, step = episodes[origins[row].episode], origins[row].step - 1
        assert episode.observations[step] == record.batch.observation[row]
        assert episode.actions[step] == record.batch.action[row]
        assert episode.observations[step + 1] == record.batch.next_observation[row]
    whole = record.losses + record.conservative_losses
    assert record.loss == pytest.approx(whole.mean(), rel=1e-5)
    assert record.loss_shares.sum() == pytest.approx(1, rel=1e-5)
    words = ["--update", "20", "--sequence", str(BATCH - 1)]
    assert frank(["explain", str(beside.path), *words]) == 0
    assert "from the data set, episode" in capsys.readouterr().out
