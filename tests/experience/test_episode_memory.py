"""What a source remembers of its environments' episodes, beside a plain loop over each of them."""

import contextlib

import failing_envs  # noqa: F401 - registers environments
import jax
import numpy as np
import pytest
from in_memory import source_of

from frankrl.config import Settings
from frankrl.environments import describe_for
from frankrl.experience import HostPolicy, make_policy
from frankrl.training import Experiment

NUM_ENVS, UNITS = 3, 5
MEMORY = {
    "num_envs": NUM_ENVS,
    "memory": "gru",
    "memory_units": UNITS,
    "hidden_widths": (8,),
    "epsilon_decay_env_steps": 50,
}
"""Of `Failing-v0`, whose observations tell the episode and the step in it."""


def experiment_of(env_id="Failing-v0", **changes):
    settings = Settings().with_changes(**MEMORY | changes).resolved()
    return Experiment.of(settings, describe_for(env_id, settings), 0)


def policy_of(experiment, acting="host", seed=0):
    policy = make_policy(acting, experiment.network)
    policy.load(experiment.network.layout.flatten(experiment.network.init(seed)))
    return policy


def rounds_of(experiment, source, policy, count, *, ahead=False, start=0):
    """What each of so many rounds gives."""
    found = []
    for number in range(start, start + count):
        env_steps = number * experiment.settings.round_ticks
        if ahead:
            source.look_ahead(policy, env_steps)
        found.append(jax.tree.map(np.copy, source.collect(policy, env_steps)))
    return found


def remembered(experiment, policy, rows):
    """What the network remembers before each observation of one environment, one by one."""
    stack, network = experiment.spec.preprocessing.frame_stack, experiment.network
    memory, seen, found = np.zeros((1, UNITS), np.float32), [], []
    for row in rows:
        if row[1] == 0:
            memory, seen = np.zeros((1, UNITS), np.float32), [np.zeros_like(row)] * stack
        seen = [*seen, row][-stack:]
        found.append(memory[0])
        shown = np.stack(seen)[None] if stack > 1 else row[None]
        _, memory = network.step(policy.params, shown, memory)
    return np.array(found)


@pytest.mark.parametrize("acting", ["host", "device"])
@pytest.mark.parametrize("ahead", [False, True])
@pytest.mark.parametrize(("vector_steps", "frame_stack"), [(1, 1), (4, 3)])
@pytest.mark.parametrize("how", ["none", "step", "reset"])
def test_memory_is_that_of_each_episode_by_itself_and_zero_where_one_begins(
    how, vector_steps, frame_stack, ahead, acting
):
    """Also where an environment fails, and its step is taken in the next episode instead."""
    share = 0.0 if how == "none" else 0.3
    experiment = experiment_of(
        vector_steps_per_round=vector_steps,
        frame_stack=frame_stack,
        env_kwargs={"how": "step" if how == "none" else how, "share": share},
        restart_failed_envs=99,
    )
    policy = policy_of(experiment, acting)
    with contextlib.closing(source_of(experiment)) as source:
        found = rounds_of(experiment, source, policy, 80 // vector_steps, ahead=ahead)
    assert (sum(len(each.failed) for each in found) > 5) == (how != "none")
    rows = np.stack([each.steps.observation for each in found])
    memory = np.stack([each.steps.memory for each in found])
    # The last rows of a round are the first of the next one, but for episodes that were dropped.
    for each, before, after in zip(found[1:], range(len(rows)), range(1, len(rows)), strict=False):
        same = np.isin(np.arange(NUM_ENVS), each.cut, invert=True)
        for per_row in (rows, memory):
            last = per_row[before, -NUM_ENVS:][same]
            np.testing.assert_array_equal(last, per_row[after, :NUM_ENVS][same])
    assert (rows[..., 1] == 0).sum() > 20
    for index in range(NUM_ENVS):
        of_env = rows[:, index:-NUM_ENVS:NUM_ENVS].reshape(-1, 2)
        expected = remembered(experiment, policy, of_env)
        found_memory = memory[:, index:-NUM_ENVS:NUM_ENVS].reshape(-1, UNITS)
        np.testing.assert_allclose(found_memory, expected, rtol=1e-4, atol=1e-6)
        assert not found_memory[of_env[:, 1] == 0].any()
        assert found_memory[of_env[:, 1] == 1].any(axis=1).all()


def test_actions_are_those_of_what_is_remembered():
    """With ε 0, the greedy ones of the network's own step."""
    experiment = experiment_of(
        "Failing-v0", env_kwargs={"share": 0.0}, epsilon_start=0.0, epsilon_end=0.0
    )
    policy = policy_of(experiment)
    with contextlib.closing(source_of(experiment)) as source:
        found = rounds_of(experiment, source, policy, 40)
    for collected in found:
        steps = collected.steps
        shown, memory = steps.observation[:NUM_ENVS], steps.memory[:NUM_ENVS]
        values, _ = experiment.network.q_step(policy.params, shown, None, memory)
        np.testing.assert_array_equal(steps.action, np.argmax(values, axis=1))


@pytest.mark.parametrize("ahead", [False, True])
def test_a_restored_source_goes_on_with_what_it_remembered(ahead):
    experiment = experiment_of(env_kwargs={"share": 0.0}, vector_steps_per_round=2)
    policy = policy_of(experiment)
    with contextlib.closing(source_of(experiment)) as source:
        rounds_of(experiment, source, policy, 7)
        if ahead:
            # That the next actions have been asked for does not count.
            source.look_ahead(policy, 42)
        logs, memory = source.snapshot(), source.memory().copy()
        expected = rounds_of(experiment, source, policy, 9, start=7)
    with contextlib.closing(source_of(experiment)) as other:
        rounds_of(experiment, other, policy, 3)
        different = other.restore(logs)
        assert different == []
        other.restore_memory(memory, different)
        found = rounds_of(experiment, other, policy, 9, start=7)
    jax.tree.map(np.testing.assert_array_equal, found, expected)


def test_an_environment_that_has_begun_another_episode_remembers_nothing():
    experiment = experiment_of(env_kwargs={"share": 0.0})
    policy = policy_of(experiment)
    with contextlib.closing(source_of(experiment)) as source:
        rounds_of(experiment, source, policy, 5)
        memory = source.memory()
        assert memory.any(axis=1).all()
        source.restore_memory(memory, [1])
        assert source.memory().any(axis=1).tolist() == [True, False, True]
        assert memory.any(axis=1).all()


def test_a_round_that_fails_leaves_the_memory_of_its_beginning():
    """So that the run is saved as it stood before."""
    experiment = experiment_of(env_kwargs={"share": 1.0, "at": 6}, vector_steps_per_round=4)
    policy = policy_of(experiment)
    with contextlib.closing(source_of(experiment)) as source:
        (first,) = rounds_of(experiment, source, policy, 1)
        with pytest.raises(Exception, match="the wheel came off"):
            source.collect(policy, experiment.settings.round_ticks)
        assert [len(log.actions) for log in source.snapshot()] == [4] * NUM_ENVS
        np.testing.assert_array_equal(source.memory(), first.steps.memory[-NUM_ENVS:])


def test_a_network_without_a_memory_stores_none():
    settings = Settings().with_changes(num_envs=NUM_ENVS).resolved()
    experiment = Experiment.of(settings, describe_for("CartPole-v1", settings), 0)
    with contextlib.closing(source_of(experiment)) as source:
        (found,) = rounds_of(experiment, source, HostPolicy(experiment.network), 1)
        assert found.steps.memory is None
        assert source.memory() is None
