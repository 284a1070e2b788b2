"""Every setting of a run: its name, unit, default and allowed range; which go together; presets."""

from frankrl.config.settings import (
    MAX_EPISODES,
    EnvironmentSettings,
    EvaluationSettings,
    ExplorationSettings,
    LearningSettings,
    NetworkSettings,
    ReplaySettings,
    SavingSettings,
    Settings,
    TrainingSettings,
    group_of,
    optional_setting_names,
    setting_names,
)

__all__ = [
    "MAX_EPISODES",
    "EnvironmentSettings",
    "EvaluationSettings",
    "ExplorationSettings",
    "LearningSettings",
    "NetworkSettings",
    "ReplaySettings",
    "SavingSettings",
    "Settings",
    "TrainingSettings",
    "group_of",
    "optional_setting_names",
    "setting_names",
]
