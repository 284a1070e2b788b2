"""What a functional environment must keep to, checked by tracing it twice; nothing is compiled."""

import re
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.extend.core import jaxpr_as_fun
from jaxtyping import PyTree

from frankrl.core.errors import EnvironmentUnusableError, FrankError
from frankrl.core.types import Array
from frankrl.environments.functional.protocol import FunctionalEnvironment, FunctionalStep
from frankrl.environments.leaves import leaves_of

_ADDRESS = re.compile(r"0x[0-9a-f]+")
_OURS = (str(Path(jax.__file__).parent), str(Path(__file__).parents[2]))
"""Folders whose lines are not the user's own."""
_PURE = (
    "a functional environment must give the same for the same arguments and change nothing: keep "
    "what changes in the state, and draw random numbers with the key"
)


def check(environment: FunctionalEnvironment, holder: Any, env_id: str) -> None:
    """Refuse an environment that cannot be compiled, or that would not be the same compiled.

    Args:
        environment: the environment.
        holder: the user's own object in it, which must stay as it is.
        env_id: its name.

    Raises:
        EnvironmentUnusableError: it cannot be compiled, changes its shapes, or is impure.
    """
    key = jax.eval_shape(lambda: jax.random.key(0))
    action = jax.ShapeDtypeStruct((), np.int32)
    reset, (state, observation, mask) = _traced(environment.reset, (key,), "reset", env_id)
    step, (after, shown) = _traced(environment.step, (state, action, key), "step", env_id)
    _check_state(state, after, env_id)
    _check_step(environment, observation, mask, shown, env_id)
    before = _attributes(holder)
    again, _ = _traced(environment.reset, (key,), "reset", env_id)
    _check_same(reset, again, (key,), "reset", env_id)
    again, _ = _traced(environment.step, (state, action, key), "step", env_id)
    _check_same(step, again, (state, action, key), "step", env_id)
    if changed := _changed(before, _attributes(holder)):
        raise EnvironmentUnusableError(f"{env_id} changes its own {changed} when called; {_PURE}")


def _traced(
    function: Callable[..., Any], arguments: tuple[Any, ...], what: str, env_id: str
) -> tuple[Any, Any]:
    """What a function computes, and the shapes that it returns."""
    try:
        # A new function each time: JAX remembers what it has traced.
        traced = jax.make_jaxpr(lambda *given: function(*given), return_shape=True)(*arguments)
    except FrankError:
        raise
    except jax.errors.UnexpectedTracerError as error:
        raise EnvironmentUnusableError(
            f"{env_id} keeps a number of an earlier call{_place(error)}; {_PURE}"
        ) from error
    except (jax.errors.JAXTypeError, jax.errors.JAXIndexError) as error:
        raise EnvironmentUnusableError(
            f"{env_id} cannot be compiled: its {what} needs the value of a number before it is "
            f"computed ({type(error).__name__}{_place(error)}); write it with jax.numpy, with "
            "jnp.where or jax.lax.cond for a condition"
        ) from error
    except Exception as error:
        text = " ".join(str(error).split())
        raise EnvironmentUnusableError(
            f"{env_id} cannot be compiled: its {what} raised {type(error).__name__}: {text:.300}"
            f"{_place(error)}"
        ) from error
    if any(isinstance(const, Tracer) for const in traced[0].consts):
        raise EnvironmentUnusableError(f"{env_id} keeps a number of an earlier call; {_PURE}")
    return traced


def _place(error: BaseException) -> str:
    """The last line of the user's own code in an error, in words."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not frame.filename.startswith(_OURS)]
    return f", {own[-1].filename}:{own[-1].lineno}" if own else ""


def _check_state(state: PyTree, after: PyTree, env_id: str) -> None:
    """Refuse a state whose shapes change."""
    first, then = (jax.tree_util.tree_flatten_with_path(one) for one in (state, after))
    wanted = "its dtypes and shapes must be the same in every state"
    if first[1] != then[1]:
        raise EnvironmentUnusableError(
            f"{env_id} has a state of another structure after a step than after a reset "
            f"({_structure(then[1])}, not {_structure(first[1])}): {wanted}"
        )
    for (path, one), (_, other) in zip(first[0], then[0], strict=True):
        name = f"{env_id} has a state whose part {jax.tree_util.keystr(path) or 'itself'}"
        if jnp.issubdtype(one.dtype, jax.dtypes.prng_key):
            raise EnvironmentUnusableError(
                f"{name} is a key of jax.random.key, which no file can hold: keep "
                "jax.random.key_data of it"
            )
        if (one.shape, one.dtype) != (other.shape, other.dtype):
            raise EnvironmentUnusableError(
                f"{name} is {_form(one)} after a reset and {_form(other)} after a step: {wanted}"
            )


def _check_step(
    environment: FunctionalEnvironment,
    first: PyTree,
    mask: Any,
    step: FunctionalStep,
    env_id: str,
) -> None:
    """Refuse what a step shows if it has other shapes than the spaces say."""
    leaves = leaves_of(environment.observation_space, env_id)
    for observation, after in ((first, "a reset"), (step.observation, "a step")):
        found = jax.tree.leaves(observation)
        for leaf, part in zip(leaves, found, strict=True):
            if part.shape != leaf.shape:
                name = f"the entry {leaf.name!r} of " if leaf.name else ""
                raise EnvironmentUnusableError(
                    f"{env_id} shows {name}an observation of shape {part.shape} after {after}; its "
                    f"observation_space says {leaf.shape}"
                )
    for name in ("reward", "terminated", "truncated"):
        if (shape := getattr(step, name).shape) != ():
            raise EnvironmentUnusableError(
                f"{env_id} gives a {name} of shape {shape}; wanted is one number, of shape ()"
            )
    num_actions = int(environment.action_space.n)
    for given in (mask, step.mask):
        if (mask is None) != (given is None):
            raise EnvironmentUnusableError(
                f"{env_id} gives an action mask only sometimes: it must come with every state"
            )
        if given is not None and given.shape != (num_actions,):
            raise EnvironmentUnusableError(
                f"{env_id} gives an action mask of shape {given.shape}, where one entry for each "
                f"of {num_actions:,} actions belongs"
            )


def _check_same(first: Any, again: Any, arguments: tuple[Any, ...], what: str, env_id: str) -> None:
    """Refuse a function that computes something else when it is called again."""
    texts = [_ADDRESS.sub("", str(one.jaxpr)) for one in (first, again)]
    same = texts[0] == texts[1] and _equal(first.consts, again.consts)
    if same and "callback" not in texts[0]:
        return
    given = jax.tree.leaves(jax.tree.map(_example, arguments))
    results = [jax.jit(jaxpr_as_fun(one))(*given) for one in (first, again)]
    if not _equal(*results):
        raise EnvironmentUnusableError(
            f"{env_id} is impure: its {what} differs when called again; {_PURE}"
        )


def _example(shape: Any) -> Array:
    if jnp.issubdtype(shape.dtype, jax.dtypes.prng_key):
        return jax.random.key(1)
    return np.zeros(shape.shape, shape.dtype)


def _equal(one: Any, other: Any) -> bool:
    pairs = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=False)
    return len(one) == len(other) and all(
        np.array_equal(a, b, equal_nan=np.asarray(a).dtype.kind == "f") for a, b in pairs
    )


def _attributes(holder: Any) -> dict[str, Any]:
    """The attributes of an object, with the sizes of those that can grow."""
    held = dict(vars(holder)) if hasattr(holder, "__dict__") else {}
    grows = list | dict | set
    return {
        name: (value, len(value)) if isinstance(value, grows) else (value, 0)
        for name, value in held.items()
    }


def _changed(before: dict[str, Any], after: dict[str, Any]) -> str:
    """Name of an attribute that has changed; empty if none has."""
    for name, (value, size) in after.items():
        old, old_size = before.get(name, (None, -1))
        plain = isinstance(value, int | float | str)
        if size != old_size or not (value is old or (plain and value == old)):
            return name
    return ""


def _structure(tree: Any) -> str:
    text = " ".join(str(tree).removeprefix("PyTreeDef").split())
    return text if len(text) < 80 else f"{text[:80]} …"


def _form(leaf: Any) -> str:
    return f"{np.dtype(leaf.dtype).name}{list(leaf.shape)}"
