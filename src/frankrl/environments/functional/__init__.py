"""Environments that are functions of JAX, so that a whole training is one compiled program.

Importing this package leaves JAX out: only `functional_of` needs it, where there is something.
"""

from typing import TYPE_CHECKING

import gymnasium

from frankrl.environments.functional.ids import own_name, register
from frankrl.environments.spec import EnvironmentSpec

if TYPE_CHECKING:
    from frankrl.environments.functional.protocol import FunctionalEnvironment

__all__ = ["functional_of", "register"]


def functional_of(spec: EnvironmentSpec) -> "FunctionalEnvironment | None":
    """The functions of an environment; None for an ordinary one.

    An environment in wrappers of the user's own is an ordinary one: they work on the host.
    """
    name = own_name(spec.env_id)
    if not name or spec.wrappers:
        return None
    from frankrl.environments.functional.own import own
    from frankrl.environments.functional.protocol import TimeLimited

    registered = gymnasium.registry[spec.env_id].max_episode_steps
    kwargs = dict(spec.env_kwargs)
    limit = kwargs.pop("max_episode_steps", None) or registered
    environment = own(name, kwargs)
    return environment if limit is None else TimeLimited(environment, limit)
