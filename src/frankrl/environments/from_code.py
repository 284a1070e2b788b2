"""Environments from code of the user's own: a class, a function that makes one, an `EnvSpec`, or
an environment that exists already; and the user's own wrappers around any environment."""

import copy
import weakref
from collections.abc import Iterable, Mapping
from typing import Any

import gymnasium
from gymnasium.envs.registration import EnvSpec
from gymnasium.wrappers import OrderEnforcing, TimeLimit

from frankrl.core.errors import EnvironmentUnusableError, FrankError, SettingError
from frankrl.core.named_code import GivenCode, load_code, name_of
from frankrl.core.numerics import users_numerics
from frankrl.core.text import given
from frankrl.environments.functional_kinds import functional_kind

_TIME_LIMIT = "max_episode_steps"
"""The keyword argument that `gymnasium.make` takes for itself."""


def named_env(env: Any) -> tuple[str, dict[str, Any]]:
    """The name by which a run keeps its environment, and the keyword arguments that come with it.

    Args:
        env: a name, an `EnvSpec`, a class, a function that makes an environment, or one itself.

    Raises:
        SettingError: it is nothing of that.
    """
    if isinstance(env, EnvSpec):
        registered = gymnasium.registry.get(env.id)
        if registered is not None and _with_kwargs_of(env, registered) == registered:
            return env.id, dict(env.kwargs)
    elif isinstance(env, gymnasium.vector.VectorEnv):
        raise SettingError(
            f"env must be one environment, got the vector {given(env)}: give what makes one of "
            "them, and num_envs"
        )
    elif not (isinstance(env, str | gymnasium.Env) or callable(env) or functional_kind(env)):
        raise SettingError(
            "env must be the name of an environment, such as 'CartPole-v1', an EnvSpec, a class, a "
            f"function that makes an environment, or an environment, got {given(env)}"
        )
    return name_of(env), {}


def given_again(env: Any) -> tuple[str, Any]:
    """The name of an environment that a user names or gives once more for a run, and what was
    given; both are empty if it is None.

    Raises:
        SettingError: it is no environment.
    """
    if env is None or isinstance(env, str):
        return env or "", env or ""
    name, _ = named_env(env)
    return name, name if isinstance(env, EnvSpec) else env


def _with_kwargs_of(spec: EnvSpec, other: EnvSpec) -> EnvSpec:
    """The same spec with another one's keyword arguments."""
    alike = copy.copy(spec)
    alike.kwargs = other.kwargs
    return alike


def exists_already(env_id: str) -> bool:
    """Whether a name carries an environment itself, of which there is only this one."""
    return isinstance(env_id, GivenCode) and isinstance(env_id.given, gymnasium.Env)


def objects_among(env_id: str, wrappers: Iterable[str]) -> list[str]:
    """The names that carry an object, which no other process can make."""
    return [name for name in (env_id, *wrappers) if isinstance(name, GivenCode)]


def made_from(
    code: Any, env_id: str, env_kwargs: Mapping[str, Any], render_mode: str | None
) -> gymnasium.Env:
    """An environment from an object, with what `gymnasium.make` puts around one.

    Args:
        code: an `EnvSpec`, a class or function to be called, or an environment.
        env_id: its name.
        env_kwargs: keyword arguments; `max_episode_steps` is a time limit, as for
            `gymnasium.make`.
        render_mode: only for films.

    Raises:
        EnvironmentUnusableError: an environment that exists already cannot be had this way.
    """
    if isinstance(code, gymnasium.Env):
        return _ordered(_Lent(code, env_id, env_kwargs, render_mode))
    # An environment need not take `render_mode`, so it is passed only when needed.
    rendering = {} if render_mode is None else {"render_mode": render_mode}
    if isinstance(code, EnvSpec):
        return gymnasium.make(code, disable_env_checker=True, **rendering, **env_kwargs)
    if functional_kind(code):
        from frankrl.environments.functional.making import made_from_code

        return made_from_code(code, env_id, env_kwargs, render_mode)
    kwargs = {**rendering, **env_kwargs}
    limit = kwargs.pop(_TIME_LIMIT, None)
    env = code(**kwargs)
    if functional_kind(env):
        from frankrl.environments.functional.making import face

        return face(env, env_id, code, env_kwargs, None)
    if not isinstance(env, gymnasium.Env):
        raise EnvironmentUnusableError(f"{env_id} returned {given(env)}, which is no gymnasium.Env")
    if env.spec is None:
        env.unwrapped.spec = EnvSpec(env_id, entry_point=str(env_id), kwargs=kwargs)
    env = _ordered(env)
    return env if limit is None else TimeLimit(env, limit)


def refuse_again(env: gymnasium.Env, env_id: str) -> None:
    """Refuse an environment that was returned before: several would share its state, and it may
    have been closed.

    Args:
        env: what code made, or should have made.
        env_id: its name.

    Raises:
        EnvironmentUnusableError: it was returned before.
    """
    core: Any = env.unwrapped
    try:
        weakref.ref(core)
    except TypeError:
        core = env
    if _returned.get(id(core)) is core:
        raise EnvironmentUnusableError(
            f"{env_id} returned the same environment twice: give the environment itself, or make a "
            "new one each time"
        )
    _returned[id(core)] = core


def with_wrappers(env: gymnasium.Env, wrappers: Iterable[str], env_id: str) -> gymnasium.Env:
    """The environment in the user's own wrappers, the first one innermost.

    Args:
        env: the environment; stays open if a wrapper fails.
        wrappers: their names; each takes an environment and returns one.
        env_id: the environment's name, for messages.

    Raises:
        EnvironmentUnusableError: a wrapper raised, or returned no environment.
        SettingError: a wrapper cannot be imported.
    """
    for name in wrappers:
        wrapper = load_code(name, "wrappers")
        try:
            with users_numerics():
                wrapped = wrapper(env)
        except FrankError:
            raise
        except Exception as error:
            text = " ".join(str(error).split())
            raise EnvironmentUnusableError(
                f"the wrapper {name} failed around {env_id}: {type(error).__name__}: {text}"
            ) from error
        if not isinstance(wrapped, gymnasium.Env):
            raise EnvironmentUnusableError(
                f"the wrapper {name} returned {given(wrapped)} for {env_id}; it must take an "
                "environment and return one"
            )
        env = wrapped
    return env


def _ordered(env: gymnasium.Env) -> gymnasium.Env:
    """The environment, which must be reset before it is stepped."""
    part = env
    while isinstance(part, gymnasium.Wrapper):
        if isinstance(part, OrderEnforcing):
            return env
        part = part.env
    return OrderEnforcing(env)


class _Lent(gymnasium.Wrapper):
    """An environment of the user's own, in use by one at a time; it stays open when closed here."""

    def __init__(
        self,
        env: gymnasium.Env,
        env_id: str,
        env_kwargs: Mapping[str, Any],
        render_mode: str | None,
    ) -> None:
        if env_kwargs:
            raise EnvironmentUnusableError(
                f"env_kwargs {dict(env_kwargs)} say how an environment is made, and {env_id} "
                "exists already: give its class and env_kwargs, or leave them out"
            )
        if render_mode not in (None, env.render_mode):
            raise EnvironmentUnusableError(
                f"{env_id} cannot be filmed: it exists already, with render_mode "
                f"{env.render_mode!r}; give one that was made with render_mode={render_mode!r}"
            )
        if id(env) in _in_use:
            raise EnvironmentUnusableError(
                f"{env_id} is one environment, which exists already and is in use: give its class, "
                "or a function that makes it, to have several"
            )
        super().__init__(env)
        _in_use[id(env)] = self

    def close(self) -> None:
        _in_use.pop(id(self.env), None)


_in_use: weakref.WeakValueDictionary[int, _Lent] = weakref.WeakValueDictionary()
"""What is lent, by the identity of its environment."""

_returned: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()
"""What was made by code, without its wrappers, by identity."""
