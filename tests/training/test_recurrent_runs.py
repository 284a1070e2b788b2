"""Whole runs of a network with a memory: resumed to the same bits, evaluated, filmed and shown."""

import contextlib

import numpy as np
import pytest
from long_forms import some_of
from robustness.runs import contents, killed_copy

import frankrl
from frankrl.core.errors import DamagedError, RunFolderError
from frankrl.core.random import Use, reset_seed
from frankrl.dashboard.work.episode import play
from frankrl.opening import open_network
from frankrl.runs import RunFolder, list_checkpoints, load_checkpoint
from frankrl.training.codec import memory_of
from frankrl.video.film import write_film

UNITS = 4
QUICK = {
    "preset": "default",
    "memory": "gru",
    "memory_units": UNITS,
    "sequence_steps": 8,
    "burn_in_steps": 2,
    "hidden_widths": (8,),
    "batch_size": 4,
    "num_envs": 2,
    "learning_starts_env_steps": 40,
    "target_period_updates": 20,
    "log_every_env_steps": 50,
    "evaluate_every_env_steps": 200,
    "evaluation_episodes": 2,
    "final_evaluation_episodes": 3,
    "total_env_steps": 300,
    "checkpoint_every_env_steps": 20,
    "keep_checkpoints": 99,
    "progress": False,
}


@pytest.fixture(scope="module", params=some_of([False, True], [True]), ids=["in turn", "overlap"])
def run(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("recurrent") / "run"
    return frankrl.train("CartPole-v1", out=path, **QUICK, overlap=request.param).run


def memories(run):
    """The memory in each checkpoint, by its env step."""
    return {
        int(path.name): load_checkpoint(path, {"collection": 10**6}).tensors["collection"]["memory"]
        for path in list_checkpoints(RunFolder.open(run).checkpoints)
    }


def test_a_checkpoint_holds_what_is_remembered(run):
    found = memories(run)
    assert len(found) == 15
    for memory in found.values():
        assert (memory.shape, memory.dtype) == ((2, UNITS), np.float32)
    assert sum(memory.any() for memory in found.values()) > 12
    assert len({memory.tobytes() for memory in found.values()}) > 12


@pytest.mark.parametrize("moment", [20, 60, 180, 280])
def test_a_killed_run_continues_to_the_same_bits(moment, run, tmp_path):
    killed = killed_copy(run, tmp_path / "killed", moment)
    frankrl.resume(killed, progress=False)
    assert contents(killed) == contents(run)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (lambda memory: {"memory": memory * np.nan}, DamagedError, "no run has such a memory"),
        (lambda memory: {"memory": memory + 2}, DamagedError, "no run has such a memory"),
        (lambda memory: {"memory": memory[:1]}, RunFolderError, "memory"),
        (lambda memory: {"memory": memory.astype(np.float64)}, RunFolderError, "memory"),
        (lambda memory: {}, RunFolderError, "memory"),
    ],
)
def test_a_memory_that_no_run_has_is_refused(change, error, words, run):
    opened = open_network(RunFolder.open(run))
    newest = list_checkpoints(RunFolder.open(run).checkpoints)[-1]
    loaded = load_checkpoint(newest, {"collection": 10**6})
    collection = dict(loaded.tensors["collection"])
    memory = collection.pop("memory")
    np.testing.assert_array_equal(memory_of(loaded, opened.experiment), memory)
    changed = collection | change(memory)
    with pytest.raises(error, match=words):
        memory_of(loaded._replace(tensors={"collection": changed}), opened.experiment)


def rolled_out(agent, seed, most_steps=500):
    """Greedy steps of one episode: Q-values before each, carrying the state by hand."""
    found, state = [], None
    with contextlib.closing(agent.make_env()) as env:
        observation, _ = env.reset(seed=seed)
        ended = False
        while not ended and len(found) < most_steps:
            values = agent.q_values(observation, state=state)
            action, state = agent.predict(observation, state, episode_start=not found)
            assert action == np.argmax(values)
            found.append(values)
            observation, _, terminated, truncated, _ = env.step(action)
            ended = terminated or truncated
    return np.array(found)


def test_evaluations_play_what_the_agent_predicts_step_by_step(run):
    agent = frankrl.load(run)
    lengths = [
        len(rolled_out(agent, reset_seed(5, Use.EVALUATION_RESET, 0, episode)))
        for episode in range(4)
    ]
    for envs in (1, 4):
        found = frankrl.evaluate(agent, episodes=4, seed=5, evaluation_envs=envs, progress=False)
        assert found.lengths.tolist() == lengths


def test_the_dashboards_episode_and_films_carry_the_memory(run, tmp_path):
    agent = frankrl.load(run)
    expected = rolled_out(agent, reset_seed(2, Use.FILM_RESET, 0, 0))
    shown = play(RunFolder.open(run), 2, tmp_path, lambda done, of: None)
    np.testing.assert_allclose(shown["q_values"], expected, rtol=1e-5)
    given = []

    def q_values(observation, mask=None, *, memory=None):
        given.append(memory)
        return agent.batch_q_values(observation, mask, memory=memory)

    filmed = write_film(agent.spec, q_values, tmp_path / "film.gif", episodes=2, seed=2)
    assert filmed[0].length == len(expected)
    begins = [step for step, memory in enumerate(given) if memory is None]
    assert begins == [0, filmed[0].length]
    assert len({memory.tobytes() for memory in given if memory is not None}) > len(expected) // 2
