"""An opened update of a network with memory: every number again in a plain loop over its steps."""

import json
import re
from types import SimpleNamespace

import jax
import numpy as np
import pytest

import frankrl
from frankrl.cli.main import main as frank
from frankrl.config import Settings
from frankrl.core.errors import SettingError
from frankrl.dashboard.work import update as update_work
from frankrl.environments import describe
from frankrl.explaining import reopen
from frankrl.opening import check_transition
from frankrl.runs import RunFolder, list_checkpoints
from frankrl.training import Experiment
from frankrl.training.resuming import read_checkpoint

pytestmark = pytest.mark.slow

ENVS, N, BURN_IN, LEARNED, UNITS, ETA = 3, 2, 4, 6, 5, 0.8
SETTINGS = {
    "preset": "default",
    "memory": "gru",
    "memory_units": UNITS,
    "hidden_widths": (7,),
    "sequence_steps": BURN_IN + LEARNED,
    "burn_in_steps": BURN_IN,
    "sequence_priority_share": ETA,
    "replay_sampling": "prioritised",
    "batch_size": 6,
    "num_envs": ENVS,
    "n_step": N,
    "double": True,
    "value_rescaling": True,
    "loss": "huber",
    "huber_delta": 0.5,
    "learning_rate": 0.01,
    "learning_starts_env_steps": 60,
    "target_period_updates": 30,
    "log_every_env_steps": 90,
    "evaluate_every_env_steps": None,
    "final_evaluation_episodes": 1,
    "checkpoint_every_env_steps": 90,
    "total_env_steps": 270,
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = tmp_path_factory.mktemp("remembered") / "run"
    frankrl.train("CartPole-v1", seed=5, out=path, **SETTINGS)
    return RunFolder.open(path)


@pytest.fixture(scope="module")
def states(run):
    description = run.description
    spec = describe(description.env_id, {})
    experiment = Experiment.of(description.settings, spec, description.seed)
    return [read_checkpoint(run, experiment, at).state for at in list_checkpoints(run.checkpoints)]


@pytest.fixture(scope="module")
def networks(run, states):
    """θ and θ⁻ of the checkpoint before the last one, in double precision."""
    description = run.description
    experiment = Experiment.of(
        description.settings, describe(description.env_id, {}), description.seed
    )
    layout, learner = experiment.network.layout, states[-2].learner
    both = (learner.params, learner.target_params)
    return [layout.unflatten(np.array(vector, np.float64)) for vector in both]


@pytest.fixture(scope="module")
def opened(run, states):
    """The first update after the checkpoint before the last one."""
    return reopen(run, states[-2].updates + 1)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def remember(params, observation, memory):
    """One step of the GRU by its equations, for one observation."""
    own = params.memory
    w_r, w_z, w_n = np.split(own.input_weight, 3, axis=1)
    u_r, u_z, u_n = np.split(own.recurrent_weight, 3, axis=1)
    b_r, b_z, b_n = np.split(own.bias, 3)
    reset = sigmoid(observation @ w_r + memory @ u_r + b_r)
    update = sigmoid(observation @ w_z + memory @ u_z + b_z)
    new = np.tanh(observation @ w_n + b_n + reset * (memory @ u_n + own.recurrent_bias))
    return (1 - update) * new + update * memory


def q_values(params, memory):
    ((weight, bias),) = params.hidden
    return np.maximum(memory @ weight + bias, 0) @ params.output.weight + params.output.bias


def rescaled(x):
    return np.sign(x) * (np.sqrt(np.abs(x) + 1) - 1) + 1e-3 * x


def unscaled(y):
    """The inverse, in the form of the paper's proposition A.2."""
    root = np.sqrt(1 + 4e-3 * (np.abs(y) + 1 + 1e-3))
    return np.sign(y) * (((root - 1) / 2e-3) ** 2 - 1)


class Walked:
    """A sequence, found by walking through the steps of a replay buffer one by one."""

    def __init__(self, replay, first):
        rows = replay.num_rows
        at = [int(first)]
        while len(at) <= BURN_IN and at[0] >= ENVS and not replay.ending[(at[0] - ENVS) % rows]:
            at.insert(0, at[0] - ENVS)
        self.burn_in = len(at) - 1
        while not replay.ending[at[-1] % rows] and len(at) < self.burn_in + LEARNED + N - 1:
            at.append(at[-1] + ENVS)
        self.steps = at
        own = [step % rows for step in at]
        ending = int(replay.ending[own[-1]])
        last = (at[-1] + ENVS) % rows
        if ending:
            last = rows + (ending - 1) % replay.num_ending_rows
        self.observations = np.asarray(replay.observation)[[*own, last]].astype(np.float64)
        self.stored = np.asarray(replay.memory)[own[0]].astype(np.float64)
        self.actions, self.rewards = replay.action[own], replay.reward[own]
        self.terminated = replay.terminated[own]
        self.learned = range(self.burn_in, min(self.burn_in + LEARNED, len(at)))

    def memories(self, params, before=None):
        """After each observation; with `before`, those of the burn-in by these parameters."""
        memory, found = self.stored, []
        for number, observation in enumerate(self.observations):
            own = before if before is not None and number < self.burn_in else params
            memory = remember(own, observation, memory)
            found.append(memory)
        return np.array(found)

    def arrival(self, step):
        """Position of s′, the discounted sum of rewards, and whether s′ is terminal."""
        total = 0.0
        for k in range(N):
            total += 0.99**k * self.rewards[step + k]
            if self.terminated[step + k] or step + k + 1 == len(self.steps):
                return step + k + 1, total, bool(self.terminated[step + k])
        return step + N, total, False


@pytest.fixture(scope="module")
def walked(states, opened):
    record = opened.record
    assert states[-1].ticks < states[-1].replay.num_rows
    replay = jax.tree.map(np.asarray, states[-1].replay)
    firsts = record.transition_env_steps[record.sequences.step == 0]
    return [Walked(replay, first) for first in firsts]


@pytest.mark.as_compiled_for_users
def test_the_state_after_reopening_is_that_of_the_run_to_the_bit(states, opened):
    expected = states[-1]
    assert opened.state.ticks == expected.ticks
    for reopened, saved in zip(
        jax.tree.leaves((opened.state.learner, opened.state.replay)),
        jax.tree.leaves((expected.learner, expected.replay)),
        strict=True,
    ):
        assert np.asarray(reopened).tobytes() == np.asarray(saved).tobytes()


def test_the_rows_are_the_learned_steps_of_each_sequence_in_order(opened, walked):
    record, own = opened.record, opened.record.sequences
    expected = [
        (number, step - sequence.burn_in, sequence.steps[step], sequence.actions[step])
        for number, sequence in enumerate(walked)
        for step in sequence.learned
    ]
    rows = zip(
        own.sequence, own.step, record.transition_env_steps, record.batch.action, strict=True
    )
    assert [tuple(map(int, row)) for row in rows] == [tuple(map(int, row)) for row in expected]
    assert own.num_burn_in.tolist() == [sequence.burn_in for sequence in walked]
    # The cases that the walk must meet for the test to say something.
    assert {sequence.burn_in for sequence in walked} > {BURN_IN}
    assert {len(sequence.learned) for sequence in walked} > {LEARNED}


def test_every_number_of_the_record_agrees_with_a_plain_loop(opened, networks, walked):
    record, own, (online, target) = opened.record, opened.record.sequences, networks
    found, priorities = [], []
    for number, sequence in enumerate(walked):
        np.testing.assert_array_equal(own.stored_memory[number], sequence.stored)
        memory, target_memory = (sequence.memories(params) for params in networks)
        shown = own.is_shown[number]
        for ours, expected in ((own.memory, memory), (own.target_memory, target_memory)):
            np.testing.assert_allclose(ours[number][shown], expected, atol=1e-5)
        errors = []
        for step in sequence.learned:
            at, reward, terminated = sequence.arrival(step)
            q, next_q = q_values(online, memory[step]), q_values(target, target_memory[at])
            online_next = q_values(online, memory[at])
            best, chosen = int(np.argmax(online_next)), q[sequence.actions[step]]
            future = 0.0 if terminated else 0.99 ** (at - step) * unscaled(next_q[best])
            y = rescaled(reward + future)
            error = y - chosen
            size = abs(error)
            loss = 0.5 * size**2 if size <= 0.5 else 0.5 * (size - 0.25)
            errors.append(size)
            found.append((q, next_q, online_next, chosen, y, error, loss, terminated))
            row = len(found) - 1
            assert record.num_steps[row] == at - step
            np.testing.assert_allclose(record.batch.observation[row], sequence.observations[step])
            np.testing.assert_allclose(
                record.batch.next_observation[row], sequence.observations[at]
            )
            np.testing.assert_allclose(
                own.memory_before(row)[0],
                (memory[step - 1] if step else sequence.stored),
                atol=1e-5,
            )
        priorities.append(ETA * max(errors) + (1 - ETA) * np.mean(errors))
    columns = [np.array(column) for column in zip(*found, strict=True)]
    names = ("q_values", "target_q_values", "online_next_q_values", "chosen_q", "targets")
    for name, expected in zip((*names, "td_errors", "losses"), columns[:-1], strict=True):
        np.testing.assert_allclose(
            getattr(record, name), expected, rtol=1e-4, atol=1e-4, err_msg=name
        )
    np.testing.assert_array_equal(record.terminated, columns[-1])
    np.testing.assert_allclose(own.priorities, priorities, rtol=1e-4)
    assert record.loss == pytest.approx(np.mean(record.weights * columns[6]), rel=1e-4)
    for sequence in range(len(walked)):
        assert len(set(record.weights[own.rows_of(sequence)])) == 1


def test_the_gradient_flows_through_time_but_not_into_the_burn_in(opened, networks, walked):
    """By finite differences of the loss in the plain loop, for every parameter of the memory."""
    record, (online, _) = opened.record, networks

    def loss(params):
        chosen = [
            q_values(params, memory[step])[sequence.actions[step]]
            for sequence in walked
            for memory in [sequence.memories(params, before=online)]
            for step in sequence.learned
        ]
        size = np.abs(record.targets - np.array(chosen))
        each = np.where(size <= 0.5, 0.5 * size**2, 0.5 * (size - 0.25))
        return np.mean(record.weights * each)

    slopes = []
    moved = online._replace(memory=jax.tree.map(np.copy, online.memory))
    for array in moved.memory:
        for at in np.ndindex(array.shape):
            kept, step = array[at], 1e-5
            array[at] = kept + step
            above = loss(moved)
            array[at] = kept - step
            slopes.append((above - loss(moved)) / (2 * step))
            array[at] = kept
    assert record.gradient_norms["memory"] == pytest.approx(np.linalg.norm(slopes), rel=1e-3)


def test_the_command_shows_the_sequence_step_by_step(run, opened, capsys):
    record, own = opened.record, opened.record.sequences
    update, last = str(record.update), int(own.sequence[-1])
    rows = own.rows_of(last)
    chosen = ["--update", update, "--sequence", str(last), "--transition", "1"]
    assert frank(["explain", str(run.path), *chosen]) == 0
    printed = capsys.readouterr().out
    assert f"learned step 1 of sequence {last}" in printed
    assert f"Q(s, a) = {record.chosen_q[rows[1]]:.4g}" in printed
    assert re.search(r"y = h\(r.*\) = " + re.escape(f"{record.targets[rows[1]]:.4g}"), printed)
    assert "Q-values and y are on the scale h(x)" in printed
    table = printed.partition(f"8. Sequence {last}, step by step")[2]
    for row in rows:
        norm = np.linalg.norm(own.memory[last, own.position[row]])
        numbers = (record.chosen_q[row], record.targets[row], record.td_errors[row])
        shown = " +".join(re.escape(f"{number:.4g}") for number in numbers)
        assert re.search(rf"{own.step[row]} +{norm:.4g} .*{shown}", table)
    assert table.count("← followed") == 1


def test_the_page_and_the_json_object_hold_the_sequences(run, opened, tmp_path, capsys):
    record, own = opened.record, opened.record.sequences
    page = tmp_path / "update.html"
    assert (
        frank(["explain", str(run.path), "--update", str(record.update), "--html", str(page)]) == 0
    )
    capsys.readouterr()
    text = page.read_text("utf-8")
    assert "All sequences of the batch" in text
    for priority in own.priorities:
        assert f">{priority:.4g}</td>" in text
    assert frank(["explain", str(run.path), "--update", str(record.update), "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["sequences"]["sequence"] == own.sequence.tolist()
    assert data["sequences"]["memory"] == own.memory.tolist()
    assert data["td_errors"] == record.td_errors.tolist()
    assert len(data["origins"]) == len(record.losses)


def test_python_follows_a_step_of_a_sequence(run, opened):
    update, own = opened.record.update, opened.record.sequences
    sequence = int(own.sequence[own.step == 1][-1])
    record = frankrl.explain(
        run.path, update=update, sequence=sequence, transition=1, progress=False
    )
    assert f"learned step 1 of sequence {sequence}" in str(record.document)
    assert f"in {SETTINGS['batch_size']} sequences" in repr(record)


def test_the_dashboard_names_the_steps_that_it_follows(run, opened, tmp_path):
    record, own = opened.record, opened.record.sequences
    result = update_work.open_update(run, record.update, tmp_path, lambda done, of: None)
    assert result["names"][0] == "step 0 of sequence 0"
    assert len(result["names"]) == result["followed"] == len(record.losses)
    last = f"step {own.step[-1]} of sequence {own.sequence[-1]}"
    assert result["names"][-1] == last
    assert f"learned {last}" in (tmp_path / f"{len(record.losses) - 1}.html").read_text("utf-8")
    assert result["record"]["sequences"] is None
    json.dumps(result, allow_nan=False)


def folder_with(**changes):
    settings = Settings().with_changes(**changes)
    return SimpleNamespace(description=SimpleNamespace(settings=settings))


@pytest.mark.parametrize(
    ("changes", "transition", "sequence", "words"),
    [
        ({}, 0, 0, "sequence chooses a sequence .* with memory, and this run .* leave it out"),
        ({"memory": "gru", "batch_size": 8}, 0, 8, "sequence must be from 0 to 7, got 8"),
        ({"memory": "gru", "batch_size": 8}, 0, -1, "sequence must be from 0 to 7, got -1"),
        ({"memory": "gru", "burn_in_steps": 30}, 10, None, "transition must be from 0 to 9, got"),
    ],
)
def test_a_position_that_no_batch_has_is_refused(changes, transition, sequence, words):
    with pytest.raises(SettingError, match=words):
        check_transition(folder_with(**changes), transition, sequence)


def test_a_step_after_the_end_of_the_episode_is_refused(opened, walked):
    short = next(n for n, sequence in enumerate(walked) if len(sequence.learned) < LEARNED)
    count = len(walked[short].learned)
    with pytest.raises(SettingError, match=f"from 0 to {count - 1} in sequence {short}, whose"):
        opened.record.followed(count, short)
    assert opened.record.followed(count - 1, short) == opened.record.sequences.rows_of(short)[-1]
