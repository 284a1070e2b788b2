"""What a sweep is: everything that its trials and their results follow from."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from frankrl.config import Settings
from frankrl.config.choices import shown
from frankrl.sweeps.objectives import Objective
from frankrl.sweeps.space import Space

PRUNERS = ("none", "racing", "median", "hyperband")
_TABLES = ("settings", "space")


@dataclass(frozen=True)
class Definition:
    """A sweep, apart from its number of trials, which may grow."""

    env_id: str
    preset: str
    settings: Settings
    """Those of every trial, before its own."""
    fixed: dict[str, Any]
    """The settings that were given besides the preset, by name."""
    space: Space
    objective: Objective
    seeds: tuple[int, ...]
    """The seeds of every trial's runs. The first one is also that of the sampler."""
    sampler: str
    pruner: str
    lag: int
    """Trial n follows from the results of the trials 0 … n − lag, so as many trials can be under
    way at once."""
    versions: dict[str, str]

    @property
    def sweep_seed(self) -> int:
        """The seed of the sampler."""
        return self.seeds[0]

    @property
    def num_evaluations(self) -> int:
        """Evaluations during a whole run of the settings."""
        evaluation, total = self.settings.evaluation, self.settings.budget
        every = self.settings.evaluate_every
        if every is None:
            return 0
        first = max(1, -(-evaluation.evaluation_starts_env_steps // every))
        return max(0, total // every - first + 1)

    def to_plain(self) -> dict[str, Any]:
        """The definition as JSON data."""
        return {
            "env_id": self.env_id,
            "preset": self.preset,
            "fixed": self.fixed,
            "settings": self.settings.to_tables(),
            "space": {name: axis.to_table() for name, axis in self.space.items()},
            "objective": self.objective.name,
            "direction": self.objective.direction,
            "seeds": list(self.seeds),
            "sweep_seed": self.sweep_seed,
            "sampler": self.sampler,
            "pruner": self.pruner,
            "lag": self.lag,
            "versions": self.versions,
        }


def differences(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[str]:
    """In what two definitions differ, in words; versions do not count.

    Args:
        ours: what was given, as JSON data.
        theirs: what the folder holds.
    """
    left, right = _flat(ours), _flat(theirs)
    return [
        f"{name} {_in_words(right.get(name))} (here {_in_words(left.get(name))})"
        for name in dict.fromkeys([*left, *right])
        if left.get(name) != right.get(name)
    ]


def _flat(definition: Mapping[str, Any]) -> dict[str, Any]:
    """The entries of a definition by name, settings and searched settings each by their own."""
    plain = {
        name: value
        for name, value in definition.items()
        if name not in ("versions", "fixed", "direction", "sweep_seed", "trials", *_TABLES)
    }
    for group in definition["settings"].values():
        plain |= group
    return plain | {f"the search of {name}": axis for name, axis in definition["space"].items()}


def _in_words(value: Any) -> str:
    if isinstance(value, Mapping):
        return " ".join(f"{key} {_in_words(each)}" for key, each in value.items())
    return shown(tuple(value) if isinstance(value, list) else value)
