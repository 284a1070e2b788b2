import contextlib
import dataclasses
import hashlib
import os
import signal

import frank_easy  # noqa: F401 - registers environments here, but not in a worker process
import jax
import numpy as np
import probe_envs  # noqa: F401 - registers environments
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis_profile import examples
from long_forms import some_of
from memoryless import memoryless
from toy_text import TAXI
from training import masked_mdps  # noqa: F401 - registers environments

from frankrl.config import Settings
from frankrl.core.errors import EnvironmentFailedError, EnvironmentUnusableError, FrankWarning
from frankrl.core.random import Use
from frankrl.core.types import FinalInfo
from frankrl.environments import (
    EnvGroup,
    EnvironmentSpec,
    GymnasiumVector,
    describe,
    protocol,
    try_out,
)
from frankrl.environments import env_group as env_group_module
from frankrl.environments.checked_env import CheckedEnv, EnvStep
from frankrl.environments.env_group import Worker, start_workers, worthwhile_workers
from frankrl.environments.preprocessing import preprocessing_for


@pytest.fixture(scope="module")
def workers():
    started = start_workers(2)
    assert len(started) == 2
    yield started
    for worker in started:
        worker.close()


def random_run(vector, num_steps, seed=0):
    random = np.random.default_rng(seed)
    found = []
    for _ in range(num_steps):
        likes = random.random((vector.num_envs, vector.spec.num_actions))
        allowed = vector.spec.action_mask(vector.observation)
        actions = np.argmax(likes if allowed is None else likes * allowed, axis=1)
        step, finished = vector.step(actions, 0)
        found.append((*(np.array(field) for field in step), finished))
    return found


ENVS = [
    ("LunarLander-v3", {}),
    ("CartPole-v1", {}),
    ("FrozenLake-v1", {}),
    (TAXI, {}),
    ("probe_envs:FrankSpace-v0", {"observation": "nested"}),
    ("training.masked_mdps:MaskedMDP-v0", {"where": "observation"}),
    ("training.masked_mdps:MaskedMDP-v0", {"where": "method"}),
]
GROUPS = [(*env, num_envs) for env in ENVS for num_envs in (1, 2, 5)]
SOME = [(*env, num_envs) for env, num_envs in zip(ENVS, (2, 5, 1, 2, 5, 1, 2), strict=True)]


@pytest.mark.parametrize(("env_id", "env_kwargs", "num_envs"), some_of(GROUPS, SOME))
def test_environments_in_other_processes_give_the_same_bits(workers, env_id, env_kwargs, num_envs):
    spec = describe(env_id, env_kwargs)
    with (
        contextlib.closing(GymnasiumVector(spec, num_envs, 3)) as here,
        contextlib.closing(GymnasiumVector(spec, num_envs, 3, workers)) as spread,
    ):
        assert spread.observation.dtype == spec.row_dtype
        np.testing.assert_array_equal(here.observation, spread.observation)
        for a, b in zip(random_run(here, 120), random_run(spread, 120), strict=True):
            for x, y in zip(a, b, strict=True):
                np.testing.assert_array_equal(x, y)
        for mine, theirs in zip(here.logs(), spread.logs(), strict=True):
            np.testing.assert_array_equal(mine.actions, theirs.actions)
            assert mine.digest == theirs.digest


def test_a_log_of_one_process_is_restored_over_several(workers):
    spec = describe("LunarLander-v3", {})
    with contextlib.closing(GymnasiumVector(spec, 4, 3)) as here:
        random_run(here, 90)
        logs, expected = here.logs(), here.observation.copy()
        following = random_run(here, 40, seed=1)
    logs[2] = logs[2]._replace(digest=bytes(16))
    with contextlib.closing(GymnasiumVector(spec, 4, 3, workers)) as spread:
        assert spread.restore(logs) == [2]
        np.testing.assert_array_equal(spread.observation[[0, 1, 3]], expected[[0, 1, 3]])
        again = random_run(spread, 40, seed=1)
    for a, b in zip(following, again, strict=True):
        np.testing.assert_array_equal(a[3][[0, 1, 3]], b[3][[0, 1, 3]])


def test_an_evaluation_is_the_same_however_many_processes_play_it(workers):
    from frankrl.training.evaluator import Evaluator

    spec = describe("CartPole-v1", {})

    @memoryless
    def lean(observations, action_mask):
        return np.stack([-observations[:, 2], observations[:, 2]], axis=1)

    found = []
    for some in ([], workers[:1], workers):
        with contextlib.closing(Evaluator(spec, some)) as evaluator:
            short = evaluator.evaluate(lean, 3, Use.EVALUATION_RESET, 5)
            long = evaluator.evaluate(lean, 60, Use.EVALUATION_RESET, 5)
        np.testing.assert_array_equal(short.returns, long.returns[:3])
        found.append(long)
    for other in found[1:]:
        np.testing.assert_array_equal(other.returns, found[0].returns)
        np.testing.assert_array_equal(other.lengths, found[0].lengths)


@pytest.mark.parametrize("fault", ["raise", "nan_reward", "nan_observation"])
def test_a_failure_is_the_same_wherever_the_environment_is_stepped(workers, fault):
    spec = describe("frank_easy:Faulty-v0", {"fault": fault, "at": 4})
    told = []
    for some in ([], workers):
        with contextlib.closing(GymnasiumVector(spec, 3, 0, some)) as vector:
            with pytest.raises(EnvironmentFailedError) as caught:
                random_run(vector, 10)
            told.append(str(caught.value))
    assert told[0] == told[1]
    assert "environment 0 (frank_easy:Faulty-v0), episode 0, step 4 " in told[0]


def test_after_a_failure_the_next_answer_belongs_to_the_next_question(workers):
    spec = describe("frank_easy:Faulty-v0", {"fault": "raise", "at": 2})
    with contextlib.closing(EnvGroup(spec, 3, workers)) as envs:
        envs.reset([0, 1, 2], [0, 0, 0], [0, 0, 0])
        envs.step([1], [0])
        with pytest.raises(EnvironmentFailedError, match=r"environment 1 .*the motor is on fire"):
            envs.step([2, 1, 0], [0, 0, 0])
        first = envs.reset([0, 1, 2], [0, 0, 0], [1, 1, 1])
        np.testing.assert_array_equal(first, np.zeros((3, 2)))
        for step in envs.step([0, 1, 2], [0, 0, 0]):
            np.testing.assert_array_equal(step[0], [0.5, 0.5])
            assert step[1:5] == (0.0, False, False, False)


def test_the_first_slots_are_stepped_without_a_message(workers, monkeypatch):
    with contextlib.closing(EnvGroup(describe("CartPole-v1", {}), 6, workers)) as envs:
        envs.reset([0, 1], [0, 0], [0, 0])
        asked = []
        monkeypatch.setattr(Worker, "send", lambda self, message: asked.append(message))
        envs.step([0, 1], [0, 0])
        assert asked == []
        monkeypatch.undo()


def test_an_environment_that_only_this_process_knows_is_stepped_here(workers):
    spec = describe("Easy-v0", {})
    with contextlib.closing(EnvGroup(spec, 3, workers)) as envs:
        states = envs.reset([0, 1, 2], [0, 0, 0], [0, 0, 0])
        np.testing.assert_array_equal(states, np.zeros((3, 2)))
        assert [step[1] for step in envs.step([0, 1, 2], [0, 1, 0])] == [1.0, 1.0, 1.0]


def test_an_environment_that_a_worker_knows_otherwise_is_stepped_here(workers):
    spec = describe("CartPole-v1", {})
    other = dataclasses.replace(spec, made_by="another CartPole")
    with contextlib.closing(EnvGroup(other, 5, workers)) as envs:
        with pytest.warns(FrankWarning, match="is another environment here"):
            envs.reset(range(5), range(5), [0] * 5)
        assert len(envs._local) == 5


def test_closing_does_not_wait_for_a_worker_that_hangs(monkeypatch):
    monkeypatch.setattr(env_group_module, "_CLOSING_SECONDS", 0.2)
    worker = Worker()
    envs = EnvGroup(describe("CartPole-v1", {}), 2, [worker])
    envs.reset([0, 1], [0, 1], [0, 0])
    os.kill(worker._process.pid, signal.SIGSTOP)
    envs.close()
    worker.close()
    assert worker._process.poll() is not None


def test_a_process_that_dies_is_told_and_closing_still_works():
    (worker,) = start_workers(1)
    envs = EnvGroup(describe("CartPole-v1", {}), 2, [worker])
    envs.reset([0, 1], [0, 0], [0, 0])
    os.kill(worker._process.pid, signal.SIGKILL)
    worker._process.wait()
    with pytest.raises(EnvironmentFailedError, match=r"environments CartPole-v1 has died"):
        envs.step([0, 1], [0, 0])
    envs.close()
    worker.close()


def test_a_worker_ends_with_its_connection():
    worker = Worker()
    process = worker._process
    worker.close()
    assert process.returncode == 0


def test_nothing_is_started_where_there_is_no_interpreter(monkeypatch):
    monkeypatch.setattr("sys.executable", "/nowhere/python")
    assert start_workers(3) == []


@pytest.mark.parametrize(
    ("seconds", "count", "available", "expected"),
    [
        (30e-6, 25, 1, 0),
        (30e-6, 64, 8, 2),  # 1,920 µs in shares of at least 500: 3 processes, this one included
        (3e-6, 25, 8, 0),
        (30e-6, 1, 8, 0),
        (1.0, 16, 8, 8),
        (1.0, 4, 8, 3),
        (30e-6, 25, 0, 0),
        (30e-6, 25, -1, 0),
    ],
)
def test_a_worker_is_started_only_where_its_share_is_worth_the_message(
    seconds, count, available, expected
):
    assert worthwhile_workers(seconds, count, available) == expected


def test_a_step_is_timed_even_of_an_environment_that_fails():
    assert try_out(describe("CartPole-v1", {})).step_seconds > 0
    spec = describe("frank_easy:Faulty-v0", {"fault": "raise", "at": 0})
    assert try_out(spec) == (0.0, True)


SPEC: EnvironmentSpec = describe("CartPole-v1", {})
floats = st.floats(width=32, allow_nan=False)
steps = st.lists(
    st.builds(
        lambda row, *rest: EnvStep(row, *rest[:-1], SPEC.row_hash(row), rest[-1]),
        st.lists(floats, min_size=4, max_size=4).map(lambda row: np.array(row, np.float32)),
        st.floats(allow_nan=False),
        st.booleans(),
        st.booleans(),
        st.booleans(),
        st.none()
        | st.builds(
            FinalInfo,
            st.dictionaries(st.text(), st.floats(allow_nan=False)),
            st.dictionaries(st.text(), st.text()),
        ),
    ),
    max_size=5,
)


@examples(100)
@given(steps)
def test_steps_come_out_of_a_message_as_they_went_in(given_steps):
    answer = protocol.encode_steps(given_steps)
    assert answer[:1] == protocol.OK
    found = protocol.decode_steps(SPEC, answer[1:], len(given_steps))
    for (state, *rest), (expected, *others) in zip(found, given_steps, strict=True):
        np.testing.assert_array_equal(state, expected)
        assert rest == others
        assert [type(value) for value in rest[:-1]] == [float, bool, bool, bool, bytes]


@examples(100)
@given(st.lists(st.tuples(*[st.integers(0, 2**32 - 1)] * 3), max_size=5))
def test_requests_come_out_of_a_message_as_they_went_in(rows):
    columns = [list(column) for column in zip(*rows, strict=True)] or [[], [], []]
    assert protocol.decode_request(protocol.encode_reset(3, *columns)) == (
        protocol.RESET,
        3,
        columns,
    )
    assert protocol.decode_request(protocol.encode_step(1, *columns[:2])) == (
        protocol.STEP,
        1,
        columns[:2],
    )


def test_a_seat_is_what_a_worker_steps():
    with contextlib.closing(CheckedEnv(SPEC)) as seat:
        first = seat.reset(7, 0)
        step = seat.step(1)
    (read,) = protocol.decode_steps(SPEC, protocol.encode_steps([step])[1:], 1)
    np.testing.assert_array_equal(read.row, step.row)
    (told,) = protocol.decode_states(SPEC, protocol.encode_states([first])[1:], 1)
    np.testing.assert_array_equal(told, first)


def test_rows_with_parts_and_masks_come_out_of_a_message_as_they_went_in():
    spec = describe("MaskedMDP-v0", {"where": "info"})
    with contextlib.closing(CheckedEnv(spec)) as env:
        rows = [env.reset(0, 0), env.step(1)[0]]
    read = protocol.decode_states(spec, protocol.encode_states(rows)[1:], 2)
    for found, row in zip(read, rows, strict=True):
        assert (found.shape, found.dtype) == ((), spec.row_dtype)
        np.testing.assert_array_equal(found, row)
        np.testing.assert_array_equal(spec.action_mask(found), spec.action_mask(row))


def test_pictures_come_out_of_a_message_with_the_hashes_that_were_made_where_they_were():
    spec = describe("ALE/Pong-v5", {}, preprocessing=preprocessing_for("ALE/Pong-v5", Settings()))
    with contextlib.closing(CheckedEnv(spec)) as env:
        env.reset(0, 0)
        given_steps = [env.step(2), env.step(3)]
    found = protocol.decode_steps(spec, protocol.encode_steps(given_steps)[1:], 2)
    for one, other in zip(found, given_steps, strict=True):
        np.testing.assert_array_equal(one.row, other.row)
        assert one[1:] == other[1:]
        assert one.row_hash == hashlib.blake2b(one.row.tobytes(), digest_size=16).digest()


@pytest.mark.parametrize("count", [3, 5])
def test_with_many_workers_the_main_process_steps_none_and_all_is_the_same(count):
    workers = start_workers(count)
    try:
        with_workers, alone = (
            GymnasiumVector(SPEC, 7, seed=3, workers=some) for some in (workers, ())
        )
        for step in range(30):
            actions = np.arange(7) * step % 2
            one, other = with_workers.step(actions, 0), alone.step(actions, 0)
            jax.tree.map(np.testing.assert_array_equal, one, other)
        assert with_workers.digests() == alone.digests()
        with_workers.close()
        alone.close()
    finally:
        for worker in workers:
            worker.close()


def test_a_dead_process_that_cannot_be_replaced_makes_its_environments_unusable(monkeypatch):
    def no_process():
        raise OSError("too many processes")

    (worker,) = env_group_module.start_workers(1)
    group = EnvGroup(describe("CartPole-v1", {}), 2, [worker])
    group.reset([0, 1], [1, 2], [0, 0])
    worker._process.kill()
    worker._process.wait()
    tried = group.try_step([0, 1], [0, 0])
    assert list(tried.failures) == [1]
    monkeypatch.setattr(env_group_module, "Worker", no_process)
    with pytest.raises(
        EnvironmentUnusableError, match="has died, and no other can be started: too"
    ):
        group.make_anew(1)
    group.close()
    worker.close()
