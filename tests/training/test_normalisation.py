"""Running normalisation of observations and rewards, held against Gymnasium's statistics."""

import contextlib
import hashlib
import json
import pickle
import shutil

import jax.numpy as jnp
import numpy as np
import own_envs
import pytest
from gymnasium.wrappers import NormalizeObservation, NormalizeReward
from gymnasium.wrappers.utils import RunningMeanStd
from long_forms import some_of
from own_envs import SMALL, Walk
from robustness.runs import contents, killed_copy
from safetensors.numpy import load_file, save_file

import frankrl
from frankrl.config import Settings
from frankrl.core.errors import FrankWarning, RunFolderError, SettingError
from frankrl.core.normalisation import LeafScale, Moments, Scales
from frankrl.environments import GymnasiumVector, describe, describe_for
from frankrl.experience import NormalisedQValues, statistics_tensors
from frankrl.experience.normaliser import Normaliser, Statistics
from frankrl.runs import RunFolder, list_checkpoints, load_checkpoint
from frankrl.runs.checkpoint import MANIFEST, manifest_of
from frankrl.training import Experiment
from frankrl.training.codec import BEST_FILE
from frankrl.training.preparing import prepare_resume
from frankrl.training.resuming import read_checkpoint, read_run

NORMALISED = SMALL | {"normalize_observations": True, "normalize_rewards": True}


def test_moments_are_those_of_gymnasium():
    random = np.random.default_rng(0)
    ours, theirs = Moments.empty((3,)), RunningMeanStd(shape=(3,))
    for count in (1, 4, 2, 7):
        batch = random.normal(3, 5, (count, 3))
        ours = ours.with_batch(batch)
        theirs.update(batch)
    np.testing.assert_allclose(ours.mean, theirs.mean, rtol=1e-14)
    np.testing.assert_allclose(ours.variance, theirs.var, rtol=1e-14)
    assert ours.number == theirs.count


def test_one_environment_is_normalised_as_by_gymnasiums_wrappers():
    settings = Settings().with_changes(
        normalize_observations=True,
        normalize_rewards=True,
        gamma=0.9,
        num_envs=1,
        normalize_observations_clip=1e6,
        normalize_rewards_clip=1e6,
    )
    spec = describe("own_envs:Walk", {"length": 100, "limit": 30})
    normaliser = Normaliser(settings, spec)
    theirs = NormalizeReward(NormalizeObservation(Walk(100, 30)), gamma=0.9)
    ours, random = Walk(100, 30), np.random.default_rng(1)
    seen, expected = ours.reset(seed=3)[0], theirs.reset(seed=3)[0]
    normaliser.see(seen[None])
    for _ in range(29):
        np.testing.assert_allclose(normaliser.scales().of_observation(seen), expected, rtol=2e-5)
        action = int(random.integers(2))
        seen, reward, terminated, truncated, _ = ours.step(action)
        expected, expected_reward, *_ = theirs.step(action)
        normaliser.step(np.array([reward]), np.array([terminated or truncated]))
        normaliser.see(seen[None])
        scaled = normaliser.scales().of_reward(np.float32(reward))
        np.testing.assert_allclose(scaled, expected_reward, rtol=1e-5)


def test_a_return_ends_with_its_episode_also_at_a_time_limit():
    settings = Settings().with_changes(normalize_rewards=True, gamma=0.5, num_envs=2)
    normaliser = Normaliser(settings, describe("own_envs:Walk", {}))
    naive = RunningMeanStd(shape=())
    for reward, is_last, returns in (
        ([1.0, 2.0], [False, False], [1.0, 2.0]),
        ([1.0, 0.0], [True, False], [1.5, 1.0]),
        ([4.0, 1.0], [False, True], [4.0, 1.5]),
        ([0.0, 8.0], [False, False], [2.0, 8.0]),
    ):
        normaliser.step(np.array(reward), np.array(is_last))
        naive.update(np.array(returns))
    found = normaliser.statistics.discounted_return
    np.testing.assert_allclose([found.mean, found.variance], [naive.mean, naive.var], rtol=1e-14)


def test_numbers_are_clipped_and_other_leaves_stay_as_they_are():
    scale = LeafScale(np.float32([1, 2]), np.float32([2, 0.5]))
    scales = Scales((None, scale), np.float32(3), np.float32(2), np.float32(5))
    for array in (np.asarray, jnp.asarray):
        observation = {"a": array(np.uint8([9, 8])), "b": array(np.float32([[9, 4], [-9, -40]]))}
        found = scales.of_observation(observation)
        np.testing.assert_array_equal(found["a"], [9, 8])
        np.testing.assert_array_equal(found["b"], [[3, 1], [-3, -3]])
        np.testing.assert_array_equal(scales.of_reward(array(np.float32([1, 3, -4]))), [2, 5, -5])


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("normalised") / "whole"
    frankrl.train(Walk, out=path, **NORMALISED)
    return path


def statistics_at(checkpoint):
    """The statistics of a checkpoint, by a plain look into its file."""
    tensors = load_checkpoint(checkpoint, {"q_network": 10**6}).tensors["q_network"]
    return {name: value for name, value in tensors.items() if name.startswith("normalisation")}


def test_the_statistics_are_those_of_what_training_saw_and_nothing_else(whole):
    """A plain loop replays the run's actions in other environments, without any evaluation."""
    folder = RunFolder.open(whole)
    for checkpoint in list_checkpoints(folder.checkpoints):
        env_steps = int(checkpoint.name)
        naive, returns = RunningMeanStd(shape=(2,)), RunningMeanStd(shape=())
        envs = GymnasiumVector(describe("own_envs:Walk", {}), 2, 0)
        with contextlib.closing(envs):
            naive.update(envs.observation.astype(np.float64))
            discounted = np.zeros(2)
            for actions in actions_of(folder, env_steps):
                step, _ = envs.step(actions, 0)
                discounted = 0.99 * discounted + step.reward.astype(np.float64)
                returns.update(discounted)
                discounted[step.terminated | step.truncated] = 0
                naive.update(envs.observation.astype(np.float64))
        found = statistics_at(checkpoint)
        np.testing.assert_allclose(found["normalisation 0 mean"], naive.mean, rtol=1e-12)
        np.testing.assert_allclose(found["normalisation 0 variance"], naive.var, rtol=1e-12)
        np.testing.assert_allclose(found["normalisation return variance"], returns.var, rtol=1e-12)


def actions_of(folder, env_steps):
    """The actions that a run took up to an env step, from its replay buffer."""
    settings = folder.description.settings
    spec = describe_for(folder.description.env_id, settings)
    experiment = Experiment.of(settings, spec, folder.description.seed)
    found = read_checkpoint(folder, experiment, folder.checkpoints / f"{env_steps:012d}")
    return np.asarray(found.state.replay.action)[:env_steps].reshape(-1, 2).astype(np.int64)


@pytest.mark.parametrize(
    "changes",
    some_of(
        [
            {},
            {"overlap": False},
            {"worker_processes": 1},
            {"vector_steps_per_round": 3, "n_step": 3},
        ],
        default=[{}],
    ),
    ids=str,
)
def test_a_killed_run_goes_on_to_the_same_bits(tmp_path, whole, changes):
    run = whole
    if changes:
        run = tmp_path / "run"
        frankrl.train(Walk, out=run, **NORMALISED | changes)
    killed = killed_copy(run, tmp_path / "killed")
    frankrl.resume(killed)
    assert contents(killed) == contents(run)
    if "worker_processes" in changes:
        assert contents(run) == contents(whole)


def test_the_agent_normalises_by_itself_by_the_statistics_of_its_time(tmp_path, whole):
    folder, observation = RunFolder.open(whole), np.float32([[3, 0.25], [-2, 0.75]])
    for best in (False, True):
        agent = frankrl.load(whole, best=best)
        newest = list_checkpoints(folder.best if best else folder.checkpoints)[-1]
        found = statistics_at(newest)
        variance = found["normalisation 0 variance"]
        scaled = (observation - found["normalisation 0 mean"]) / np.sqrt(variance + 1e-8)
        inner = agent.batch_q_values.policy.q_values
        expected = inner(np.clip(scaled, -10, 10).astype(np.float32)).q_values
        np.testing.assert_allclose(agent.q_values(observation), expected, rtol=1e-4)
        again = pickle.loads(pickle.dumps(agent))  # noqa: S301
        np.testing.assert_array_equal(again.q_values(observation), agent.q_values(observation))
    assert isinstance(agent.batch_q_values, NormalisedQValues)
    counts = {
        path.name: statistics_at(path)["normalisation 0 number"]
        for path in list_checkpoints(folder.checkpoints)
    }
    # Two observations at the start, and one for each env step.
    assert counts == {name: int(name) + 2 + 1e-4 for name in counts}


def test_an_update_is_opened_with_the_numbers_that_the_network_got(whole):
    record = frankrl.explain(whole, update=20)
    assert np.isfinite(record.losses).all()
    # Places lie from -4 on; normalised they have about the size of 1.
    assert np.abs(record.batch.observation).max() <= 10
    assert np.abs(record.batch.observation[:, 1].mean()) < 1


def test_exported_files_hold_the_statistics(whole, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    observations = np.random.default_rng(0).normal(size=(10_000, 2)).astype(np.float32) * 5
    agent = frankrl.load(whole)
    graph, weights = tmp_path / "agent.onnx", tmp_path / "agent.safetensors"
    frankrl.export(whole, onnx=graph, safetensors=weights)
    expected = agent.q_values(observations)
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    q_values, _ = session.run(None, {"observation": observations})
    np.testing.assert_allclose(q_values, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())
    arrays = load_file(weights)
    mean, factor, clip = (
        arrays.pop(f"normalisation.{name}") for name in ("0.mean", "0.factor", "clip")
    )
    scaled = np.clip((observations - mean) * factor, -clip, clip)
    inner = agent.batch_q_values.policy.q_values
    np.testing.assert_allclose(inner(scaled).q_values, expected, rtol=1e-5, atol=1e-6)
    assert not [name for name in arrays if name.startswith("normalisation")]
    for source in (whole, weights):
        with pytest.raises(SettingError, match="a new run begins without those statistics"):
            frankrl.train(Walk, out=tmp_path / "tuned", init_from=source, **SMALL)


def test_evaluations_report_the_environments_own_returns(whole):
    evaluation = frankrl.evaluate(frankrl.load(whole), episodes=3)
    for value, length in zip(evaluation.returns, evaluation.lengths, strict=True):
        lost = -0.1 * length
        assert value == pytest.approx(lost) or value == pytest.approx(lost + 1.1)


@pytest.mark.parametrize(
    ("env", "changes", "words"),
    [
        ("FrozenLake-v1", {}, "scales real numbers"),
        ("CartPole-v1", {"scale_observation": True}, "both scale what the network gets"),
    ],
)
def test_what_cannot_be_normalised_is_refused(tmp_path, env, changes, words):
    with pytest.raises(SettingError, match=words):
        frankrl.train(env, out=tmp_path / "run", **NORMALISED | changes)
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_normalises_nothing_has_no_statistics(tmp_path):
    changes = {"normalize_observations": False, "normalize_rewards": False}
    frankrl.train(own_envs.make_walk, out=tmp_path / "run", **NORMALISED | changes)
    (newest, *_) = list_checkpoints(RunFolder.open(tmp_path / "run").checkpoints)
    assert not statistics_at(newest)
    assert statistics_tensors(None) == {}
    assert Statistics((), None).scales(Settings().environment).reward is None


@pytest.mark.parametrize(
    ("file", "name", "value"),
    [
        ("q_network", "normalisation 0 variance", -1.0),
        ("q_network", "normalisation 0 mean", np.nan),
        ("q_network", "normalisation return number", -2.0),
        ("collection", "discounted_returns", np.inf),
        (BEST_FILE, "normalisation return variance", np.nan),
    ],
)
def test_statistics_that_no_run_has_are_damage(tmp_path, whole, file, name, value):
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    folder = RunFolder.open(run)
    for checkpoint in list_checkpoints(folder.checkpoints):
        set_number(checkpoint, file, name, value)
    words = rf"is damaged.*{name} is .*{value}|no intact checkpoint"
    with pytest.raises(RunFolderError, match=words):
        frankrl.resume(run, total_env_steps=200)
    if file == "q_network":
        with pytest.raises(RunFolderError, match=words):
            frankrl.load(run)


def test_the_return_of_an_episode_that_does_not_replay_is_forgotten(whole, monkeypatch):
    real = GymnasiumVector.restore

    def altered(self, logs):
        logs[1].actions[-1] ^= 1
        return real(self, logs)

    folder = RunFolder.open(whole)
    settings = folder.description.settings.with_changes(total_env_steps=200)
    before = read_run(folder, Experiment.of(settings, describe("own_envs:Walk", {}), 0))
    assert before.statistics[1].all()
    monkeypatch.setattr(GymnasiumVector, "restore", altered)
    with pytest.warns(FrankWarning, match="environment 1 did not replay"):
        training = prepare_resume(folder, settings)
    found = training._source.statistics()[1]
    training.close()
    np.testing.assert_array_equal(found, [before.statistics[1][0], 0.0])


def set_number(checkpoint, file, name, value):
    """Write another number into a checkpoint, with a manifest that is right."""
    path = checkpoint / f"{file}.safetensors"
    tensors = load_file(path)
    tensors[name] = np.full_like(tensors[name], value)
    save_file(tensors, path)
    manifest = checkpoint / MANIFEST
    files, content = json.loads(manifest.read_text())["files"], path.read_bytes()
    files[path.name] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    manifest.write_bytes(manifest_of(files))
