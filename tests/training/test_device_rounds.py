"""A run on the device: the page's algorithm, step by step, and the same bits wherever it is cut."""

import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from device_draws import bits, draw_on_the_device
from gymnasium import spaces

import frankrl
from frankrl.algorithm import deep_q_learning
from frankrl.config.presets import load_preset
from frankrl.core.errors import RunFolderError, SettingError
from frankrl.core.random import Use
from frankrl.dashboard.work import diagnostics, episode
from frankrl.environments import describe
from frankrl.environments.functional import cartpole
from frankrl.environments.functional.protocol import FunctionalStep
from frankrl.experience.device import digest
from frankrl.explaining import reopen
from frankrl.replay import (
    NewestSampler,
    PrioritisedSampler,
    SampleRequest,
    UniformSampler,
)
from frankrl.runs import RunFolder, list_checkpoints, load_checkpoint
from frankrl.training import Experiment, init_train_state
from frankrl.training.device import chunk
from frankrl.training.device.rounds import device_rounds, source_on_device

CARTPOLE, SQUARES = "frankrl/CartPole-functional-v0", "frankrl/NineSquares-functional-v0"
RUN = {
    "preset": "default",
    "hidden_widths": (16,),
    "num_envs": 3,
    "learning_starts_env_steps": 99,
    "batch_size": 8,
    "log_every_env_steps": 100,
    "evaluate_every_env_steps": None,
    "final_evaluation_episodes": 2,
    "checkpoint_every_env_steps": 130,
    "keep_checkpoints": 100,
    "total_env_steps": 600,
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("device") / "run")


def trained(out, **changes):
    return frankrl.train(CARTPOLE, out=out, seed=5, **RUN | changes).run


def tensors(run, env_steps=600):
    """All arrays of a checkpoint."""
    (path,) = [p for p in list_checkpoints(run / "checkpoints") if int(p.name) == env_steps]
    files = ("q_network", "target_network", "optimiser", "replay", "environments")
    found = load_checkpoint(path, dict.fromkeys(files, 10**8)).tensors
    found["behaviour"] = load_checkpoint(path, {"collection": 10**8}).tensors["collection"]
    del found["behaviour"]["statistics"], found["behaviour"]["td_errors"]
    return {(file, name): array for file in found for name, array in found[file].items()}


def assert_same(ours, theirs):
    assert ours.keys() == theirs.keys()
    for name, array in ours.items():
        np.testing.assert_array_equal(array, theirs[name], err_msg=str(name))


def rows(run, table):
    with closing(sqlite3.connect(run / "metrics.sqlite")) as metrics:
        return metrics.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall()


@pytest.fixture
def drawn_on_the_device(monkeypatch):
    draw_on_the_device(monkeypatch)


@pytest.mark.as_compiled_for_users
@pytest.mark.parametrize("env_id", [SQUARES, pytest.param(CARTPOLE, marks=pytest.mark.slow)])
def test_the_device_does_what_the_page_says(env_id, drawn_on_the_device):
    changes = {
        "learning_starts_env_steps": 30,
        "overlap": False,
        "target_period_updates": 40,
        "epsilon_decay_env_steps": 300,
        "hidden_widths": (16,),
        "batch_size": 16,
        "num_envs": 3,
        "n_step": 3,
        "double": True,
        "replay_capacity": 100,
    }
    settings = load_preset("classic").with_changes(**changes).resolved()
    on_device = settings.with_changes(source="device")
    experiment = Experiment.of(on_device, describe(env_id, {}), 7)
    source, page = source_on_device(experiment), deep_q_learning(env_id, settings, seed=7)
    size = settings.environment.num_envs
    results = device_rounds(experiment, source, init_train_state(experiment), lambda at: at + size)
    for _ in range(180 // size):
        result, moment = next(results), next(page)
        state = result.state()
        newest = np.arange(result.ticks - size, result.ticks) % experiment.replay.num_rows
        assert np.asarray(state.replay.action)[newest].tolist() == moment.action.tolist()
        assert result.updates == moment.learner.num_updates
        for ours, theirs in zip(
            (state.learner.params, state.learner.target_params),
            (moment.learner.params, moment.learner.target_params),
            strict=True,
        ):
            np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=2e-6)
    assert result.updates > 100
    page.close()


@pytest.mark.slow
def test_neither_metrics_nor_checkpoints_change_the_bits(run, tmp_path):
    other = trained(
        tmp_path / "other",
        log_every_env_steps=77,
        checkpoint_every_env_steps=10_000,
        evaluate_every_env_steps=210,
        evaluation_episodes=1,
    )
    assert_same(tensors(run), tensors(other))
    assert rows(run, "episodes") == rows(other, "episodes")


def test_a_run_goes_on_from_any_checkpoint_to_the_same_bits(run, tmp_path):
    for stop in (132, 390):
        part = trained(tmp_path / str(stop), total_env_steps=stop)
        again = frankrl.resume(part, total_env_steps=600, checkpoint_every_env_steps=130).run
        whole, found = tensors(run), tensors(again)
        assert_same(whole, found)
        for table in ("episodes", "training", "digests"):
            assert [row[:1] for row in rows(run, table)] == [row[:1] for row in rows(again, table)]
        assert rows(run, "digests") == rows(again, "digests")


@pytest.mark.as_compiled_for_users
def test_its_updates_can_be_opened_and_all_that_it_recorded_comes_out_again(run):
    folder = RunFolder.open(run)
    for update in (1, 40, 125):
        opened = reopen(folder, update)
        assert opened.record.update == update


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        pytest.param(
            {
                "distribution": "c51",
                "noisy": True,
                "double": True,
                "n_step": 3,
                "replay_sampling": "prioritised",
                "vector_steps_per_round": 2,
                "replay_ratio": 0.4,
            },
            id="rainbow",
        ),
        pytest.param(
            {
                "distribution": "iqn",
                "munchausen": True,
                "double": False,
                "replay_sampling": "newest",
            },
            id="munchausen-iqn",
        ),
    ],
)
def test_every_kind_of_learning_repeats_itself(tmp_path, changes):
    one = trained(tmp_path / "one", total_env_steps=300, **changes)
    other = trained(tmp_path / "other", total_env_steps=300, log_every_env_steps=31, **changes)
    assert_same(tensors(one, 300), tensors(other, 300))
    last = json.loads((one / "report.json").read_text())["updates"]
    assert last > 50
    assert reopen(RunFolder.open(one), last).record.update == last


@dataclass(frozen=True)
class Shifting:
    """Six squares in a row; on each, two of three actions are allowed, and episodes end often."""

    observation_space = spaces.Box(0, 5, (1,), np.float32)
    action_space = spaces.Discrete(3)
    reward_threshold = None
    max_episode_steps = 4

    def _shown(self, square):
        return square[None].astype(jnp.float32), jnp.arange(3) != square % 3

    def reset(self, key):
        square = jax.random.randint(key, (), 0, 6)
        return (square, jnp.zeros((), jnp.int32)), *self._shown(square)

    def step(self, state, action, key):
        square, count = state
        after = (square + action + jax.random.randint(key, (), 0, 2)) % 6
        observation, mask = self._shown(after)
        shown = FunctionalStep(observation, mask, jnp.ones(()), after == 0, count == 3)
        return (after, count + 1), shown


@pytest.mark.slow
def test_only_allowed_actions_are_taken_and_every_episode_is_recorded(tmp_path):
    run = frankrl.train(Shifting, out=tmp_path / "run", seed=1, **RUN | {"n_step": 1}).run
    stored = {name: array for (file, name), array in tensors(run).items() if file == "replay"}
    mask, action = stored[".steps.mask"], stored[".steps.action"].astype(int)
    assert len(action) == 600
    assert mask[np.arange(600), action].all()
    assert set(action) == {0, 1, 2}
    lengths = [row[-1] for row in rows(run, "episodes")]
    assert max(lengths) == 4
    assert min(lengths) == 1
    assert int(stored[".num_endings"]) == len(lengths) > 150
    assert reopen(RunFolder.open(run), 100).record.update == 100


REQUEST = SampleRequest(first_update=9, num_updates=4, first=37, end=90, num_new=8, ticks=96)


@pytest.mark.parametrize(
    "sampler",
    [
        UniformSampler(16),
        NewestSampler(16),
        PrioritisedSampler(16, exponent=0.6, epsilon=1e-3, beta=0.4, beta_ticks=200),
    ],
    ids=["uniform", "newest", "prioritised"],
)
@pytest.mark.parametrize("first", [0, 37, 2**31 - 50, 2**31 + 50, 2**32 - 90])
def test_samplers_choose_on_the_device_as_on_the_host(sampler, first, drawn_on_the_device):
    request = REQUEST._replace(first=first, end=first + 53, ticks=first + 59)
    found = sampler.device_draws(jnp.asarray(bits(3, Use.REPLAY, 9, 4, 16)), request)
    for ours, theirs in zip(
        jax.tree.leaves(found), jax.tree.leaves(sampler.draws(3, request)), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"normalize_rewards": True}, "normalize_rewards keeps its statistics on the host"),
        ({"info_metrics": ("x",)}, "they have no info"),
        ({"backend": "envpool"}, "backend envpool steps them on the host"),
        ({"frame_stack": 2}, "the host prepares pictures and stacks observations"),
    ],
)
def test_what_needs_the_host_is_refused_or_goes_there(tmp_path, changes, sentence):
    with pytest.raises(SettingError, match=sentence):
        trained(tmp_path / "run", source="device", **changes)
    assert not (tmp_path / "run").exists()


def test_an_ordinary_environment_is_stepped_on_the_host(tmp_path):
    with pytest.raises(SettingError, match="CartPole-v1 is no functional environment"):
        frankrl.train("CartPole-v1", out=tmp_path / "run", source="device", **RUN)


def test_such_a_run_is_evaluated_filmed_and_shown_as_any_other(run, tmp_path):
    assert len(frankrl.evaluate(run, episodes=2).returns) == 2
    assert frankrl.film(run, out=tmp_path / "film.gif", episodes=1).path.stat().st_size
    folder = RunFolder.open(run)
    (tmp_path / "pictures").mkdir()
    shown = episode.play(folder, 0, tmp_path / "pictures", lambda done, most: None)
    assert len(shown["actions"]) == len(shown["rewards"])
    assert diagnostics.diagnose(folder)


def test_another_environment_than_in_the_run_is_noticed(run, tmp_path, monkeypatch):
    monkeypatch.setattr(cartpole, "GRAVITY", 9.80001)
    jax.clear_caches()
    chunk.compiled_chunk.cache_clear()
    with pytest.raises(RunFolderError, match="does something else"):
        reopen(RunFolder.open(run), 125)
    chunk.compiled_chunk.cache_clear()


@pytest.mark.slow
def test_a_run_that_was_stepped_by_actors_goes_on_without_them(tmp_path):
    """Where it takes place is decided once."""
    settings = RUN | {"total_env_steps": 150}
    run = frankrl.train(CARTPOLE, out=tmp_path / "run", actors=1, **settings).run
    assert RunFolder.open(run).description.settings.environment.source == "host"
    assert frankrl.resume(run, total_env_steps=210).env_steps == 210


def test_the_checksum_changes_with_any_two_bits_and_with_the_order():
    words = np.frombuffer(np.float32([0.3, -1.5, 0.02, 2]).tobytes(), np.uint32)
    bits = [(place, 1 << bit) for place in range(4) for bit in range(32)]
    rows = [words, words[::-1], words[[1, 0, 2, 3]]]
    for number, (place, bit) in enumerate(bits):
        for other, another in [(0, 0), *bits[:number]]:
            row = words.copy()
            row[place] ^= np.uint32(bit)
            row[other] ^= np.uint32(another)
            rows.append(row)
    found = digest.folded(np.zeros((len(rows), 2), np.uint32), np.stack(rows))
    lanes = np.asarray(found)
    # By chance two of 8,259 numbers of 32 bits are the same in one of 130 tables.
    assert all(len(np.unique(lane)) >= len(rows) - 1 for lane in lanes.T)
    assert len(np.unique(lanes, axis=0)) == len(rows)


def test_with_the_first_round_the_start_is_over():
    """So what is counted as starting up is neither training nor part of another chunk."""
    settings = load_preset("classic").with_changes(source="device").resolved()
    experiment = Experiment.of(settings, describe(SQUARES, {}), 0)
    source = source_on_device(experiment)
    results = device_rounds(experiment, source, init_train_state(experiment), lambda at: at + 100)
    size = settings.round_ticks
    assert [next(results).ticks for _ in range(3)] == [size, size + 100, size + 200]
