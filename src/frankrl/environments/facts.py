"""What an environment shows of itself, and the description that follows from it."""

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.envs.registration import EnvSpec

from frankrl.core.errors import EnvironmentUnusableError
from frankrl.core.text import given as in_words
from frankrl.core.types import ACTION_DTYPE
from frankrl.environments.leaves import leaves_of, structure_of
from frankrl.environments.masks import MaskSource, entries, source_outside, state_space
from frankrl.environments.preprocessing import Preprocessing
from frankrl.environments.single import can_be_filmed
from frankrl.environments.spec import EnvironmentSpec

MAX_ACTIONS = np.iinfo(ACTION_DTYPE).max
_TIME_LIMITS = (
    "max_episode_steps",
    "_max_episode_steps",
    "max_steps",
    "_max_steps",
    "max_num_frames_per_episode",
)
"""Names under which environments and wrappers hold the most steps of an episode."""
_STATISTICS = ("obs_rms", "return_rms")
"""Names under which wrappers such as `NormalizeReward` hold means over all that they saw."""


class EnvironmentFacts(NamedTuple):
    """What an environment shows of itself; its description follows from this."""

    observation_space: spaces.Space
    action_space: spaces.Space
    reward_threshold: float | None
    mask_outside: Callable[[], tuple[MaskSource, str]]
    """Returns where an action mask is that the observations do not hold, and its key."""
    made_by: str
    can_be_filmed: bool
    has_time_limit: bool
    running_statistics: tuple[str, ...]
    own_action_names: tuple[str, ...]


def spec_of(
    facts: EnvironmentFacts,
    env_id: str,
    env_kwargs: Mapping[str, Any],
    action_mask: str,
    preprocessing: Preprocessing,
    wrappers: Sequence[str] = (),
) -> EnvironmentSpec:
    """The description that follows from an environment's facts; arguments as of `describe`.

    Raises:
        EnvironmentUnusableError: DQN cannot act in such an environment.
    """
    actions, observations = facts.action_space, facts.observation_space
    if not isinstance(actions, spaces.Discrete):
        raise EnvironmentUnusableError(
            f"{env_id} has the action space {actions}; DQN chooses among numbered actions, "
            "so it needs a Discrete one (continuous and multi-discrete ones are not supported)"
        )
    if actions.n > MAX_ACTIONS:
        raise EnvironmentUnusableError(
            f"{env_id} has {actions.n:,} actions; at most {MAX_ACTIONS:,} are supported"
        )
    num_actions = int(actions.n)
    found = entries(observations, num_actions, env_id, action_mask)
    states = state_space(observations, found)
    leaves = leaves_of(states, env_id)
    masks_from, mask_key = ("observation", found.mask) if found else facts.mask_outside()
    return EnvironmentSpec(
        env_id=env_id,
        env_kwargs=dict(env_kwargs),
        wrappers=tuple(wrappers),
        leaves=leaves,
        num_actions=num_actions,
        first_action=int(actions.start),
        reward_threshold=facts.reward_threshold,
        observation_space=observations,
        state_space=states,
        masks_from=masks_from,
        mask_key=mask_key,
        mask_setting=action_mask,
        mask_entries=found,
        made_by=facts.made_by,
        can_be_filmed=facts.can_be_filmed,
        has_time_limit=facts.has_time_limit,
        running_statistics=facts.running_statistics,
        own_action_names=facts.own_action_names
        if len(facts.own_action_names) == num_actions
        else (),
        preprocessing=preprocessing,
        symmetries=(),
        structure=structure_of(states),
    )


def facts_of(env: gymnasium.Env, env_id: str, action_mask: str) -> EnvironmentFacts:
    """What an environment of Gymnasium's form shows of itself.

    Args:
        env: the environment.
        env_id: its name.
        action_mask: the setting of this name.

    Raises:
        EnvironmentUnusableError: it has no spaces.
    """
    for name in ("observation_space", "action_space"):
        if not isinstance(getattr(env, name, None), spaces.Space):
            raise EnvironmentUnusableError(
                f"{env_id} has no {name}: set it to one of gymnasium.spaces"
            )
    return EnvironmentFacts(
        observation_space=env.observation_space,
        action_space=env.action_space,
        reward_threshold=_reward_threshold(env, env_id),
        mask_outside=lambda: source_outside(env, env_id, action_mask),
        made_by=_made_by(env.spec),
        can_be_filmed=can_be_filmed(env),
        has_time_limit=_has_time_limit(env),
        running_statistics=_running_statistics(env),
        own_action_names=_own_action_names(env),
    )


def _reward_threshold(env: gymnasium.Env, env_id: str) -> float | None:
    """The mean return at which an environment counts as solved, if it names one.

    Raises:
        EnvironmentUnusableError: it is no number.
    """
    given = env.spec.reward_threshold if env.spec else None
    if given is None:
        return None
    with contextlib.suppress(TypeError, ValueError):
        if not isinstance(given, str | bool) and math.isfinite(threshold := float(given)):
            return threshold
    raise EnvironmentUnusableError(
        f"{env_id} has the reward_threshold {in_words(given)}: it must be a finite number, or None"
    )


def _has_time_limit(env: gymnasium.Env) -> bool:
    """Whether the environment, or a part of it, names the most steps of an episode."""
    named = dict(env.spec.kwargs) if env.spec else {}
    named["max_episode_steps"] = env.spec.max_episode_steps if env.spec else None
    for part in _parts(env):
        named |= {name: value for name, value in _own(part).items() if name in _TIME_LIMITS}
    return any(named.get(name) for name in _TIME_LIMITS)


def _running_statistics(env: gymnasium.Env) -> tuple[str, ...]:
    """Names of the wrappers that change with every observation or reward that they see."""
    return tuple(
        type(part).__name__
        for part in _parts(env)
        if any(name in _own(part) for name in _STATISTICS)
        and getattr(part, "update_running_mean", True)
    )


def _own_action_names(env: gymnasium.Env) -> tuple[str, ...]:
    """The attribute `action_names` of an environment, if it is a list of texts."""
    try:
        names = env.get_wrapper_attr("action_names")
    except AttributeError:
        return ()
    if isinstance(names, list | tuple) and all(isinstance(name, str) for name in names):
        return tuple(names)
    return ()


def _parts(env: gymnasium.Env) -> Iterator[gymnasium.Env]:
    """The wrappers of an environment from the outermost on, and the environment in them."""
    yield env
    while isinstance(env, gymnasium.Wrapper):
        env = env.env
        yield env


def _own(part: gymnasium.Env) -> dict[str, Any]:
    """The attributes of a wrapper itself, without those that it passes on."""
    return getattr(part, "__dict__", {})


def _made_by(spec: EnvSpec | None) -> str:
    if spec is None:
        return "unknown"
    maker = spec.entry_point
    if callable(maker):
        maker = f"{getattr(maker, '__module__', '')}:{getattr(maker, '__qualname__', '')}"
    return f"{maker} {spec.kwargs} {spec.max_episode_steps} {spec.additional_wrappers}"
