"""An agent without its environment: loaded, copied to other processes, asked there."""

import copy
import hashlib
import json
import multiprocessing
import pickle
import shutil
import subprocess
import sys

import numpy as np
import pytest
from long_forms import some_of

import frankrl
from frankrl.core.errors import EnvironmentUnusableError, RunFolderError
from frankrl.runs import list_checkpoints
from frankrl.runs.checkpoint import INFO, MANIFEST, manifest_of

SMALL = {"total_env_steps": 96, "learning_starts_env_steps": 1_000, "hidden_widths": [8]}
SMALL |= {"final_evaluation_episodes": 1, "evaluate_every_env_steps": 48, "preset": "default"}
"""Nothing is learned, which would take longest."""
MODULE = """
import gymnasium, numpy as np
from gymnasium import spaces

class Env(gymnasium.Env):
    observation_space = spaces.Dict(
        {"place": spaces.Discrete(5, start=2), "speed": spaces.Box(-3, 3, (2,), np.float32)}
    )
    action_space = spaces.Discrete(3, start=1)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = 0
        return self._state(), {}

    def step(self, action):
        self.steps += 1
        return self._state(), float(action == 2), False, self.steps == 10, {}

    def _state(self):
        speed = self.np_random.uniform(-3, 3, 2).astype(np.float32)
        return {"place": np.int64(2 + self.np_random.integers(5)), "speed": speed}

gymnasium.register("Gone-v0", Env)
"""
OBSERVATIONS = {
    "place": np.array([2, 6, 4]),
    "speed": np.array([[0.5, -1], [3, 0], [-2, 2]], np.float32),
}
KINDS = {
    "plain": {},
    "on the device": {"acting": "device"},
    "iqn": {"distribution": "iqn", "scale_observation": True},
    "c51": {"distribution": "c51", "dueling": True, "layer_norm": True},
    "noisy": {"noisy": True, "polyak_window_updates": 10},
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run of each kind, written by a process whose environment is gone afterwards."""
    place = tmp_path_factory.mktemp("gone")
    (place / "gone_module.py").write_text(MODULE)
    code = (
        "import frankrl, json, sys\n"
        "for name, kind in json.loads(sys.argv[1]).items():\n"
        "    frankrl.train('gone_module:Gone-v0', out=name, **kind)\n"
    )
    kinds = json.dumps({name: SMALL | kind for name, kind in KINDS.items()})
    subprocess.run([sys.executable, "-c", code, kinds], cwd=place, check=True)
    (place / "gone_module.py").unlink()
    return place


LOADED = [(best, kind) for best in (False, True) for kind in KINDS]
SOME = [(False, "on the device"), (False, "iqn"), (True, "plain"), (True, "noisy")]


@pytest.mark.parametrize(("best", "kind"), some_of(LOADED, SOME))
def test_an_agent_needs_no_environment(trained, best, kind):
    agent = frankrl.load(trained / kind, best=best)
    values = agent.q_values(OBSERVATIONS)
    assert values.shape == (3, 3)
    np.testing.assert_array_equal(agent.act(OBSERVATIONS), values.argmax(axis=1) + 1)
    assert agent.spec.env_id == "gone_module:Gone-v0"
    with pytest.raises(EnvironmentUnusableError, match="no module 'gone_module'"):
        frankrl.evaluate(agent, episodes=1)


BLOCKED = '''
import json, pathlib, pickle, sys, warnings

class Without:
    """Finds what another finder finds, but for the packages that are not to be there."""
    def __init__(self, finder):
        self.finder = finder

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"ale_py", "minatar", "cv2", "envpool", "gone_module"}:
            return None
        return self.finder.find_spec(name, path, target)

    def __getattr__(self, name):
        return getattr(self.finder, name)

sys.meta_path[:] = [Without(finder) for finder in sys.meta_path]
warnings.simplefilter("error")
import frankrl, numpy as np

for run, observations, pickled in json.loads(sys.argv[1]):
    agent = frankrl.load(run)
    found = [agent, pickle.loads(pathlib.Path(pickled).read_bytes())]
    asked = pickle.loads(pathlib.Path(observations).read_bytes())
    np.save(f"{pickled}.npy", [one.q_values(asked) for one in found])
    frankrl.export(agent, onnx=f"{pickled}.onnx")
    try:
        agent.make_env()
    except frankrl.FrankError as error:
        print(error)
'''


@pytest.fixture(scope="module")
def everywhere(trained):
    """Runs whose environments need a package each, and observations of them."""
    pictures = np.random.default_rng(0)
    screens = pictures.integers(0, 256, (2, 4, 84, 84), dtype=np.uint8)
    for env_id, name in (("ALE/Pong-v5", "screens"), ("MinAtar/Breakout-v1", "planes")):
        short = {"evaluation_max_episode_steps": 5, "evaluate_every_env_steps": 96}
        short |= {"replay_capacity": 2_000, "checkpoint_replay": "none"}
        frankrl.train(env_id, out=trained / name, **SMALL | short)
    return {
        "plain": OBSERVATIONS,
        "screens": screens,
        "planes": pictures.integers(0, 2, (2, 10, 10, 4)).astype(np.bool_),
    }


def test_an_agent_loads_unpickles_and_is_exported_where_its_environment_cannot_be_imported(
    trained, everywhere, tmp_path
):
    given = []
    for name, observations in everywhere.items():
        asked_file, pickled = tmp_path / f"{name}.observations", tmp_path / name
        asked_file.write_bytes(pickle.dumps(observations))
        pickled.write_bytes(pickle.dumps(frankrl.load(trained / name)))
        given.append([str(trained / name), str(asked_file), str(pickled)])
    code = [sys.executable, "-c", BLOCKED, json.dumps(given)]
    done = subprocess.run(code, cwd=tmp_path, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    refused = done.stdout.splitlines()
    assert len(refused) == 3
    for line, words in zip(
        refused, ("gone_module", "frankrl[atari]", "frankrl[minatar]"), strict=True
    ):
        assert words in line
    for name, observations in everywhere.items():
        expected = frankrl.load(trained / name).q_values(observations)
        for found in np.load(tmp_path / f"{name}.npy"):
            np.testing.assert_allclose(found, expected, rtol=1e-6)
        assert (tmp_path / f"{name}.onnx").exists()


@pytest.mark.parametrize("kind", KINDS)
def test_a_deep_copy_of_an_agent_shares_nothing_with_it(trained, kind):
    agent = frankrl.load(trained / kind)
    before = agent.q_values(OBSERVATIONS)
    one = copy.deepcopy(agent)
    np.testing.assert_array_equal(one.q_values(OBSERVATIONS), before)
    policy = one.trained.policy
    policy.load(np.zeros(policy.network.layout.size, np.float32))
    assert not np.array_equal(one.q_values(OBSERVATIONS), before)
    np.testing.assert_array_equal(agent.q_values(OBSERVATIONS), before)


def test_a_pickled_agent_holds_its_parameters_once(trained):
    agent = frankrl.load(trained / "plain")
    size = len(pickle.dumps(agent))
    policy = agent.trained.policy
    agent.trained = None
    assert size - len(pickle.dumps(agent)) < policy.network.layout.size * 4


@pytest.mark.parametrize("kind", KINDS)
def test_a_copy_of_an_agent_answers_as_the_agent(trained, kind):
    agent = frankrl.load(trained / kind)
    other = pickle.loads(pickle.dumps(agent))  # noqa: S301 - its own bytes
    np.testing.assert_array_equal(other.q_values(OBSERVATIONS), agent.q_values(OBSERVATIONS))
    np.testing.assert_array_equal(
        other.predict(OBSERVATIONS, deterministic=False)[0],
        agent.predict(OBSERVATIONS, deterministic=False)[0],
    )


def test_agents_work_in_a_pool_of_spawned_processes(trained):
    agents = [frankrl.load(trained / kind) for kind in KINDS]
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        found = pool.map(asked, agents)
    for agent, values in zip(agents, found, strict=True):
        np.testing.assert_array_equal(values, agent.q_values(OBSERVATIONS))


def asked(agent):
    return agent.q_values(OBSERVATIONS)


@pytest.mark.parametrize("change", [None, {}, {"observation_space": {"kind": "Box"}}])
def test_a_checkpoint_with_a_wrong_description_is_refused_in_one_sentence(
    trained, tmp_path, change
):
    shutil.copytree(trained / "plain", tmp_path / "run")
    for checkpoint in list_checkpoints(tmp_path / "run" / "checkpoints"):
        info = json.loads((checkpoint / INFO).read_text())
        content = json.dumps(info | {"environment": change}).encode()
        files = json.loads((checkpoint / MANIFEST).read_text())["files"]
        files[INFO] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        (checkpoint / INFO).write_bytes(content)
        (checkpoint / MANIFEST).write_bytes(manifest_of(files))
    with pytest.raises(RunFolderError, match="description of gone_module:Gone-v0 is not valid"):
        frankrl.load(tmp_path / "run")
