"""DQNs of Stable-Baselines3 as networks of Frank: the same Q-values, or a refusal in words."""

import importlib.util
import io
import subprocess
import sys
import zipfile

import gymnasium
import numpy as np
import pytest
import sb3_agents
from gymnasium import spaces
from long_forms import some_of
from memoryless import memoryless
from sb3_agents import AGENTS, SPACES, Shows
from torch_archives import q_network, sb3_zip, zipped

from frankrl.agent import Agent
from frankrl.config import Settings
from frankrl.core.errors import SettingError
from frankrl.environments import describe_for
from frankrl.networks.foreign import read_sb3
from frankrl.training import Experiment
from frankrl.training.initial import initial_source

OTHER = {"dueling": True, "layer_norm": True, "hidden_widths": [5], "noisy": True}
"""Settings of a network that differs in everything from those of Stable-Baselines3."""


def in_frank(path, env_id, given=None, **changes):
    """Q-values of the network that a run would begin with."""
    source = initial_source(path, best=False)
    base = Settings().with_changes(**OTHER, **changes)
    settings = source.completed(base, given or {}).resolved()
    experiment = Experiment.of(settings, describe_for(env_id, settings), 0)
    params = source.weights(experiment).params
    network = experiment.network

    @memoryless
    def q_values(observation, mask):
        return network.q_values(params, observation, mask)

    return Agent(experiment.spec, q_values, 0.0).q_values, settings


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """The folder of all agents that Stable-Baselines3 saved."""
    if importlib.util.find_spec("stable_baselines3") is None:
        pytest.skip("Stable-Baselines3 is not installed: pip install -e '.[test-sb3]'")
    folder = tmp_path_factory.mktemp("sb3")
    subprocess.run([sys.executable, "-W", "ignore", sb3_agents.__file__, folder], check=True)
    return folder


ASKED = [(name, scaled) for name in AGENTS for scaled in (False, True)]
SOME = [
    ("default", False),
    ("tanh", True),
    ("one-hot", False),
    ("bytes", True),
    ("bounded", True),
    ("stacked pictures", False),
]


@pytest.mark.parametrize(("name", "scaled"), some_of(ASKED, SOME))
def test_q_values_are_those_of_stable_baselines3(name, scaled, saved):
    env_id, path = AGENTS[name][0], saved / f"{name}.zip"
    if scaled and "pictures" in name:
        pytest.skip("refused: see test_pictures_are_taken_only_as_they_were_scaled")
    given = np.load(saved / f"{name}.npz")
    ours, _ = in_frank(path, env_id, scale_observation=scaled)
    assert np.abs(given["q_values"]).max() > 0.01
    # 1e-6 of the largest: a sum of terms that cancel has the rounding errors of its terms.
    size = max(1.0, np.abs(given["q_values"]).max())
    np.testing.assert_allclose(ours(given["states"]), given["q_values"], rtol=0, atol=1e-6 * size)
    assert read_sb3(path.read_bytes()).env_steps == sb3_agents.ENV_STEPS


def by_hand(arrays, states, activation):
    for index in (0, 2):
        weight, bias = (arrays[f"q_net.q_net.{index}.{part}"] for part in ("weight", "bias"))
        states = activation(states @ weight.T.astype(np.float64) + bias)
    return states @ arrays["q_net.q_net.4.weight"].T + arrays["q_net.q_net.4.bias"]


def test_q_values_are_those_of_the_tensors(tmp_path):
    arrays = q_network(4, 7, 6, 2)
    options = {"activation_fn": "<class 'torch.nn.modules.activation.Tanh'>", "net_arch": "[7, 6]"}
    (tmp_path / "agent.ZIP").write_bytes(sb3_zip(arrays, policy_kwargs=options))
    states = np.random.default_rng(1).normal(size=(50, 4)).astype(np.float32)
    ours, settings = in_frank(tmp_path / "agent.ZIP", "CartPole-v1")
    np.testing.assert_allclose(ours(states), by_hand(arrays, states, np.tanh), atol=1e-5)
    network = settings.network
    assert (network.hidden_widths, network.activation) == ((7, 6), "tanh")


def test_what_a_person_gave_stays(tmp_path):
    (tmp_path / "agent.zip").write_bytes(sb3_zip(q_network(4, 5, 2)))
    with pytest.raises(SettingError) as error:
        in_frank(tmp_path / "agent.zip", "CartPole-v1", {"dueling": True})
    assert "output.weight should be float32[5, 3] and is float32[5, 2]" in str(error.value)
    assert "it has dueling false (here true): give the same here" in str(error.value)


def cut(arrays, *names):
    return {name: array for name, array in arrays.items() if name not in names}


MLP = q_network(4, 5, 2)
ACTIVATION = "<class 'torch.nn.modules.activation.GELU'>"
REFUSED = {
    "ppo": (sb3_zip({"mlp_extractor.policy_net.0.weight": np.ones((2, 2))}), "no DQN.*mlp_extr"),
    "a layer lost": (sb3_zip(cut(MLP, "q_net.q_net.0.weight")), r"lacks q_net\.0\.weight"),
    "a bias lost": (sb3_zip(cut(MLP, "q_net.q_net.2.bias")), r"lacks q_net\.2\.bias"),
    "own extractor": (
        sb3_zip(MLP | {"q_net.features_extractor.mine.weight": np.ones((2, 2))}),
        "only an MlpPolicy",
    ),
    "normalised": (sb3_zip(MLP | {"q_net.q_net.1.weight": np.ones(5)}), r"has q_net\.1\.weight"),
    "axes": (sb3_zip(MLP | {"q_net.q_net.0.weight": np.ones(5)}), r"has q_net\.0\.weight \[5\]"),
    "gelu": (sb3_zip(MLP, policy_kwargs={"activation_fn": ACTIVATION}), "is GELU, Frank has ReLU"),
    "odd activation": (sb3_zip(MLP, policy_kwargs={"activation_fn": [1]}), r"is \[1\], Frank has"),
    "no data": (zipped({"policy.pth": sb3_zip(MLP)}), "no state dict in the form"),
    "no policy": (zipped({"data": b"{}"}), r"holds no policy\.pth"),
    "no zip": (b"PK\x03\x04 and more", "no readable zip file"),
    "a list": (zipped({"policy.pth": b"", "data": b"[]"}), "no readable zip file"),
    "not finite": (
        sb3_zip(MLP | {"q_net.q_net.2.bias": np.array([np.nan, 0])}),
        r"not all finite: output\.bias",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_that_frank_has_no_network_for_is_refused_by_name(name, tmp_path):
    content, message = REFUSED[name]
    (tmp_path / "agent.zip").write_bytes(content)
    with pytest.raises(SettingError, match=message) as error:
        in_frank(tmp_path / "agent.zip", "CartPole-v1")
    assert str(tmp_path / "agent.zip") in str(error.value)


@pytest.mark.parametrize("data", [b"[]", b"{", b"[" * 100_000, b"\xff"])
def test_data_that_is_no_json_object_is_refused(data):
    with zipfile.ZipFile(io.BytesIO(sb3_zip(MLP))) as archive:
        policy = archive.read("policy.pth")
    with pytest.raises(SettingError, match="its entry data is no JSON"):
        read_sb3(zipped({"policy.pth": policy, "data": data}))


def pictures(**changes):
    random, found = np.random.default_rng(0), {}
    shapes = {"cnn.0": (32, 3, 8, 8), "cnn.2": (64, 32, 4, 4), "cnn.4": (64, 64, 3, 3)}
    for name, shape in (shapes | {"linear.0": (9, 64)}).items():
        found[f"q_net.features_extractor.{name}.weight"] = random.normal(size=shape)
        found[f"q_net.features_extractor.{name}.bias"] = random.normal(size=shape[0])
    found["q_net.q_net.0.weight"], found["q_net.q_net.0.bias"] = np.ones((3, 9)), np.ones(3)
    return sb3_zip(found, **changes)


def test_pictures_are_taken_only_as_they_were_scaled(tmp_path):
    path = tmp_path / "agent.zip"
    path.write_bytes(pictures())
    _, settings = in_frank(path, "FrankColours-v0")
    network = settings.network
    assert (network.torso, network.hidden_widths, network.activation) == ("nature", (9,), "relu")
    with pytest.raises(SettingError, match="must be bytes that become 0 … 1"):
        in_frank(path, "FrankColours-v0", scale_observation=True)
    with pytest.raises(SettingError, match="torso nature is for pictures"):
        in_frank(path, "CartPole-v1")
    with pytest.raises(SettingError, match="reads pictures, and this run has no torso nature"):
        in_frank(path, "FrankColours-v0", {"torso": "flat"}, torso="flat")
    path.write_bytes(pictures(policy_kwargs={"normalize_images": False}))
    with pytest.raises(SettingError, match="must be bytes that become 0 … 1"):
        in_frank(path, "FrankColours-v0")


def test_an_mlp_for_pictures_is_refused(tmp_path):
    (tmp_path / "agent.zip").write_bytes(sb3_zip(q_network(41 * 36 * 3, 5, 3)))
    with pytest.raises(SettingError, match="with the axes in another order"):
        in_frank(tmp_path / "agent.zip", "FrankColours-v0", torso="flat")
    with pytest.raises(SettingError, match=r"torsos\.0\.0\..*should be .* and is missing"):
        in_frank(tmp_path / "agent.zip", "FrankColours-v0")


def test_observations_of_several_entries_are_refused(tmp_path):
    (tmp_path / "agent.zip").write_bytes(sb3_zip(MLP))
    space = spaces.Dict({"a": SPACES["FrankBytes-v0"], "b": SPACES["FrankNumbers-v0"]})
    gymnasium.register("FrankBoth-v0", Shows, kwargs={"space": space}, max_episode_steps=9)
    with pytest.raises(SettingError, match="those of this run have 2 entries"):
        in_frank(tmp_path / "agent.zip", "FrankBoth-v0")
