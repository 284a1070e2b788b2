"""An update recomputed: origins, every number again in plain NumPy, and the same bits after it."""

import json
import shutil
import sys

import jax
import numpy as np
import pytest

import frankrl
from frankrl.cli.main import main as frank
from frankrl.core.errors import FrankWarning, RunFolderError, SettingError
from frankrl.environments import describe
from frankrl.explaining import cost_of, origins, reopen
from frankrl.explaining.notes import example
from frankrl.runs import MetricsReader, RunFolder, list_checkpoints
from frankrl.training import Experiment
from frankrl.training.resuming import read_checkpoint

reopen_module = sys.modules["frankrl.explaining.reopen"]
SETTINGS = {
    "preset": "default",
    "hidden_widths": (16, 8),
    "num_envs": 4,
    "n_step": 3,
    "layer_norm": True,
    "dueling": True,
    "learning_starts_env_steps": 60,
    "target_period_updates": 50,
    "log_every_env_steps": 50,
    "evaluate_every_env_steps": 10_000,
    "final_evaluation_episodes": 1,
    "checkpoint_every_env_steps": 200,
    "total_env_steps": 600,
    "learning_rate_end": 1e-4,
}


RUNS = [("huber", True, True), ("mse", False, False)]
"""The loss, whether Double DQN, and whether a round overlaps with the next one's steps."""


@pytest.fixture(scope="module", params=RUNS)
def run(request, tmp_path_factory):
    loss, double, overlap = request.param
    path = tmp_path_factory.mktemp("explained") / "run"
    chosen = SETTINGS | {"loss": loss, "double": double, "overlap": overlap}
    chosen |= {"huber_delta": 0.5} if loss == "huber" else {}
    frankrl.train("CartPole-v1", seed=3, out=path, **chosen)
    return RunFolder.open(path)


def forward(params, observation):
    """The Q-network in plain NumPy with double precision."""
    hidden = np.asarray(observation, np.float64).reshape(len(observation), -1)
    for (weight, bias), gain, shift in params.hidden:
        hidden = hidden @ np.asarray(weight, np.float64) + np.asarray(bias)
        centred = hidden - hidden.mean(axis=1, keepdims=True)
        hidden = centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + 1e-5)
        hidden = np.maximum(hidden * np.asarray(gain) + np.asarray(shift), 0)
    output = hidden @ np.asarray(params.output.weight, np.float64) + np.asarray(params.output.bias)
    value, advantage = output[:, :1], output[:, 1:]
    return value + advantage - advantage.mean(axis=1, keepdims=True)


def experiment_of(folder):
    description = folder.description
    spec = describe(description.env_id, {})
    return Experiment.of(description.settings, spec, description.seed)


def state_at(folder, checkpoint):
    return read_checkpoint(folder, experiment_of(folder), checkpoint).state


def both_params(folder, state, dtype=np.float32):
    """θ and θ⁻ of a state, as NumPy arrays."""
    unflatten = experiment_of(folder).network.layout.unflatten
    learner = state.learner
    vectors = (learner.params, learner.target_params)
    return [unflatten(np.array(vector, dtype)) for vector in vectors]


@pytest.mark.as_compiled_for_users
@pytest.mark.parametrize(
    "run", [pytest.param(RUNS[0], marks=pytest.mark.slow), RUNS[1]], indirect=True
)
def test_the_state_after_reopening_is_that_of_the_run_to_the_bit(run):
    last = list_checkpoints(run.checkpoints)[-1]
    expected = state_at(run, last)
    opened = reopen(run, expected.updates)
    for reopened, saved in zip(
        jax.tree.leaves((opened.state.learner, opened.state.replay)),
        jax.tree.leaves((expected.learner, expected.replay)),
        strict=True,
    ):
        assert np.asarray(reopened).tobytes() == np.asarray(saved).tobytes()
    assert opened.cost.ticks == 200


def test_every_number_of_the_record_agrees_with_plain_numpy(run):
    settings = run.description.settings.learning
    first = list_checkpoints(run.checkpoints)[0]
    before = state_at(run, first)
    record = reopen(run, before.updates + 1).record
    online, target = both_params(run, before)
    batch, rows = record.batch, np.arange(len(record.losses))
    q_values = forward(online, batch.observation)
    np.testing.assert_allclose(record.q_values, q_values, rtol=1e-4, atol=1e-5)
    chosen = q_values[rows, batch.action]
    np.testing.assert_allclose(record.chosen_q, chosen, rtol=1e-4, atol=1e-5)
    next_target = forward(target, batch.next_observation)
    np.testing.assert_allclose(record.target_q_values, next_target, rtol=1e-4, atol=1e-5)
    picks = next_target
    if settings.double:
        picks = forward(online, batch.next_observation)
        np.testing.assert_allclose(record.online_next_q_values, picks, rtol=1e-4, atol=1e-5)
    else:
        assert record.online_next_q_values is None
    np.testing.assert_array_equal(record.next_policy.argmax(axis=1), picks.argmax(axis=1))
    values = next_target[rows, record.next_policy.argmax(axis=1)]
    np.testing.assert_allclose(record.next_values, values, rtol=1e-4, atol=1e-5)
    future = np.where(record.terminated, 0, settings.gamma ** record.num_steps.astype(int) * values)
    targets = batch.reward + future
    np.testing.assert_allclose(record.targets, targets, rtol=1e-4, atol=1e-5)
    errors = targets - chosen
    np.testing.assert_allclose(record.td_errors, errors, rtol=1e-3, atol=1e-4)
    size, delta = np.abs(errors), settings.huber_delta
    losses = errors**2
    if settings.loss == "huber":
        losses = np.where(size <= delta, 0.5 * errors**2, delta * (size - 0.5 * delta))
    np.testing.assert_allclose(record.losses, losses, rtol=1e-3, atol=1e-4)
    assert record.loss == pytest.approx(losses.mean(), rel=1e-3)
    np.testing.assert_allclose(record.loss_shares, losses / losses.sum(), atol=1e-3)
    assert record.loss_shares.sum() == pytest.approx(1, rel=1e-5)
    flat = np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(online)])
    other = np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(target)])
    distance = np.linalg.norm(flat.astype(np.float64) - other)
    assert record.distance_to_target["all"] == pytest.approx(distance, rel=1e-4)
    assert record.updates_since_refresh == before.updates % 50


def test_the_gradient_norm_agrees_with_finite_differences_of_the_loss(run):
    """By finite differences of the loss in plain NumPy, for the parameters of the last layer."""
    settings = run.description.settings.learning
    before = state_at(run, list_checkpoints(run.checkpoints)[0])
    record = reopen(run, before.updates + 1).record
    online, _ = both_params(run, before, np.float64)
    rows = np.arange(len(record.losses))

    def loss(params):
        errors = (
            record.targets - forward(params, record.batch.observation)[rows, record.batch.action]
        )
        size, delta = np.abs(errors), settings.huber_delta
        if settings.loss == "huber":
            return np.where(size <= delta, 0.5 * errors**2, delta * (size - 0.5 * delta)).mean()
        return (errors**2).mean()

    slopes = []
    for array in online.output:
        for at in np.ndindex(array.shape):
            kept, step = array[at], 1e-5
            array[at] = kept + step
            above = loss(online)
            array[at] = kept - step
            slopes.append((above - loss(online)) / (2 * step))
            array[at] = kept
    assert record.gradient_norms["output"] == pytest.approx(np.linalg.norm(slopes), rel=1e-3)


def test_consecutive_updates_follow_from_each_other(run):
    first, second = (reopen(run, number).record for number in (120, 121))
    assert (first.update, second.update) == (120, 121)
    assert second.updates_since_refresh == first.updates_since_refresh + 1
    common = np.intersect1d(first.transition_env_steps, second.transition_env_steps)
    for step in common:
        one, other = (
            np.flatnonzero(record.transition_env_steps == step)[0] for record in (first, second)
        )
        assert first.chosen_q_after[one] == pytest.approx(second.chosen_q[other], rel=1e-5)
    assert reopen(run, 150).record.refreshes_target
    assert reopen(run, 151).record.updates_since_refresh == 0


def test_origins_agree_with_what_the_metrics_say_of_episodes(run):
    settings, seed = run.description.settings, run.description.seed
    record = reopen(run, 400).record
    came_from = origins(run, settings, seed, record.transition_env_steps)
    reader = MetricsReader(run.metrics)
    episodes = reader.columns("episodes")
    reader.close()
    for origin, observation in zip(came_from, record.batch.observation, strict=True):
        assert origin.env_index == origin.env_step % 4
        assert origin.step >= 1
        own = (episodes["env_index"] == origin.env_index) & (episodes["episode"] == origin.episode)
        if own.any():
            length, end = episodes["length"][own][0], episodes["env_steps"][own][0]
            assert origin.step <= length
            assert (end - 1 - origin.env_step) == 4 * (length - origin.step)
        # CartPole starts every episode within ±0.05 in all its components, and only there.
        assert (np.abs(observation) <= 0.05).all() or origin.step > 1
    assert all(origin.explored for origin in came_from if origin.epsilon == 1)


def test_a_greedy_action_was_the_best_one_at_the_time():
    """With ε = 0 from the start, no stored action is random."""
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run"
        chosen = SETTINGS | {"epsilon_start": 0.0, "epsilon_end": 0.0, "total_env_steps": 200}
        frankrl.train("CartPole-v1", out=path, **chosen)
        opened = RunFolder.open(path)
        record = frankrl.explain(path, update=50)
        came_from = origins(opened, opened.description.settings, 0, record.transition_env_steps)
        assert not any(origin.explored for origin in came_from)


@pytest.mark.parametrize(
    ("update", "words"),
    [(0, "updates 1 to 544"), (545, "updates 1 to 544"), (-1, "got -1"), (True, "got True")],
)
def test_an_update_that_does_not_exist_is_refused_with_the_existing_ones(run, update, words):
    with pytest.raises(SettingError, match=words):
        cost_of(run, update)


def test_a_run_before_learning_started_says_when_it_does(tmp_path):
    frankrl.train("CartPole-v1", out=tmp_path / "run", **(SETTINGS | {"total_env_steps": 40}))
    with pytest.raises(SettingError, match="no updates yet: learning starts at env step 60"):
        frankrl.explain(tmp_path / "run", update=1)


def test_updates_before_all_checkpoints_are_recomputed_from_the_beginning(run):
    assert cost_of(run, 20).first_tick == 0
    assert reopen(run, 20).record.update == 20


def test_rounds_are_not_repeated_across_a_point_that_is_not_exact(run, tmp_path, monkeypatch):
    from frankrl.runs import machine
    from frankrl.training import surroundings

    shutil.copytree(run.path, tmp_path / "run")
    monkeypatch.setattr(
        surroundings, "all_versions", lambda _: machine.versions() | {"jax": "0.0.1"}
    )
    with pytest.warns(UserWarning, match="not bit-exact"):
        frankrl.resume(tmp_path / "run", total_env_steps=900)
    folder = RunFolder.open(tmp_path / "run")
    with pytest.raises(RunFolderError, match=r"from env step 600, because jax .*after 744 can be"):
        cost_of(folder, 600)
    assert cost_of(folder, 800).first_tick == 800


def test_the_notes_own_numbers_come_out():
    record = example()
    assert record.targets[0] == pytest.approx(4.953)
    assert record.loss == pytest.approx(3.43, abs=0.005)
    assert record.chosen_q_after[0] > record.chosen_q[0]


def test_without_a_run_the_worked_example_of_the_notes_is_shown(capsys):
    assert frank(["explain"]) == 0
    printed = capsys.readouterr().out
    assert "= 4.953" in printed
    assert "3.43" in printed
    assert "Fire" in printed or "fire main" in printed


def test_the_numbers_of_the_worked_example_agree_with_each_other():
    from frankrl.explaining import notes

    record, origin = notes.example(), notes.origin()
    chosen = notes.settings()
    # ε falls from 1 to 0.05 over 100,000 env steps.
    assert origin.epsilon == pytest.approx(1 - 0.95 * origin.env_step / 100_000)
    assert not origin.explored
    assert int(np.argmax(notes.FIRST_Q_VALUES)) == notes.FIRE_MAIN
    assert record.transition_env_steps.tolist() == [origin.env_step]
    assert record.update == chosen.updates_due(record.env_steps) == 14_000
    assert record.updates_since_refresh == 13_999 % chosen.learning.target_period_updates
    assert origin.env_step < record.env_steps


def test_the_worked_example_is_printed_with_those_numbers(capsys):
    assert frank(["explain"]) == 0
    printed = capsys.readouterr().out
    assert "ε is 0.905 after 10,000 of 100,000 env steps" in printed
    assert "the greedy action at the time (ε was 0.905)" in printed
    assert "14,000 env steps ago" in printed
    assert "last refreshed 3,999 updates before this one" in printed


def test_the_command_shows_the_numbers_of_the_record(run, capsys):
    record = reopen(run, 300).record
    assert frank(["explain", str(run.path), "--update", "300", "--transition", "5"]) == 0
    printed = capsys.readouterr().out
    assert f"Q(s, a) = {record.chosen_q[5]:.4g}" in printed
    assert f"= {record.targets[5]:.4g}" in printed
    assert frank(["explain", str(run.path), "--update", "300", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["targets"] == record.targets.tolist()
    assert len(data["origins"]) == len(record.losses)


def test_a_transition_that_does_not_exist_is_refused(run, capsys):
    assert frank(["explain", str(run.path), "--update", "300", "--transition", "64"]) == 2
    assert "--transition must be from 0 to 63, got 64" in capsys.readouterr().err


@pytest.mark.parametrize("flag", [["--json"], ["--update", "3"], ["--transition", "1"]])
def test_what_only_a_run_has_is_refused_without_one(flag, capsys):
    assert frank(["explain", *flag]) == 2
    assert "need a run: name its folder first" in capsys.readouterr().err


def test_a_soft_refresh_and_the_optimiser_are_shown(tmp_path, capsys):
    chosen = SETTINGS | {"tau": 0.05, "target_period_updates": 10, "total_env_steps": 100}
    frankrl.train("CartPole-v1", out=tmp_path / "run", **chosen)
    assert frank(["explain", str(tmp_path / "run"), "--update", "10"]) == 0
    printed = capsys.readouterr().out
    assert "after this update, a soft refresh: θ⁻ ← θ⁻ + 0.05 (θ − θ⁻)" in printed
    assert "Adam, learning rate" in printed
    record = frankrl.explain(tmp_path / "run", update=11)
    assert record.updates_since_refresh == 0
    assert record.distance_to_target["all"] > 0


@pytest.mark.parametrize("place", [".", "/"])
def test_a_page_that_has_no_name_is_refused_in_one_line(place, capsys):
    assert frank(["explain", "--html", place]) == 2
    assert "is a folder" in capsys.readouterr().err


def test_an_update_is_computed_where_whoever_wrote_its_checkpoint_computed(
    run, tmp_path, monkeypatch
):
    folder = tmp_path / "moved"
    shutil.copytree(run.path, folder)
    text = (folder / "config.toml").read_text("utf-8")
    assert text.count('accelerator = "cpu"') == 1
    (folder / "config.toml").write_text(text.replace('r = "cpu"', 'r = "a GPU"'), "utf-8")
    moved, asked = RunFolder.open(folder), []
    monkeypatch.setattr(reopen_module, "start_backend", lambda *, on_cpu: asked.append(on_cpu))
    with pytest.warns(FrankWarning, match="because accelerator was 'a GPU' and is 'cpu'"):
        from_the_beginning = reopen(moved, 1)
    assert from_the_beginning.cost.first_tick == 0
    later = reopen(moved, 400)
    assert later.cost.first_tick > 0
    assert asked == [False, True]
