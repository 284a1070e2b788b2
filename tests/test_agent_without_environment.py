"""An agent without its environment: loaded, copied to other processes, asked there."""

import hashlib
import json
import multiprocessing
import pickle
import shutil
import subprocess
import sys

import numpy as np
import pytest

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


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("best", [False, True])
def test_an_agent_needs_no_environment(trained, kind, best):
    agent = frankrl.load(trained / kind, best=best)
    values = agent.q_values(OBSERVATIONS)
    assert values.shape == (3, 3)
    np.testing.assert_array_equal(agent.act(OBSERVATIONS), values.argmax(axis=1) + 1)
    assert agent.spec.env_id == "gone_module:Gone-v0"
    with pytest.raises(EnvironmentUnusableError, match="no module 'gone_module'"):
        frankrl.evaluate(agent, episodes=1)


@pytest.mark.parametrize("kind", KINDS)
def test_a_copy_of_an_agent_answers_as_the_agent(trained, kind):
    agent = frankrl.load(trained / kind)
    copy = pickle.loads(pickle.dumps(agent))  # noqa: S301 - its own bytes
    np.testing.assert_array_equal(copy.q_values(OBSERVATIONS), agent.q_values(OBSERVATIONS))
    np.testing.assert_array_equal(
        copy.predict(OBSERVATIONS, deterministic=False)[0],
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
