"""Updates of runs that were one program with the runs of other seeds."""

import shutil
import warnings

import pytest
from long_forms import some_of

import frankrl
from frankrl.core.errors import MachineError
from frankrl.explaining.cost import cost_of
from frankrl.runs import RunFolder, list_checkpoints

pytestmark = pytest.mark.slow

ENV = "frankrl/CartPole-functional-v0"
DQN = {
    "learning_starts_env_steps": 64,
    "replay_ratio": 0.5,
    "batch_size": 16,
    "replay_capacity": 400,
}
PQN = {"algorithm": "pqn", "minibatches": 4, "epochs_per_round": 2, "optimiser": "radam"}
SHORT = {
    "total_env_steps": 640,
    "hidden_widths": [8],
    "num_envs": 2,
    "vector_steps_per_round": 8,
    "log_every_env_steps": 96,
    "checkpoint_every_env_steps": 160,
    "evaluate_every_env_steps": "none",
    "final_evaluation_episodes": "none",
    "device": "cpu",
    "preset": "default",
}
PARTS = "computed in parts"


@pytest.fixture(
    scope="module",
    params=[DQN, pytest.param(PQN, marks=pytest.mark.slow)],
    ids=["dqn", "pqn"],
)
def run(request, tmp_path_factory):
    """A run that went on alone from env step 320, after it had been one of three."""
    out = tmp_path_factory.mktemp("group") / "group"
    given = SHORT | request.param
    group = frankrl.train(ENV, seeds=[3, 8, 5], out=out, progress=False, **given)
    folder = RunFolder.open(group.runs[1])
    for checkpoint in list_checkpoints(folder.checkpoints)[-2:]:
        shutil.rmtree(checkpoint)
    (folder.path / "report.json").unlink()
    with pytest.warns(match="it was one program with the runs of other seeds, and goes on alone"):
        frankrl.resume(folder.path, progress=False)
    return folder


def updates_at(run, env_steps):
    """Updates of the run up to an env step."""
    return run.description.settings.updates_due(env_steps)


BEFORE, AFTER = [(128, (3, 8, 5)), (304, (3, 8, 5))], [(496, ()), (624, ())]


@pytest.mark.parametrize(("env_steps", "lanes"), some_of(BEFORE + AFTER, [BEFORE[0], AFTER[0]]))
def test_updates_before_and_after_a_run_went_on_alone_are_opened(run, env_steps, lanes):
    update = updates_at(run, env_steps)
    assert cost_of(run, update).lanes == lanes
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert frankrl.explain(run.path, update=update, progress=False).update == update


def test_a_run_that_goes_on_alone_once_more_keeps_its_bits_and_gets_no_other_mark(run, tmp_path):
    copied = RunFolder.open(shutil.copytree(run.path, tmp_path / "copy"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        longer = frankrl.resume(copied.path, total_env_steps=704, progress=False)
    assert [mark["env_steps"] for mark in longer.not_reproducible] == [320]


def test_an_update_is_refused_whose_lanes_do_not_fit_into_memory(run, monkeypatch):
    monkeypatch.setattr("frankrl.training.memory._free_memory", lambda device: 4_000)
    with pytest.raises(MachineError, match=r"of 3 seeds.*open it on a machine with more memory"):
        frankrl.explain(run.path, update=updates_at(run, 128), progress=False)
