"""The description of an environment of which nothing is known but what a data set shows."""

from gymnasium import spaces

from frankrl.config import Settings
from frankrl.core.errors import SettingError
from frankrl.environments.facts import EnvironmentFacts, spec_of
from frankrl.environments.masks import MaskSource
from frankrl.environments.preprocessing import preprocessing_for
from frankrl.environments.spec import EnvironmentSpec

_MASK = "action_mask"


def described_by_data(
    env_id: str,
    observation_space: spaces.Space,
    action_space: spaces.Discrete,
    settings: Settings,
    *,
    has_masks: bool,
) -> EnvironmentSpec:
    """The description of an environment that is known by a data set alone.

    Args:
        env_id: the name that stands for it.
        observation_space: that of the data set.
        action_space: likewise.
        settings: the run's settings.
        has_masks: whether the data set says beside its observations which actions were allowed.

    Raises:
        EnvironmentUnusableError: DQN cannot learn in such an environment.
        SettingError: a setting needs an environment.
    """
    preprocessing = preprocessing_for(env_id, settings)
    made = settings.environment
    for name, given in (
        ("resize", preprocessing.resize),
        ("grayscale", preprocessing.grayscale),
        ("wrappers", made.wrappers),
        ("env_kwargs", made.env_kwargs),
    ):
        if given:
            raise SettingError(
                f"{name} changes an environment, and none is named: name it, or leave {name} out"
            )
    source: MaskSource = "info" if has_masks else "nowhere"
    facts = EnvironmentFacts(
        observation_space=observation_space,
        action_space=action_space,
        reward_threshold=None,
        mask_outside=lambda: (source, _MASK),
        made_by="a data set",
        can_be_filmed=False,
        has_time_limit=True,
        running_statistics=(),
        own_action_names=(),
    )
    return spec_of(facts, env_id, {}, made.action_mask, preprocessing)
