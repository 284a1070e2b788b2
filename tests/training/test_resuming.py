"""A run that goes on: exactly, whatever it holds; and where an environment cannot, as is right."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from in_memory import experiment_of
from long_forms import some_of
from robustness.runs import contents, killed_copy

import frankrl
from frankrl.cli.main import main as frank
from frankrl.core.errors import FrankWarning
from frankrl.dashboard.work.diagnostics import diagnose
from frankrl.environments import gymnasium_vector
from frankrl.runs import RunFolder, list_checkpoints, load_checkpoint
from frankrl.training.preparing import prepare_resume

QUICK = {
    "preset": "default",
    "hidden_widths": (8,),
    "batch_size": 8,
    "num_envs": 2,
    "learning_starts_env_steps": 60,
    "log_every_env_steps": 100,
    "evaluate_every_env_steps": 250,
    "evaluation_episodes": 1,
    "final_evaluation_episodes": 2,
    "total_env_steps": 400,
    "checkpoint_every_env_steps": 100,
}


def stored_replay(run):
    """The arrays of the buffer in the newest checkpoint."""
    newest = list_checkpoints(RunFolder.open(run).checkpoints)[-1]
    return load_checkpoint(newest, {"replay": 10**7}).tensors["replay"]


@pytest.mark.parametrize("n_step", some_of([1, 3], [3]))
def test_a_run_whose_room_for_endings_has_grown_continues_to_the_same_bits(n_step, tmp_path):
    """Every step ends an episode, and the buffer begins with room for one ending in 64."""
    whole, chosen = tmp_path / "whole", QUICK | {"replay_capacity": 150, "n_step": n_step}
    frankrl.train("frank_easy:Easy-v0", out=whole, **chosen)
    killed = killed_copy(whole, tmp_path / "killed")
    settings = RunFolder.open(whole).description.settings
    experiment = experiment_of("frank_easy:Easy-v0", settings, seed=0)
    first_rows = jax.eval_shape(experiment.empty_replay).num_ending_rows
    held = stored_replay(killed)
    assert len(held[".endings.observation"]) > 8 * first_rows
    frankrl.resume(killed)
    assert contents(killed) == contents(whole)


@pytest.mark.parametrize("n_step", some_of([1, 3], [1]))
def test_where_an_environment_does_not_replay_its_last_transitions_end_by_truncation(
    n_step, tmp_path, monkeypatch
):
    whole, chosen = tmp_path / "whole", QUICK | {"n_step": n_step, "total_env_steps": 300}
    frankrl.train("CartPole-v1", out=whole, **chosen)
    real = gymnasium_vector.GymnasiumVector.restore

    def altered(self, logs):
        logs[1].actions[-1] ^= 1
        return real(self, logs)

    exact = prepare_resume(*folder_and_settings(whole))
    before = jax.tree.map(np.asarray, exact.state().replay)
    exact.close()
    monkeypatch.setattr(gymnasium_vector.GymnasiumVector, "restore", altered)
    with pytest.warns(FrankWarning, match="because environment 1 did not replay"):
        training = prepare_resume(*folder_and_settings(whole))
    replay, gamma = training.experiment.replay, training.settings.learning.gamma
    state = training.state()
    training.close()
    # Its steps are those of the odd env steps; the last n of them had no end yet.
    pending = np.arange(300 - 2 * n_step, 300)
    cut = pending % 2 == 1
    assert (before.ending[pending] == 0).all()
    found = replay.read(state.replay, jnp.asarray(pending, jnp.uint32))
    span = replay.spans(state.replay, jnp.asarray(pending, jnp.uint32))
    steps_left = (300 - pending + 1) // 2
    np.testing.assert_array_equal(span.num_steps[cut], steps_left[cut])
    assert not np.asarray(span.terminated).any()
    np.testing.assert_allclose(found.discount[cut], gamma ** steps_left[cut], rtol=1e-6)
    rewards = [sum(gamma**k for k in range(steps)) for steps in steps_left[cut]]
    np.testing.assert_allclose(found.reward[cut], rewards, rtol=1e-6)
    arrived_at = before.observation[301]
    np.testing.assert_array_equal(found.next_observation[cut], [arrived_at] * cut.sum())
    # Of the other environment nothing has changed.
    np.testing.assert_array_equal(np.asarray(state.replay.ending)[pending[~cut]], 0)


def folder_and_settings(path):
    folder = RunFolder.open(path)
    return folder, folder.description.settings.with_changes(total_env_steps=400)


@pytest.fixture(scope="module", params=some_of(["uniform", "prioritised"], ["uniform"]))
def parts(request, tmp_path_factory):
    """A run whose observations are a picture, numbers, bits and cards, in dicts and tuples."""
    path = tmp_path_factory.mktemp("parts") / "run"
    chosen = QUICK | {"env_kwargs": {"observation": "nested", "max_episode_steps": 7}}
    chosen |= {"replay_sampling": request.param}
    chosen |= (
        {"n_step": 3, "replay_capacity": 150} if request.param == "prioritised" else {"n_step": 1}
    )
    frankrl.train("probe_envs:FrankSpace-v0", out=path, seed=1, **chosen)
    return path


def test_observations_in_parts_are_stored_each_in_its_own_type(parts):
    stored = {
        name.removeprefix(".steps.observation"): (array.dtype.name, array.shape[1:])
        for name, array in stored_replay(parts).items()
        if name.startswith(".steps.observation")
    }
    assert stored == {
        "['picture']": ("uint8", (2, 2, 3)),
        "['inner']['speed']": ("float32", (2,)),
        "['inner']['bits']": ("uint8", (3,)),
        "['cards'][0]": ("int32", ()),
        "['cards'][1]": ("int32", (2,)),
    }


def test_a_run_on_observations_in_parts_continues_to_the_same_bits(parts, tmp_path):
    killed = killed_copy(parts, tmp_path / "killed")
    frankrl.resume(killed)
    assert contents(killed) == contents(parts)


def test_an_update_on_observations_in_parts_is_told_part_by_part(parts, capsys):
    assert frank(["explain", str(parts), "--update", "100"]) == 0
    printed = capsys.readouterr().out
    for name in ("picture", "inner.speed", "inner.bits", "cards.0", "cards.1"):
        assert f"s {name}" in printed
    assert frank(["explain", str(parts), "--update", "100", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["batch"]["observation"]
    record = frankrl.explain(parts, update=100).batch.observation
    assert told["picture"] == record["picture"].tolist()
    assert told["cards"][1] == record["cards"][1].tolist()


def test_the_agent_and_the_dashboard_take_observations_in_parts(parts):
    agent = frankrl.load(parts)
    space = agent.spec.observation_space
    space.seed(0)
    batch = [space.sample() for _ in range(3)]
    each = np.array([agent.q_values(observation) for observation in batch])
    assert each.shape == (3, 2)
    assert np.isfinite(each).all()
    diagnostics = diagnose(RunFolder.open(parts))
    capacity = RunFolder.open(parts).description.settings.replay.replay_capacity
    assert diagnostics["transitions"] == min(capacity, 400)
    assert diagnostics["widths"] == (8,)
