"""How one environment is made and closed, and what is said when it cannot be made."""

import contextlib
import difflib
import importlib
import re
import sys
import threading
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import gymnasium

from frankrl.config import Settings
from frankrl.config.families import ATARI, MINATAR
from frankrl.core.absent import refuse_absent
from frankrl.core.errors import EnvironmentUnusableError, FrankError, nearest, warn
from frankrl.core.named_code import FUNCTIONAL, imported, is_object_name, load_code
from frankrl.core.numerics import users_numerics, with_users_numerics
from frankrl.environments.from_code import exists_already, made_from, refuse_again, with_wrappers
from frankrl.environments.preprocessing import Preprocessing, preprocessing_for

_CLOSING_SECONDS = 5.0
_PICTURES = "rgb_array"
_ALES_OWN = "ale_py.env:AtariEnv"
"""The environment of Atari games that ale-py registers, by Gym's old names too."""
_METHODS = ("reset", "step", "render", "close")
"""What of an environment is called."""
_MAX_TRIED = 3
"""Similar names that are tried for a hint."""


def make_environment(
    env_id: str,
    env_kwargs: Mapping[str, Any],
    render_mode: str | None = None,
    preprocessing: Preprocessing | None = None,
    wrappers: Sequence[str] = (),
) -> gymnasium.Env:
    """Make an environment whose pictures are prepared; its observations are not stacked.

    Args:
        env_id: as for `gymnasium.make`; `module:EnvId` imports the module first. Where no
            environment is registered by that name, `module:Name` is a class or function of the
            module that makes it. `functional:…` names one that is made of functions of JAX. The
            name may carry an object instead (`GivenCode`).
        env_kwargs: passed on to `gymnasium.make`, or to that class or function.
        render_mode: only for films, because rendering may change an environment.
        preprocessing: how its observations are prepared; None: by default.
        wrappers: names of the user's own wrappers, the innermost first. They are around what
            `gymnasium.make` returns, before pictures are prepared; of an Atari game, afterwards.

    Raises:
        EnvironmentUnusableError: it does not exist, cannot be made or lacks a package.
        MissingExtraError: it needs an extra of Frank's that is not installed.
    """
    refuse_absent(env_id)
    if preprocessing is None:
        preprocessing = preprocessing_for(env_id, Settings())
    reserved = sorted({"id", "render_mode", "disable_env_checker"} & set(env_kwargs))
    if reserved:
        raise EnvironmentUnusableError(
            f"env_kwargs cannot hold {', '.join(reserved)}: Frank decides that itself"
        )
    if ATARI.has(env_id):
        from frankrl.environments.atari import make_atari

        env = make_atari(env_id, env_kwargs, preprocessing, render_mode)
        is_prepared = True
    else:
        env = _made_or_refused(env_id, env_kwargs, render_mode)
        is_prepared = preprocessing.resize is None and not preprocessing.grayscale
    try:
        if wrappers:
            env = with_wrappers(env, wrappers, env_id)
            with_users_numerics(env, *_METHODS)
        if is_prepared:
            return env
        from frankrl.environments.pictures import with_prepared_pictures

        return with_prepared_pictures(env, env_id, preprocessing)
    except FrankError:
        close_environments([env])
        raise


def _made_or_refused(
    env_id: str, env_kwargs: Mapping[str, Any], render_mode: str | None
) -> gymnasium.Env:
    """An environment as `gymnasium.make` makes it, or from the object that its name carries."""
    if MINATAR.has(env_id):
        from frankrl.environments.minatar import register_minatar

        register_minatar(env_id)
    try:
        env = _made(env_id, env_kwargs, render_mode)
    except gymnasium.error.DependencyNotInstalled as error:
        raise EnvironmentUnusableError(
            f"{env_id} needs a package that is not installed: {_one_line(error)}"
        ) from error
    except FrankError:
        raise
    except gymnasium.error.Error as error:
        # Its own hint lacks the module, so that the name would be unknown again.
        reason = re.sub(r" *Did you mean:.*", "", _one_line(error)).rstrip(".")
        raise _unknown(env_id, env_kwargs, reason) from error
    except ModuleNotFoundError as error:
        raise EnvironmentUnusableError(_missing_module(env_id, error)) from error
    except Exception as error:
        if render_mode is not None:
            raise _not_filmed(env_id, env_kwargs, render_mode, error) from error
        raise EnvironmentUnusableError(
            f"{env_id} cannot be made with {dict(env_kwargs)}: {_raised(error)}"
        ) from error
    own_name = ":" in env_id or env.spec is None or env.spec.entry_point != _ALES_OWN
    if not own_name and _similar_games(env_id):
        # Whether ale-py has registered an old name depends on what this process did before.
        close_environments([env])
        raise _unknown(env_id, env_kwargs, f"Atari games are named {ATARI.prefix}…")
    if not MINATAR.has(env_id):
        return env
    from frankrl.environments.minatar import RepeatableGame

    return RepeatableGame(env)


def can_be_filmed(env: gymnasium.Env) -> bool:
    """Whether an environment says that it renders pictures."""
    return _PICTURES in (env.metadata.get("render_modes") or ())


def close_environments(envs: Iterable[gymnasium.Env]) -> None:
    """Close environments; errors are ignored, and one that hangs is abandoned."""

    def close() -> None:
        for env in envs:
            with contextlib.suppress(Exception):
                env.close()

    # A daemon thread, because an environment may hang.
    thread = threading.Thread(target=close, daemon=True)
    thread.start()
    thread.join(_CLOSING_SECONDS)
    if thread.is_alive():
        warn(f"an environment has not closed within {_CLOSING_SECONDS:g} s; it is abandoned")


def _made(
    env_id: str, env_kwargs: Mapping[str, Any], render_mode: str | None = None
) -> gymnasium.Env:
    # An environment need not take `render_mode`, so it is passed only when needed.
    rendering = {} if render_mode is None else {"render_mode": render_mode}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with users_numerics():
            if env_id.startswith(FUNCTIONAL):
                from frankrl.environments.functional.making import made_by_id

                env = made_by_id(env_id, env_kwargs, render_mode)
            elif is_object_name(env_id) or _names_code(env_id):
                env = made_from(load_code(env_id, "env"), env_id, env_kwargs, render_mode)
            else:
                try:
                    env = gymnasium.make(
                        env_id, disable_env_checker=True, **rendering, **env_kwargs
                    )
                except gymnasium.error.UnregisteredEnv:
                    code = imported(env_id)
                    if not callable(code):
                        raise
                    env = made_from(code, env_id, env_kwargs, render_mode)
            if not exists_already(env_id):
                refuse_again(env, env_id)
    with_users_numerics(env, *_METHODS)
    return env


def _names_code(env_id: str) -> bool:
    """Whether a name is that of a class or function, and not of a registered environment.

    Gymnasium would complete `module:CartPole` to the newest CartPole that is registered.
    """
    module, separator, name = env_id.partition(":")
    if not separator or not name.isidentifier() or name in gymnasium.registry:
        return False
    with contextlib.suppress(ImportError):
        importlib.import_module(module)
    return callable(imported(env_id))


def _unknown(env_id: str, env_kwargs: Mapping[str, Any], reason: str) -> EnvironmentUnusableError:
    """The error for a name that does not exist."""
    hint = (
        _game_hint(env_id, env_kwargs)
        or _atari_hint(env_id)
        or tried_hint(env_id, env_kwargs, gymnasium.registry)
        or _class_hint(env_id)
    )
    return EnvironmentUnusableError(
        f"unknown environment {env_id!r}{hint} ({reason}; third-party ones are named module:EnvId, "
        "and a class or function of your own module:Name)"
    )


def _atari_hint(env_id: str) -> str:
    """A hint for one of Gym's old names of Atari games where their package is missing."""
    from frankrl.environments.similar_games import is_old_name_without_package

    if not is_old_name_without_package(env_id):
        return ""
    return f'; Atari games are named {ATARI.prefix}…, and need: pip install "frankrl[atari]"'


def _class_hint(env_id: str) -> str:
    """A hint that names a class of the module that looks like the one that was meant."""
    module, _, name = env_id.rpartition(":")
    if not name.isidentifier():
        return ""
    classes = (
        f"{module}:{found}"
        for found, value in vars(sys.modules.get(module, object)).items()
        if isinstance(value, type) and issubclass(value, gymnasium.Env)
    )
    return nearest(env_id, classes)


def _similar_games(env_id: str) -> list[str]:
    from frankrl.environments.similar_games import similar_games

    return similar_games(env_id)


def _game_hint(env_id: str, env_kwargs: Mapping[str, Any]) -> str:
    """A hint that names a similar game which can be made, or an empty string."""
    for suggestion in _similar_games(env_id)[:_MAX_TRIED]:
        with contextlib.suppress(Exception):
            close_environments([make_environment(suggestion, env_kwargs)])
            return f"; did you mean {suggestion!r}?"
    return ""


def tried_hint(env_id: str, env_kwargs: Mapping[str, Any], known: Iterable[str]) -> str:
    """A hint that names a similar environment which can be made, or an empty string.

    Args:
        env_id: a name that does not exist.
        env_kwargs: with which a suggested environment has to be made.
        known: names of environments, without their modules.
    """
    module, colon, name = env_id.rpartition(":")
    folded = {
        other.lower(): other
        for other in known
        if gymnasium.registry[other].entry_point != _ALES_OWN
    }
    for found in difflib.get_close_matches(name.lower(), folded, n=_MAX_TRIED, cutoff=0.5):
        suggestion = f"{module}{colon}{folded[found]}"
        with contextlib.suppress(Exception):
            close_environments([_made(suggestion, env_kwargs)])
            return f"; did you mean {suggestion!r}?"
    return ""


def _not_filmed(
    env_id: str, env_kwargs: Mapping[str, Any], render_mode: str, error: Exception
) -> EnvironmentUnusableError:
    """The error for an environment that cannot be made with a render mode."""
    env = make_environment(env_id, env_kwargs)
    close_environments([env])
    refused = isinstance(error, TypeError) and "'render_mode'" in str(error)
    if refused or not can_be_filmed(env):
        return EnvironmentUnusableError(
            f"{env_id} cannot be filmed: it does not take render_mode={render_mode!r}"
        )
    return EnvironmentUnusableError(
        f"{env_id} cannot be filmed: with render_mode={render_mode!r} it raised {_raised(error)}"
    )


def _missing_module(env_id: str, error: ModuleNotFoundError) -> str:
    module = env_id.rpartition(":")[0]
    missing = error.name or getattr(error.__cause__ or error.__context__, "name", None)
    if module and missing in (None, module):
        return (
            f"environment {env_id!r}: there is no module {module!r} to import; "
            "install it, or run from the folder that holds it with PYTHONPATH=."
        )
    return f"{env_id} needs the Python module {missing!r}, which is not installed"


def _raised(error: Exception) -> str:
    return f"{type(error).__name__}: {_one_line(error)}"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
