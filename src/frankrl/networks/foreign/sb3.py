"""The Q-network of a DQN that Stable-Baselines3 saved, as parameters of one of Frank's networks."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from frankrl.core.errors import SettingError
from frankrl.core.text import shown
from frankrl.core.types import Scaling
from frankrl.networks.foreign.torch_archive import open_archive, read_entry, read_torch_archive
from frankrl.networks.layered import LayeredNetwork
from frankrl.networks.network import QNetwork
from frankrl.networks.pictures import PictureTorso
from frankrl.networks.recurrent import RecurrentNetwork
from frankrl.networks.symmetric import SymmetricNetwork
from frankrl.networks.torsos import Flatten

_MAX_BYTES = 1 << 30
_MAX_DATA_BYTES = 1 << 24
_NETWORK = "q_net."
_CONVOLUTION = "features_extractor.cnn.{}.{}"
_LINEAR = "features_extractor.linear.0.{}"
_CONVOLUTIONS = (0, 2, 4)
_ACTIVATIONS = {"ReLU": "relu", "Tanh": "tanh", "ELU": "elu", "SiLU": "silu"}
_ACTIVATION_CLASS = re.compile(r"<class 'torch\.nn\.modules\.activation\.(\w+)'>")
_MAX_COUNT = 2**53

Arrays = Mapping[str, Float[np.ndarray, "..."]]


@dataclass(frozen=True)
class SB3Network:
    """The Q-network of a saved DQN."""

    arrays: Arrays
    """Its tensors by PyTorch's names, without those of the target network."""
    activation: str
    normalises_pictures: bool
    env_steps: int | None
    """Env steps of its training, if the file says so."""

    @property
    def num_layers(self) -> int:
        """Linear layers after the features, the last of which gives the Q-values."""
        return sum(name.startswith("q_net.") for name in self.arrays) // 2

    @property
    def has_convolutions(self) -> bool:
        """Whether it is a `CnnPolicy`."""
        return _CONVOLUTION.format(0, "weight") in self.arrays

    @property
    def settings(self) -> dict[str, Any]:
        """Frank's settings of the same network."""
        hidden = [self.arrays[f"q_net.{2 * i}.bias"] for i in range(self.num_layers - 1)]
        if self.has_convolutions:
            hidden.insert(0, self.arrays[_LINEAR.format("bias")])
        found = {
            "q_function": "network",
            "hidden_widths": tuple(len(bias) for bias in hidden),
            "dueling": False,
            "distribution": "mean",
            "noisy": False,
        }
        if hidden:
            found |= {"activation": self.activation, "layer_norm": False}
        return found | ({"torso": "nature"} if self.has_convolutions else {})

    def named_for(self, network: QNetwork) -> dict[str, Float[np.ndarray, "..."]]:
        """Its numbers by the names and in the order of a network's parameters (`named_params`).

        Raises:
            SettingError: the network reads observations in another way.
        """
        if isinstance(network, SymmetricNetwork):
            # Its parameters are those of the network that it averages.
            network = network.network
        if isinstance(network, RecurrentNetwork):
            raise SettingError(
                "its network has no memory, and that of this run has one (memory gru): set memory "
                "to none"
            )
        if not isinstance(network, LayeredNetwork):
            raise SettingError("this run has a network of its own, so there is no place for them")
        torsos = network.encoder.torsos
        if len(torsos) != 1:
            raise SettingError(
                f"its observations are one array, and those of this run have {len(torsos)} entries"
            )
        (torso,) = torsos
        layers = [_dense(self.arrays, f"q_net.{2 * i}.{{}}") for i in range(self.num_layers)]
        found: dict[str, Float[np.ndarray, "..."]] = {}
        if self.has_convolutions:
            found, linear = self._picture_layers(torso)
            layers.insert(0, linear)
        elif isinstance(torso, Flatten):
            layers[0] = _unscaled(layers[0], torso)
        names = [*(f"hidden.{index}" for index in range(len(layers) - 1)), "output"]
        for name, (weight, bias) in zip(names, layers, strict=True):
            found |= {f"{name}.weight": weight, f"{name}.bias": bias}
        return found

    def _picture_layers(self, torso: Any) -> tuple[dict[str, np.ndarray], "_Layer"]:
        """The convolutions by name, and the layer behind them."""
        if not isinstance(torso, PictureTorso):
            raise SettingError("it reads pictures, and this run has no torso nature")
        if not self.normalises_pictures or torso.scaling != Scaling(factor=(1 / 255,)):
            raise SettingError(
                "pictures must be bytes that become 0 … 1 both there (normalize_images) and here "
                "(scale_observation false)"
            )
        found = {}
        for index in _CONVOLUTIONS:
            kernel = self.arrays[_CONVOLUTION.format(index, "weight")]
            # From [output, channel, row, column] to rows numbered by row, column and channel.
            moved = kernel.transpose(2, 3, 1, 0).reshape(-1, len(kernel))
            found[f"torsos.0.{index}.weight"] = moved
            found[f"torsos.0.{index}.bias"] = self.arrays[_CONVOLUTION.format(index, "bias")]
        weight, bias = _dense(self.arrays, _LINEAR)
        height, width = (torso.output_side(side) for side in (torso.axes.height, torso.axes.width))
        channels = len(self.arrays[_CONVOLUTION.format(_CONVOLUTIONS[-1], "bias")])
        if len(weight) == channels * height * width:
            # The features come channel by channel there, and pixel by pixel here.
            parts = weight.reshape(channels, height, width, -1)
            weight = parts.transpose(1, 2, 0, 3).reshape(weight.shape)
        return found, (weight, bias)


_Layer = tuple[Float[np.ndarray, "input output"], Float[np.ndarray, " output"]]


def read_sb3(content: bytes) -> SB3Network:
    """The Q-network in a zip file that `DQN.save` of Stable-Baselines3 wrote.

    Raises:
        SettingError: it is damaged, or no DQN whose network Frank has.
    """
    archive = open_archive(content)
    policy = read_torch_archive(read_entry(archive, "policy.pth", _MAX_BYTES))
    data = _data(read_entry(archive, "data", _MAX_DATA_BYTES))
    arrays = {
        name.removeprefix(_NETWORK): array
        for name, array in policy.items()
        if name.startswith(_NETWORK)
    }
    _check_known(policy, arrays)
    has_convolutions = _CONVOLUTION.format(0, "weight") in arrays
    options = data.get("policy_kwargs")
    options = options if isinstance(options, dict) else {}
    activation = _activation(options)
    if has_convolutions:
        if "q_net.2.weight" in arrays and activation != "relu":
            raise SettingError(
                f"its layers have the activation {activation} behind convolutions with relu, "
                "Frank has one for all"
            )
        activation = "relu"
    steps = data.get("num_timesteps")
    known = type(steps) is int and 0 <= steps <= _MAX_COUNT
    return SB3Network(
        arrays, activation, _is_on(options.get("normalize_images")), steps if known else None
    )


def _is_on(option: Any) -> bool:
    """An option that is on by default; the file has it as JSON or as text."""
    return str(option) != "False"


def _check_known(policy: Arrays, arrays: Arrays) -> None:
    """Refuse everything but an MLP, or the three convolutions and an MLP.

    Raises:
        SettingError: a tensor is unknown, missing, or has another number of axes.
    """
    if not arrays:
        names = ", ".join(map(shown, list(policy)[:3]))
        raise SettingError(f"it is no DQN of Stable-Baselines3: its tensors are {names} …")
    layers = (sum(name.startswith("q_net.") for name in arrays) + 1) // 2
    axes = {f"q_net.{2 * index}.weight": 2 for index in range(max(layers, 1))}
    if any(name.startswith("features_extractor.") for name in arrays):
        axes |= {_CONVOLUTION.format(index, "weight"): 4 for index in _CONVOLUTIONS}
        axes[_LINEAR.format("weight")] = 2
    axes |= {name.removesuffix("weight") + "bias": 1 for name in axes}
    others = sorted(set(arrays) ^ set(axes))
    others += [name for name in axes if name in arrays and arrays[name].ndim != axes[name]]
    if others:
        verb = "has" if others[0] in arrays else "lacks"
        shape = f" {list(arrays[others[0]].shape)}" if others[0] in arrays else ""
        raise SettingError(
            f"its network {verb} {shown(others[0])}{shape}: only an MlpPolicy, and a CnnPolicy "
            "with the features extractor NatureCNN, have a network that Frank has, too"
        )


def _data(content: bytes) -> dict[str, Any]:
    try:
        data = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise SettingError(f"its entry data is no JSON: {shown(error)}") from None
    if not isinstance(data, dict):
        raise SettingError("its entry data is no JSON object")
    return data


def _activation(options: dict[str, Any]) -> str:
    """Frank's name of the activation function, which the file names as text."""
    given = options.get("activation_fn")
    if given is None:
        return "relu"
    found = _ACTIVATION_CLASS.fullmatch(str(given))
    name = found.group(1) if found else str(given)
    if name not in _ACTIVATIONS:
        raise SettingError(f"its activation is {shown(name)}, Frank has {', '.join(_ACTIVATIONS)}")
    return _ACTIVATIONS[name]


def _dense(arrays: Arrays, name: str) -> _Layer:
    return arrays[name.format("weight")].T, arrays[name.format("bias")]


def _unscaled(layer: _Layer, torso: Flatten) -> _Layer:
    """A layer that gives, for scaled observations, what it gave for those as they are.

    SB3 scales no observation but pictures: x·W + b = ((x - o)·f)·(W / f) + (b + o·W).
    """
    weight, bias = layer
    if torso.scaling == Scaling():
        return layer
    if len(torso.shape) == 3:
        raise SettingError("its MlpPolicy reads pictures with the axes in another order")
    if len(weight) != torso.num_features:
        return layer
    offset, factor = (
        np.resize(np.asarray(part, np.float64), torso.num_features) for part in torso.scaling
    )
    scaled = (weight / factor[:, None]).astype(np.float32)
    return scaled, (bias + offset @ weight).astype(np.float32)
