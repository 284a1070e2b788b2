"""Weights that a new run begins with: from a run, a file of weights, or another library's agent."""

import abc
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Shaped

from frankrl.config import Settings
from frankrl.config.choices import shown as shown_value
from frankrl.config.names import DECLARED
from frankrl.core.arrays_file import arrays_of
from frankrl.core.errors import FrankError, RunFolderError, SettingError, check_type, warn
from frankrl.core.figures import counted
from frankrl.core.normalisation import NORMALISATION
from frankrl.core.paths import given_path
from frankrl.core.text import shown
from frankrl.core.types import Params
from frankrl.core.wording import option
from frankrl.networks import named_params, params_from_names
from frankrl.runs import (
    MAX_PATH,
    Kind,
    Origin,
    RunFolder,
    initial_file,
    permission_of,
    read_initial,
    read_regular,
)
from frankrl.training.checkpoint_metadata import count_in
from frankrl.training.opened import open_network
from frankrl.training.state import Experiment

_MAX_BYTES = 1 << 30
_OF_THE_NETWORK = (
    *(name for name, declared in DECLARED.items() if declared.group == "network"),
    "noisy",
    "normalize_observations",
    "normalize_rewards",
)
"""Settings that decide which weights there are, or what they compute."""
_ONLY_BY_SHAPE = ("torso", "impala_width", "iqn_acting_fractions")
"""Those of them that change nothing as long as the weights fit."""
_CODE = ("network", "torso")
"""Settings that name code which computes with the weights."""
_BROKEN = (ValueError, KeyError, TypeError, OverflowError, RecursionError)
_MAX_COUNT = 2**53

Named = Mapping[str, Shaped[np.ndarray, "..."]]


class InitialWeights(NamedTuple):
    """The weights that a run begins with."""

    params: Params
    """As NumPy arrays."""
    origin: Origin
    content: bytes
    """The run's own file of them."""
    note: str
    """Where they come from, in words."""


class InitialSource(abc.ABC):
    """What `init_from` names."""

    kind: Kind
    agent: str | None = None
    """Which agent of a run."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    @abc.abstractmethod
    def settings(self) -> Mapping[str, Any]:
        """Values of settings with which its weights were trained; empty: unknown."""

    @abc.abstractmethod
    def named_for(self, experiment: Experiment) -> tuple[Named, int | None]:
        """The weights by name, and the env steps of their training.

        Raises:
            FrankError: they cannot be read.
        """

    def completed(self, settings: Settings, given: Mapping[str, Any]) -> Settings:
        """The settings of the run, given those that a person named and those of the preset."""
        return settings

    def weights(self, experiment: Experiment) -> InitialWeights:
        """The weights for the network of a run.

        Raises:
            FrankError: they cannot be read, or do not fit; the message says which and why.
        """
        named, env_steps = self.named_for(experiment)
        try:
            params = params_from_names(experiment.network.shapes, named)
        except SettingError as error:
            raise SettingError(
                f"the weights of {shown(self.path)} do not fit this run: {error}; "
                f"{self._advice(self._different(experiment.settings, _OF_THE_NETWORK))}"
            ) from None
        for name, array in named.items():
            if not np.isfinite(array).all():
                raise SettingError(f"the weights of {shown(self.path)} are not all finite: {name}")
        self._warn(experiment.settings)
        params = jax.tree.map(lambda array: np.array(array, np.float32, order="C"), params)
        content, sha256 = initial_file(named_params(params))
        origin = Origin(self.kind, shown(self.path, MAX_PATH), self.agent, env_steps, sha256)
        return InitialWeights(params, origin, content, _note(origin) + self._note())

    def _warn(self, settings: Settings) -> None:
        """Say which settings of their training give the outputs another meaning."""
        telling = [name for name in _OF_THE_NETWORK if name not in _ONLY_BY_SHAPE]
        if different := self._different(settings, (*telling, "value_rescaling")):
            warn(
                f"the weights of {shown(self.path)} were trained with {different}: with the "
                "settings here they give other Q-values"
            )
        ours, theirs = settings.learning.algorithm, self.settings.get("algorithm")
        if theirs == "bc" != ours:
            warn(
                f"the weights of {shown(self.path)} were trained with algorithm bc (here {ours}): "
                "their outputs are logits, which say what others did, and no Q-values"
            )

    def _note(self) -> str:
        """What else should be known of the weights, after what they are."""
        return ""

    def _different(self, settings: Settings, names: Iterable[str]) -> str:
        """Those of some settings that are others than here, with both values; empty: none."""
        ours = settings.values()
        return ", ".join(
            f"{name} {shown_value(self.settings[name])} (here {shown_value(ours[name])})"
            for name in names
            if name in self.settings and self.settings[name] != ours[name]
        )

    def _advice(self, different: str) -> str:
        if not different:
            return "its observations, its actions or its network are others"
        return f"it has {different}: give the same here"


class _Run(InitialSource):
    kind = "run"

    def __init__(
        self, path: Path, *, best: bool, allow_code: bool, given: Mapping[str, Any]
    ) -> None:
        super().__init__(path)
        self.agent = "best" if best else "newest"
        code = {name: given[name] for name in _CODE if name in given}
        folder = RunFolder.open(path, permission_of("", allow_code, code))
        theirs = folder.description.settings.values()
        again = folder.description.as_stored(code)
        # A new run may have another network, which their weights fit.
        same = {name: value for name, value in again.items() if value == theirs[name]}
        self._folder = folder.with_objects("", same)

    @property
    def settings(self) -> Mapping[str, Any]:
        return self._folder.description.settings.values()

    def named_for(self, experiment: Experiment) -> tuple[Named, int | None]:
        opened = open_network(self._folder, best=self.agent == "best")
        if opened.scales is not None and opened.scales.observation:
            raise _normalising(self.path)
        return named_params(opened.params), count_in(opened.info, "env_steps")

    def _advice(self, different: str) -> str:
        advice = super()._advice(different)
        if not different:
            return advice
        return f"{advice}, or {option('preset', str(self.path / 'config.toml'))} for all of them"


class _Safetensors(InitialSource):
    kind = "safetensors"

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        content = _content(path)
        try:
            self._named = arrays_of(content)
            size = int.from_bytes(content[:8], "little")
            facts = json.loads(content[8 : 8 + size]).get("__metadata__", {})
        except _BROKEN as error:
            raise _unreadable(path, f"it is no safetensors file: {shown(error)}") from None
        steps = facts.get("env_steps", "")
        known = steps.isascii() and steps.isdigit() and len(steps) < len(str(_MAX_COUNT))
        if any(name.startswith(f"{NORMALISATION}.") for name in self._named):
            raise _normalising(path)
        self._env_steps = int(steps) if known else None
        self._settings = _stored_settings(facts.get("settings", ""))

    @property
    def settings(self) -> Mapping[str, Any]:
        return self._settings

    def named_for(self, experiment: Experiment) -> tuple[Named, int | None]:
        return self._named, self._env_steps


class _SB3(InitialSource):
    kind = "sb3"

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        # Only here, since few runs begin with such a file.
        from frankrl.networks.foreign import read_sb3

        try:
            self._network = read_sb3(_content(path))
        except SettingError as error:
            raise _unreadable(path, str(error)) from None

    @property
    def settings(self) -> Mapping[str, Any]:
        # Statistics of `VecNormalize` are in a file of their own.
        return {**self._network.settings, "normalize_observations": False}

    def completed(self, settings: Settings, given: Mapping[str, Any]) -> Settings:
        """The network's settings are those of the file where a person has given none."""
        before = settings.values()
        own = {
            name: value
            for name, value in self._network.settings.items()
            if name not in given and value != before[name]
        }
        return settings.with_changes(**own)

    def _note(self) -> str:
        shape = [
            f"{name} {shown_value(value)}"
            for name, value in self.settings.items()
            if name in ("hidden_widths", "activation", "torso")
        ]
        return f"; its network has {', '.join(shape)}"

    def named_for(self, experiment: Experiment) -> tuple[Named, int | None]:
        try:
            named = self._network.named_for(experiment.network)
        except SettingError as error:
            raise _unreadable(self.path, str(error)) from None
        return named, self._network.env_steps


def initial_source(
    path: Any,
    *,
    best: bool,
    allow_code: bool = False,
    given: Mapping[str, Any] = MappingProxyType({}),
) -> InitialSource | None:
    """What `init_from` names; None if it is None.

    Args:
        path: a run folder, or a file that ends in `.zip` or `.safetensors`.
        best: take the agent of a run with the best evaluation, not its newest one.
        allow_code: import the network or the torso that a run names, although somebody else wrote
            it.
        given: values of settings that a person named for the new run. A run that names the same
            code may import it, and an object among them is that of the run.

    Raises:
        FrankError: there is no such thing, or it cannot be read.
    """
    check_type(allow_code, "allow_code", bool, "True or False")
    if path is None:
        if allow_code:
            raise SettingError(
                f"{option('allow_code', True)} is for the run of somebody else that "
                f"{option('init_from')} names: your own environment and settings need no permission"
            )
        if best:
            raise SettingError(
                f"{option('init_best', True)} chooses an agent of the run that "
                f"{option('init_from')} names: give {option('init_from')}, too"
            )
        return None
    # Absolute, because an environment may change the working directory.
    place = given_path(path, option("init_from")).absolute()
    kinds = {".zip": _SB3, ".safetensors": _Safetensors}
    kind = kinds.get(place.suffix.lower())
    if place.is_dir():
        return _Run(place, best=best, allow_code=allow_code, given=given)
    if kind is None or not place.exists():
        what = "is neither" if place.exists() else "does not exist"
        raise SettingError(
            f"{option('init_from')} takes a run folder, an agent that Stable-Baselines3 saved "
            f"(.zip) or weights (.safetensors), and {shown(place)} {what}"
        )
    if best:
        raise SettingError(
            f"{option('init_best', True)} chooses an agent of a run folder, and {shown(place)} is "
            "a file: leave it out"
        )
    return kind(place)


def initial_params(folder: RunFolder, experiment: Experiment) -> Params | None:
    """The weights that a run began with, from its own file; None: it drew them by its seed.

    Raises:
        RunFolderError: the file is damaged, or does not fit the settings.
    """
    origin = folder.description.origin
    if origin is None:
        return None
    network = experiment.network
    named = read_initial(folder.path, origin, 4 * network.layout.size)
    try:
        return params_from_names(network.shapes, named)
    except SettingError as error:
        raise RunFolderError(f"the initial weights of {folder.path} do not fit: {error}") from error


def _content(path: Path) -> bytes:
    """The content of a file that a person named; links are followed."""
    try:
        return read_regular(path.resolve(), _MAX_BYTES)
    except RunFolderError as error:
        raise _unreadable(path, str(error)) from None


def _normalising(path: Path) -> SettingError:
    return SettingError(
        f"the network of {shown(path)} gets observations that its run normalised "
        "(normalize_observations), and a new run begins without those statistics: take the weights "
        "of a run that does not normalise"
    )


def _unreadable(path: Path, reason: str) -> SettingError:
    return SettingError(f"{option('init_from')} cannot take {shown(path)}: {reason}")


def _stored_settings(text: Any) -> Mapping[str, Any]:
    """The settings in a file of weights; empty if there are none that this version knows."""
    try:
        return Settings.from_tables(json.loads(text)).values()
    except (FrankError, *_BROKEN, AttributeError):
        return {}


def _note(origin: Origin) -> str:
    what = f"the {origin.agent} agent of {origin.path}" if origin.agent else origin.path
    steps = "" if origin.env_steps is None else f", after {counted(origin.env_steps, 'env step')}"
    return f"initial weights: {shown(what, 1_000)}{steps}"
