"""Environments that are functions of JAX, so that a whole training is one compiled program.

Importing this package leaves JAX out: only `functional_of` needs it, where there is something.
"""

from typing import TYPE_CHECKING

import gymnasium
from gymnasium.wrappers import OrderEnforcing, PassiveEnvChecker, TimeLimit

from frankrl.environments.functional.ids import MADE_HERE, register
from frankrl.environments.functional.limits import checked_limit
from frankrl.environments.masks import OFF
from frankrl.environments.single import make_environment
from frankrl.environments.spec import EnvironmentSpec

if TYPE_CHECKING:
    from frankrl.environments.functional.protocol import FunctionalEnvironment

__all__ = ["functional_of", "is_functional", "register", "stands_in_wrappers"]
_WITHOUT_EFFECT = (TimeLimit, OrderEnforcing, PassiveEnvChecker)
"""Wrappers whose effect the functions have too, or that have none on what is shown."""


def is_functional(spec: EnvironmentSpec) -> bool:
    """Whether an environment is made of functions of JAX, and nothing of it happens on the host.

    An environment in wrappers, of the user's own or of its registration, or whose pictures are
    resized or stacked, is an ordinary one.
    """
    preparing = spec.preprocessing
    on_host = preparing.resize is not None or preparing.grayscale or preparing.frame_stack > 1
    return spec.made_by.startswith(MADE_HERE) and not stands_in_wrappers(spec) and not on_host


def stands_in_wrappers(spec: EnvironmentSpec) -> bool:
    """Whether wrappers of the user's own or of its registration are around an environment of JAX's
    functions."""
    # Its description ends with the wrappers of its registration.
    return bool(spec.wrappers) or (
        spec.made_by.startswith(MADE_HERE) and not spec.made_by.endswith(" ()")
    )


def functional_of(spec: EnvironmentSpec) -> "FunctionalEnvironment | None":
    """The functions of an environment; None for an ordinary one.

    Its observations have the dtypes and shapes of the description's leaves. Its rewards are the
    environment's own.

    Raises:
        FrankError: the environment cannot be made.
    """
    if not is_functional(spec):
        return None
    from frankrl.environments.functional.env import FunctionalEnv
    from frankrl.environments.functional.masking import MaskInObservation, WithoutMask
    from frankrl.environments.functional.protocol import TimeLimited

    env = make_environment(spec.env_id, spec.env_kwargs, preprocessing=spec.preprocessing)
    limits = []
    while isinstance(env, gymnasium.Wrapper):
        if type(env) not in _WITHOUT_EFFECT:
            return None
        if isinstance(env, TimeLimit):
            limits.append(checked_limit(env._max_episode_steps, spec.env_id))
        env = env.env
    if not isinstance(env, FunctionalEnv):
        return None
    environment = env.functional
    for limit in reversed(limits):
        environment = TimeLimited(environment, limit)
    if spec.mask_entries is not None:
        return MaskInObservation(environment, spec.mask_entries)
    return WithoutMask(environment) if spec.mask_setting == OFF else environment
