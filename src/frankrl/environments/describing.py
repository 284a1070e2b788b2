"""Describes environments by making them once, those of evaluations as well."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import gymnasium

from frankrl.config import EvaluationSettings, Settings
from frankrl.core.errors import SettingError, warn
from frankrl.environments.facts import facts_of, spec_of
from frankrl.environments.known_symmetries import declared_symmetries
from frankrl.environments.masks import AUTO
from frankrl.environments.preprocessing import Preprocessing, preprocessing_for
from frankrl.environments.single import close_environments, make_environment
from frankrl.environments.spec import EnvironmentSpec
from frankrl.environments.symmetry import Symmetry, symmetries_of


def describe(
    env_id: str,
    env_kwargs: Mapping[str, Any],
    action_mask: str = AUTO,
    preprocessing: Preprocessing | None = None,
    wrappers: Sequence[str] = (),
) -> EnvironmentSpec:
    """Make an environment once, describe it and close it again.

    Args:
        env_id: its name, as for `make_environment`.
        env_kwargs: as for `make_environment`.
        action_mask: the setting of this name: where its action masks are read from.
        preprocessing: how its observations and rewards are prepared; None: by default.
        wrappers: as for `make_environment`.

    Raises:
        EnvironmentUnusableError: it cannot be made, or DQN cannot act in it.
        MissingExtraError: it needs an extra of Frank's that is not installed.
    """
    if preprocessing is None:
        preprocessing = preprocessing_for(env_id, Settings())
    env = make_environment(env_id, env_kwargs, preprocessing=preprocessing, wrappers=wrappers)
    try:
        facts = facts_of(env, env_id, action_mask)
        spec = spec_of(facts, env_id, env_kwargs, action_mask, preprocessing, wrappers)
        return replace(spec, symmetries=_declared_symmetries(env, spec))
    finally:
        close_environments([env])


def describe_for(env_id: str, settings: Settings) -> EnvironmentSpec:
    """The description of a run's environment.

    Raises:
        EnvironmentUnusableError: as for `describe`.
        SettingError: a setting of Atari games is given for another environment.
    """
    environment, preprocessing = settings.environment, preprocessing_for(env_id, settings)
    return describe(
        env_id,
        environment.env_kwargs,
        environment.action_mask,
        preprocessing,
        environment.wrappers,
    )


def described_for_evaluation(
    spec: EnvironmentSpec, settings: EvaluationSettings
) -> EnvironmentSpec:
    """The description of the environment in which a run is evaluated.

    Args:
        spec: that of its training.
        settings: may name other arguments and wrappers.

    Raises:
        EnvironmentUnusableError: it cannot be made.
        SettingError: its observations or actions are not those of the training.
    """
    wanted = for_evaluation(spec, settings)
    if (wanted.env_kwargs, wanted.wrappers) == (spec.env_kwargs, spec.wrappers):
        return spec
    found = describe(
        wanted.env_id,
        wanted.env_kwargs,
        spec.mask_setting,
        spec.preprocessing,
        wanted.wrappers,
    )
    for name in ("observation_space", "num_actions", "first_action", "mask_place"):
        ours, theirs = getattr(spec, name), getattr(found, name)
        if ours != theirs:
            raise SettingError(
                "an agent can only be evaluated with the observations and actions of its training, "
                f"and with evaluation_env_kwargs and evaluation_wrappers the {name} of "
                f"{spec.env_id} is {theirs or 'none'} instead of {ours or 'none'}: change them, or "
                "leave them out"
            )
    return found


def for_evaluation(spec: EnvironmentSpec, settings: EvaluationSettings) -> EnvironmentSpec:
    """The description of a run's environment, with the arguments and wrappers of evaluations."""
    kwargs, wrappers = settings.evaluation_env_kwargs, settings.evaluation_wrappers
    return replace(
        spec,
        env_kwargs=spec.env_kwargs if kwargs is None else kwargs,
        wrappers=spec.wrappers if wrappers is None else wrappers,
    )


def _declared_symmetries(env: gymnasium.Env, spec: EnvironmentSpec) -> tuple[Symmetry, ...]:
    """The attribute `symmetries` of an environment, or what Frank knows of it; none, with a
    warning, if it is nothing of that kind."""
    try:
        return symmetries_of(declared_symmetries(env).symmetries, spec.leaves, spec.num_actions)
    except ValueError as error:
        warn(f"the symmetries that {spec.env_id} declares are left out: {error}")
        return ()
