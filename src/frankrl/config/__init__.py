"""The settings of a run: names, units, defaults, ranges, allowed combinations, presets."""

from frankrl.config.clock import Clock
from frankrl.config.groups import (
    MAX_EPISODES,
    MAX_EVALUATION_ENVS,
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
)
from frankrl.config.names import (
    check_code_names,
    code_among,
    condition_of,
    group_of,
    meaning_of,
    names_code,
    optional_setting_names,
    setting_names,
    switches,
)
from frankrl.config.settings import Settings

__all__ = [
    "MAX_EPISODES",
    "MAX_EVALUATION_ENVS",
    "AtariSettings",
    "Clock",
    "DataSettings",
    "EnvironmentSettings",
    "EvaluationSettings",
    "ExplorationSettings",
    "LearningSettings",
    "NetworkSettings",
    "PixelSettings",
    "ReplaySettings",
    "SavingSettings",
    "Settings",
    "TrainingSettings",
    "check_code_names",
    "code_among",
    "condition_of",
    "group_of",
    "meaning_of",
    "names_code",
    "optional_setting_names",
    "setting_names",
    "switches",
]
