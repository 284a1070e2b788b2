"""Makes functional environments: by a `functional:` id, or from code of the user's own."""

import importlib
import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import gymnasium
from gymnasium.envs.registration import EnvSpec
from gymnasium.wrappers import OrderEnforcing, TimeLimit

from frankrl.core.errors import EnvironmentUnusableError, FrankError, nearest
from frankrl.core.named_code import FUNCTIONAL, load_code, module_of
from frankrl.core.text import given as in_words
from frankrl.environments.functional.adapted import Adapted, adapted
from frankrl.environments.functional.checks import check
from frankrl.environments.functional.env import FunctionalEnv
from frankrl.environments.functional.ids import MADE_HERE
from frankrl.environments.functional_kinds import functional_kind

_TIME_LIMIT = "max_episode_steps"
_WANTED = (
    "a functional environment follows Gymnasium's FuncEnv, pgx, navix, gymnax or Frank's own "
    "protocol: see docs/functional.md"
)


class _Library(NamedTuple):
    """A library of functional environments."""

    make: Callable[[Any, str, dict[str, Any]], Any]
    names: Callable[[Any], Any]


def _of_pgx(pgx: Any, name: str, kwargs: dict[str, Any]) -> Any:
    # `make` takes a name only; the game's class takes its settings.
    made = pgx.make(name)
    return type(made)(**kwargs) if kwargs else made


_LIBRARIES = {
    "pgx": _Library(_of_pgx, lambda pgx: pgx.available_envs()),
    "navix": _Library(
        lambda navix, name, kwargs: navix.make(name, **kwargs), lambda navix: navix.registry()
    ),
    "gymnax": _Library(
        lambda gymnax, name, kwargs: gymnax.make(name, **kwargs)[0],
        lambda gymnax: gymnax.registered_envs,
    ),
}


def made_by_id(
    env_id: str, env_kwargs: Mapping[str, Any], render_mode: str | None
) -> gymnasium.Env:
    """The Gymnasium face of the environment that a `functional:` id names.

    Args:
        env_id: `functional:pgx/NAME`, the same with navix or gymnax, or `functional:module:Class`.
        env_kwargs: its arguments; `max_episode_steps` is a time limit around it.
        render_mode: only for films.

    Raises:
        FrankError: there is none of that name, its package is missing, or it cannot be used.
    """
    library, slash, name = env_id.removeprefix(FUNCTIONAL).partition("/")
    if slash and library in _LIBRARIES:
        kwargs = {key: value for key, value in env_kwargs.items() if key != _TIME_LIMIT}
        made = _of_library(library, name, kwargs, env_id)
        return face(made, env_id, (library, name), env_kwargs, render_mode)
    if not module_of(env_id):
        raise EnvironmentUnusableError(
            f"unknown environment {env_id!r}: after {FUNCTIONAL} stands "
            f"{', '.join(f'{known}/NAME' for known in _LIBRARIES)}, or module:Class of your own"
        )
    code = load_code(env_id, "env")
    return made_from_code(code, env_id, env_kwargs, render_mode)


def made_from_code(
    code: Any, env_id: str, env_kwargs: Mapping[str, Any], render_mode: str | None
) -> gymnasium.Env:
    """The Gymnasium face of an environment, or of what a class or function makes.

    Arguments and errors as for `made_by_id`.
    """
    kwargs = {key: value for key, value in env_kwargs.items() if key != _TIME_LIMIT}
    if not functional_kind(code) or isinstance(code, type):
        made = code(**kwargs)
    elif kwargs:
        raise EnvironmentUnusableError(
            f"env_kwargs {kwargs} say how an environment is made, and {env_id} exists already: "
            "give its class and env_kwargs, or leave them out"
        )
    else:
        made = code
    return face(made, env_id, code if isinstance(code, type) else None, env_kwargs, render_mode)


def face(
    made: Any,
    env_id: str,
    made_by: Any,
    env_kwargs: Mapping[str, Any],
    render_mode: str | None,
) -> gymnasium.Env:
    """The Gymnasium face of a functional environment, with its time limit around it.

    Args:
        made: the environment.
        env_id: its name.
        made_by: what made it with these arguments; None: this very object.
        env_kwargs: its arguments.
        render_mode: only for films.

    Raises:
        EnvironmentUnusableError: it is none, or breaks a rule of functional environments.
    """
    arguments = json.dumps(dict(env_kwargs), sort_keys=True, default=repr)
    functional = adapted(made, env_id, _Same(made) if made_by is None else (made_by, arguments))
    if functional is None:
        raise EnvironmentUnusableError(f"{env_id} is {in_words(made)}; {_WANTED}")
    _checked(functional)
    if render_mode is not None and getattr(functional, "render", None) is None:
        raise EnvironmentUnusableError(f"{env_id} cannot be filmed: it draws no pictures")
    env = FunctionalEnv(functional, render_mode)
    env.spec = EnvSpec(
        env_id,
        entry_point=f"{MADE_HERE}FunctionalEnv",
        kwargs=dict(env_kwargs),
        reward_threshold=functional.reward_threshold,
    )
    limit = env_kwargs.get(_TIME_LIMIT) or (
        getattr(made, _TIME_LIMIT, None) if functional.max_episode_steps is None else None
    )
    ordered = OrderEnforcing(env)
    return ordered if limit is None else TimeLimit(ordered, limit)


_known: set[Adapted] = set()
"""The environments of this process that were checked."""


def _checked(functional: Adapted) -> None:
    if functional not in _known:
        check(functional, functional.environment, functional.env_id)
        _known.add(functional)


class _Same:
    """An object that equals itself only, and is kept so that no other one gets its identity."""

    def __init__(self, given: Any) -> None:
        self._given = given

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other._given is self._given

    def __hash__(self) -> int:
        return id(self._given)


def _of_library(library: str, name: str, kwargs: dict[str, Any], env_id: str) -> Any:
    try:
        package = importlib.import_module(library)
    except ModuleNotFoundError as error:
        raise EnvironmentUnusableError(
            f"{env_id} needs the package {error.name}, which is not installed: pip install "
            f"{error.name}"
        ) from error
    make, names = _LIBRARIES[library]
    known = list(names(package))
    if name not in known:
        raise EnvironmentUnusableError(
            f"unknown environment {env_id!r}: {library} has none of that name{nearest(name, known)}"
        )
    try:
        return make(package, name, kwargs)
    except FrankError:
        raise
    except ModuleNotFoundError as error:
        raise EnvironmentUnusableError(
            f"{env_id} needs the package {error.name}, which is not installed: pip install "
            f"{str(error.name).replace('_', '-')}"
        ) from error
    except Exception as error:
        text = " ".join(str(error).split())
        raise EnvironmentUnusableError(
            f"{env_id} cannot be made with {kwargs}: {type(error).__name__}: {text:.300}"
        ) from error
