"""The flags of all settings, which several commands have."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from frankrl.config import (
    AtariSettings,
    DataSettings,
    EnvironmentSettings,
    EvaluationSettings,
    ExplorationSettings,
    LearningSettings,
    NetworkSettings,
    PixelSettings,
    ReplaySettings,
    SavingSettings,
    TrainingSettings,
    group_of,
)


@dataclass(frozen=True, kw_only=True)
class SettingFlags:
    """A flag for each setting; the base of the options of a command that takes them all."""

    data: DataSettings = field(default_factory=DataSettings)
    environment: EnvironmentSettings = field(default_factory=EnvironmentSettings)
    pixels: PixelSettings = field(default_factory=PixelSettings)
    atari: AtariSettings = field(default_factory=AtariSettings)
    network: NetworkSettings = field(default_factory=NetworkSettings)
    exploration: ExplorationSettings = field(default_factory=ExplorationSettings)
    replay: ReplaySettings = field(default_factory=ReplaySettings)
    learning: LearningSettings = field(default_factory=LearningSettings)
    training: TrainingSettings = field(default_factory=TrainingSettings)
    evaluation: EvaluationSettings = field(default_factory=EvaluationSettings)
    saving: SavingSettings = field(default_factory=SavingSettings)

    def values_of(self, names: Iterable[str]) -> dict[str, Any]:
        """The values of some settings, by their short names."""
        return {name: getattr(getattr(self, group_of(name)), name) for name in names}
