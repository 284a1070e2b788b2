"""Makes functional environments: by a `functional:` id, or from code of the user's own."""

import collections
import dataclasses
import importlib
import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import gymnasium
from gymnasium.envs.registration import EnvSpec
from gymnasium.wrappers import OrderEnforcing, TimeLimit

from frankrl.core.errors import EnvironmentUnusableError, FrankError, nearest
from frankrl.core.named_code import FUNCTIONAL, load_code, module_of
from frankrl.core.numerics import in_own_jax
from frankrl.core.text import given as in_words
from frankrl.environments.functional.adapted import Adapted
from frankrl.environments.functional.checks import check, program_of
from frankrl.environments.functional.env import FunctionalEnv
from frankrl.environments.functional.ids import MADE_HERE
from frankrl.environments.functional.libraries import adapted
from frankrl.environments.functional.limits import checked_limit
from frankrl.environments.functional_kinds import functional_kind

_TIME_LIMIT = "max_episode_steps"
_INSTALLED_BY = {"gymnax": '--no-deps "gymnax>=1.0"'}
"""What pip is told for a package, where that is not its name."""
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
    return face(made, env_id, code, env_kwargs, render_mode)


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
        made_by: the class or function of the user's own that made it with these arguments, or the
            object itself; of a library's, its two names.
        env_kwargs: its arguments.
        render_mode: only for films.

    Raises:
        EnvironmentUnusableError: it is none, breaks a rule of functional environments, or the time
            limit is none.
    """
    limit = None
    if _TIME_LIMIT in env_kwargs:
        limit = checked_limit(env_kwargs[_TIME_LIMIT], "env_kwargs")
    arguments = json.dumps(dict(env_kwargs), sort_keys=True, default=repr)
    is_of_library = isinstance(made_by, tuple)
    maker = made_by if is_of_library else _Same(made_by)
    functional = adapted(made, env_id, (maker, arguments))
    if functional is None:
        raise EnvironmentUnusableError(f"{env_id} is {in_words(made)}; {_WANTED}")
    if not is_of_library:
        functional = _of_what_it_computes(functional)
    elif (str(env_id), arguments) not in _known:
        program = in_own_jax(program_of, functional, env_id)
        in_own_jax(check, program, functional, made, env_id)
        _known.append((str(env_id), arguments))
    if render_mode is not None and getattr(functional, "render", None) is None:
        raise EnvironmentUnusableError(f"{env_id} cannot be filmed: it draws no pictures")
    env = FunctionalEnv(functional, render_mode)
    if hasattr(made, "symmetries"):
        env.symmetries = made.symmetries
    env.spec = EnvSpec(
        env_id,
        entry_point=f"{MADE_HERE}FunctionalEnv",
        kwargs=dict(env_kwargs),
        reward_threshold=functional.reward_threshold,
    )
    if limit is None and functional.max_episode_steps is None:
        own = getattr(made, _TIME_LIMIT, None)
        limit = None if own is None else checked_limit(own, env_id)
    ordered = OrderEnforcing(env)
    return ordered if limit is None else TimeLimit(ordered, limit)


_known: collections.deque[tuple[str, str]] = collections.deque(maxlen=256)
"""Environments of this process that were checked, by name and arguments or fingerprint.

No objects: a name may carry one, so plain text is kept of it."""


def _of_what_it_computes(functional: Adapted) -> Adapted:
    """The environment, checked; it equals only those that compute the same.

    Code of the user's own may depend on what has changed since it was compiled, such as an
    attribute of an object or a value of a module. So what is compiled belongs to what was traced.
    """
    program = in_own_jax(program_of, functional, functional.env_id)
    key = str(functional.env_id), program.fingerprint
    if key not in _known:
        in_own_jax(check, program, functional, functional.environment, functional.env_id)
        _known.append(key)
    return dataclasses.replace(functional, made_by=(functional.made_by, program.fingerprint))


class _Same:
    """An object that equals itself only, and is kept so that no other one gets its identity.

    Caches of compiled code hold it; they are bounded.
    """

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
            f"{_INSTALLED_BY.get(str(error.name), error.name)}"
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
