"""A network with memory on the device: as on the host, and the same bits wherever it is cut."""

import contextlib
import json
import sqlite3

import numpy as np
import pytest
from device_draws import draw_on_the_device
from in_memory import experiment_of, rounds_of
from long_forms import some_of
from recall import Recall
from robustness.runs import killed_copy

import frankrl
from frankrl.config import EvaluationSettings, Settings
from frankrl.core.errors import DamagedError, FrankWarning, SettingError
from frankrl.core.random import Use
from frankrl.environments import describe, named_env
from frankrl.experience import HostPolicy, NormalisedQValues
from frankrl.explaining import reopen
from frankrl.runs import RunFolder, list_checkpoints, load_checkpoint
from frankrl.training import Experiment, init_train_state
from frankrl.training.codec import check_memory
from frankrl.training.device.rounds import device_rounds, source_on_device
from frankrl.training.device.states_codec import restore_environments
from frankrl.training.evaluator import Evaluator

RECALL, _ = named_env(Recall)
MEMORY = {
    "memory": "gru",
    "memory_units": 6,
    "sequence_steps": 5,
    "burn_in_steps": 2,
    "hidden_widths": (8,),
    "num_envs": 3,
    "learning_starts_env_steps": 60,
    "batch_size": 8,
    "replay_capacity": 120,
    "double": True,
}
RUN = MEMORY | {
    "preset": "default",
    "log_every_env_steps": 100,
    "evaluate_every_env_steps": None,
    "final_evaluation_episodes": 2,
    "checkpoint_every_env_steps": 90,
    "keep_checkpoints": 100,
    "total_env_steps": 360,
    "device": "cpu",
}


def trained(out, **changes):
    return frankrl.train(Recall, out=out, seed=5, **RUN | changes).run


def tensors(run, env_steps=360):
    """All arrays of a checkpoint that say how training goes on."""
    (path,) = [p for p in list_checkpoints(run / "checkpoints") if int(p.name) == env_steps]
    files = ("q_network", "target_network", "optimiser", "replay", "environments")
    found = load_checkpoint(path, dict.fromkeys(files, 10**8)).tensors
    return {(file, name): array for file in found for name, array in found[file].items()}


def assert_same(one, other):
    ours, theirs = tensors(one), tensors(other)
    assert ours.keys() == theirs.keys()
    for name, array in ours.items():
        np.testing.assert_array_equal(array, theirs[name], err_msg=str(name))
    for table in ("episodes", "digests"):
        rows = []
        for run in (one, other):
            with contextlib.closing(sqlite3.connect(run / "metrics.sqlite")) as metrics:
                rows.append(metrics.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall())
        assert rows[0] == rows[1]


@pytest.fixture(scope="module", params=some_of([False, True], [True]), ids=["alone", "overlap"])
def run(request, tmp_path_factory):
    out = tmp_path_factory.mktemp("memory") / "run"
    return trained(out, overlap=request.param)


N_STEP = {"n_step": 3, "vector_steps_per_round": 2, "value_rescaling": True}
PRIORITISED = {"replay_sampling": "prioritised", "dueling": True}


@pytest.mark.slow
@pytest.mark.parametrize("overlap", [False, True], ids=["alone", "overlap"])
def test_the_device_does_what_the_host_does(overlap, monkeypatch):
    draw_on_the_device(monkeypatch)
    changes = {"epsilon_decay_env_steps": 200, "overlap": overlap} | MEMORY | N_STEP | PRIORITISED
    settings = Settings().with_changes(**changes, source="host")
    on_host = experiment_of(RECALL, settings, 7)
    on_device = experiment_of(RECALL, settings.with_changes(source="device"), 7)
    size, source = settings.round_ticks, source_on_device(on_device)
    start = init_train_state(on_device)
    found = device_rounds(on_device, source, start, lambda at: at + size)
    with contextlib.closing(rounds_of(on_host)) as expected:
        for _ in range(210 // size):
            ours, theirs = next(found).state(), next(expected).state()
            newest = np.arange(ours.ticks - size, ours.ticks) % on_device.replay.num_rows
            np.testing.assert_array_equal(ours.replay.action[newest], theirs.replay.action[newest])
            assert ours.updates == theirs.updates
            for one, other in zip(
                (ours.learner.params, ours.learner.target_params, ours.replay.memory[newest]),
                (theirs.learner.params, theirs.learner.target_params, theirs.replay.memory[newest]),
                strict=True,
            ):
                np.testing.assert_allclose(one, other, rtol=5e-5, atol=5e-6)
    assert ours.updates > 40
    assert np.count_nonzero(ours.replay.memory) > 0


def test_memory_is_zero_where_an_episode_begins_and_nowhere_else(run):
    stored = {name: array for (file, name), array in tensors(run).items() if file == "replay"}
    count = int(stored[".num_steps"])
    memory, ending = stored[".steps.memory"], stored[".steps.ending"]
    # The oldest steps of the three environments may begin an episode or not.
    previous = np.asarray(ending[: len(ending) - 3]) > 0
    is_zero = ~memory[3 : len(ending)].any(axis=1)
    assert count == 360
    np.testing.assert_array_equal(is_zero, previous)
    assert 20 < previous.sum() < 120


def test_a_run_goes_on_from_any_checkpoint_to_the_same_bits(run, tmp_path):
    moments = [int(path.name) for path in list_checkpoints(run / "checkpoints")][:-1]
    assert len(moments) == 3
    for moment in moments:
        assert_same(run, frankrl.resume(killed_copy(run, tmp_path / str(moment), moment)).run)


def test_a_damaged_file_of_environments_costs_nothing_but_the_way_back(run, tmp_path):
    damaged = killed_copy(run, tmp_path / "copy", 270)
    file = damaged / "checkpoints" / "000000000270" / "environments.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.warns(FrankWarning, match=r"environments\.safetensors is damaged.*set aside"):
        frankrl.resume(damaged)
    assert_same(run, damaged)


@pytest.mark.slow
def test_an_opened_update_draws_noise_and_fractions_for_each_learned_step_as_the_run_did(tmp_path):
    changes = {"distribution": "iqn", "noisy": True, "n_step": 2, "vector_steps_per_round": 2}
    run = trained(tmp_path / "run", **changes)
    # Opening does the update again and compares it with what the run recorded.
    assert reopen(RunFolder.open(run), 100).record.update == 100


def test_a_memory_that_no_run_has_is_refused(run):
    experiment = experiment_of(RECALL, Settings().with_changes(**MEMORY, source="device"), 5)
    source = source_on_device(experiment)
    newest = list_checkpoints(run / "checkpoints")[-1]
    restore_environments(source, newest)
    memory = np.asarray(source.states.memory)
    assert np.abs(memory).max() > 0
    for wrong in (memory * np.nan, memory + 2):
        with pytest.raises(DamagedError, match="no run has such a memory"):
            check_memory(wrong, newest)


@pytest.mark.as_compiled_for_users
def test_an_update_is_opened_and_all_that_the_run_recorded_comes_out_again(run):
    last = json.loads((run / "report.json").read_text())["updates"]
    for update in (1, last // 2, last):
        assert reopen(RunFolder.open(run), update).record.update == update


def test_compiled_episodes_are_those_of_the_host():
    spec = describe(RECALL, {})
    network = Experiment.of(Settings().with_changes(**MEMORY), spec, 0).network
    policy = HostPolicy(network)
    policy.load(network.layout.flatten(network.init(5)))
    q_values = NormalisedQValues(policy, None)
    with contextlib.closing(Evaluator(spec, settings=EvaluationSettings())) as evaluator:
        compiled = evaluator.evaluate(q_values, 40, Use.EVALUATION_RESET, 3)
        by_one = evaluator.evaluate(
            lambda *given, **more: q_values(*given, **more), 40, Use.EVALUATION_RESET, 3
        )
    np.testing.assert_array_equal(compiled.lengths, by_one.lengths)
    np.testing.assert_array_equal(compiled.returns, by_one.returns)
    assert len(set(compiled.returns.tolist())) > 2


def test_pqn_has_no_memory(tmp_path):
    with pytest.raises(SettingError, match="set algorithm to dqn, or memory to none"):
        frankrl.train(Recall, out=tmp_path / "run", algorithm="pqn", memory="gru")
