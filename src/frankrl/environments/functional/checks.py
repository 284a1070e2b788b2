"""What a functional environment must keep to, checked by tracing it twice.

It is compiled only where the two traces differ, or call back.
"""

import hashlib
import re
import traceback
from collections.abc import Callable, Hashable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal, jaxpr_as_fun
from jaxtyping import PyTree

from frankrl.core.errors import EnvironmentUnusableError, FrankError
from frankrl.environments.functional.protocol import (
    GENERATOR,
    FunctionalEnvironment,
    FunctionalStep,
)
from frankrl.environments.leaves import leaves_of

_ADDRESS = re.compile(r"0x[0-9a-f]+")
_OURS = (str(Path(jax.__file__).parent), str(Path(__file__).parents[2]))
"""Folders whose lines are not the user's own."""
_PURE = (
    "a functional environment must give the same for the same arguments and change nothing: keep "
    "what changes in the state, and draw random numbers with the key"
)
_NUM_EXAMPLES = 9
"""Episodes whose steps two programs are compared by."""
_STORED = "biufc"
"""Kinds of NumPy's own numbers; JAX has others, such as bfloat16."""
_DEEPEST, _MOST_ITEMS = 3, 10_000
"""How deep and how long lists in attributes are looked at."""


class _Traced(NamedTuple):
    """What a function computed when it was traced; later changes of its constants do not matter."""

    program: ClosedJaxpr
    text: str
    constants: str
    """A digest of all constants in it."""


class Program(NamedTuple):
    """What the two functions of an environment compute."""

    reset: _Traced
    step: _Traced
    shapes: tuple[Any, Any]
    """Of what the two return."""

    @property
    def fingerprint(self) -> str:
        """The same for the same computations with the same constants."""
        parts = [part for one in (self.reset, self.step) for part in (one.text, one.constants)]
        return hashlib.blake2b("\0".join(parts).encode(), digest_size=16).hexdigest()


def program_of(environment: FunctionalEnvironment, env_id: str) -> Program:
    """What an environment computes now, traced and not compiled.

    Args:
        environment: the environment.
        env_id: its name.

    Raises:
        EnvironmentUnusableError: it cannot be compiled.
    """
    key, action = _arguments()
    reset, first = _traced(environment.reset, (key,), "reset", env_id)
    step, then = _traced(environment.step, (first[0], action, key), "step", env_id)
    return Program(reset, step, (first, then))


def check(program: Program, environment: FunctionalEnvironment, holder: Any, env_id: str) -> None:
    """Refuse an environment that would not be the same compiled; it is traced once more.

    Args:
        program: what it computes.
        environment: the environment.
        holder: the user's own object in it, which must stay as it is.
        env_id: its name.

    Raises:
        EnvironmentUnusableError: it changes its shapes, or is impure.
    """
    (state, observation, mask), (after, shown) = program.shapes
    _check_state(state, after, env_id)
    _check_step(environment, observation, mask, shown, env_id)
    # Holding the values keeps another object from getting the identity of one that is gone.
    held = dict(getattr(holder, "__dict__", {}))
    before = {name: _seen(value) for name, value in held.items()}
    again = program_of(environment, env_id)
    _check_same(program, again, environment, env_id)
    for name, value in getattr(holder, "__dict__", {}).items():
        if name not in held or _seen(value) != before[name]:
            raise EnvironmentUnusableError(f"{env_id} changes its own {name} when called; {_PURE}")


def _arguments() -> tuple[Any, Any]:
    """The forms of a key and of an action."""
    key = jax.eval_shape(lambda: jax.random.key(0, impl=GENERATOR))
    return key, jax.ShapeDtypeStruct((), np.int32)


def _traced(
    function: Callable[..., Any], arguments: tuple[Any, ...], what: str, env_id: str
) -> tuple[_Traced, Any]:
    """What a function computes, and the shapes that it returns."""
    try:
        # A new function each time: JAX remembers what it has traced.
        traced, shapes = jax.make_jaxpr(lambda *given: function(*given), return_shape=True)(
            *arguments
        )
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
            "jnp.where or jax.lax.cond for a condition, and with shapes that depend on no value"
        ) from error
    except Exception as error:
        if isinstance(error, NotImplementedError) and not str(error):
            raise EnvironmentUnusableError(
                f"{env_id} does not define {_innermost(error)}"
            ) from error
        text = " ".join(str(error).split()) or f"in {_innermost(error)}"
        raise EnvironmentUnusableError(
            f"{env_id} cannot be compiled: its {what} raised {type(error).__name__}: {text:.300}"
            f"{_place(error)}"
        ) from error
    if any(isinstance(const, Tracer) for const in traced.consts):
        raise EnvironmentUnusableError(f"{env_id} keeps a number of an earlier call; {_PURE}")
    copies = [np.array(one) if isinstance(one, np.ndarray) else one for one in traced.consts]
    program = ClosedJaxpr(traced.jaxpr, copies)
    return _Traced(program, _ADDRESS.sub("", str(traced.jaxpr)), _digest(program)), shapes


def _digest(program: ClosedJaxpr) -> str:
    """A digest of the values of all constants of a program and of the programs in it."""
    hashed = hashlib.blake2b(digest_size=16)
    for constant in _constants(program, set()):
        is_key = jnp.issubdtype(jnp.result_type(constant), jax.dtypes.prng_key)
        array = np.asarray(jax.random.key_data(constant) if is_key else constant)
        hashed.update(f"{array.dtype} {array.shape} ".encode() + array.tobytes())
    return hashed.hexdigest()


def _constants(program: ClosedJaxpr | Jaxpr, known: set[int]) -> Iterator[Any]:
    jaxpr = program.jaxpr if isinstance(program, ClosedJaxpr) else program
    yield from program.consts if isinstance(program, ClosedJaxpr) else ()
    if id(jaxpr) in known:
        return
    known.add(id(jaxpr))
    for equation in jaxpr.eqns:
        yield from (one.val for one in equation.invars if isinstance(one, Literal))
        for part in jax.tree.leaves(list(equation.params.values())):
            if isinstance(part, ClosedJaxpr | Jaxpr):
                yield from _constants(part, known)
            elif isinstance(part, np.ndarray | jax.Array):
                yield part
    yield from (one.val for one in jaxpr.outvars if isinstance(one, Literal))


def _innermost(error: BaseException) -> str:
    """The name of the function that raised an error; one that a class leaves out, for instance."""
    return traceback.extract_tb(error.__traceback__)[-1].name


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
        part = f" whose part {jax.tree_util.keystr(path)}" if path else " that"
        name = f"{env_id} has a state{part}"
        if jnp.issubdtype(one.dtype, jax.dtypes.prng_key):
            raise EnvironmentUnusableError(
                f"{name} is a key of jax.random.key, which no file can hold: keep "
                "jax.random.key_data of it"
            )
        if one.dtype.kind not in _STORED:
            raise EnvironmentUnusableError(
                f"{name} is {one.dtype}, which no file can hold: keep float16 or float32"
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


def _check_same(
    first: Program, again: Program, environment: FunctionalEnvironment, env_id: str
) -> None:
    """Refuse an environment that computes something else when it is called again."""
    for what in ("reset", "step"):
        one, other = getattr(first, what), getattr(again, what)
        same_text, same = one.text == other.text, one.constants == other.constants
        if same_text and same and "callback" not in one.text:
            continue
        # Where the texts differ, only the order of computations may, which changes nothing.
        if (same_text and not same) or not _compute_the_same(first, again, what, environment):
            raise EnvironmentUnusableError(
                f"{env_id} is impure: its {what} differs when called again; {_PURE}"
            )


def _compute_the_same(
    first: Program, again: Program, what: str, environment: FunctionalEnvironment
) -> bool:
    """Whether both programs give the same for keys, and for states and actions of episodes."""
    functions = [jax.jit(jaxpr_as_fun(getattr(one, what).program)) for one in (first, again)]
    examples = _steps(first, environment) if what == "step" else ((key,) for key in _keys())
    return all(_equal(*(function(*given) for function in functions)) for given in examples)


def _keys() -> Iterator[Any]:
    return (jax.random.key(number, impl=GENERATOR) for number in range(_NUM_EXAMPLES))


def _steps(program: Program, environment: FunctionalEnvironment) -> Iterator[tuple[Any, ...]]:
    """Arguments of steps as they come in episodes: the parts of a state, an action, a key."""
    reset, step = (jax.jit(jaxpr_as_fun(one.program)) for one in (program.reset, program.step))
    size = len(jax.tree.leaves(program.shapes[0][0]))
    first, count = int(environment.action_space.start), int(environment.action_space.n)
    for number, key in enumerate(_keys()):
        state = reset(key)[:size]
        for before in range(number % 3):
            state = step(*state, np.int32(first + before % count), key)[:size]
        yield *state, np.int32(first + number % count), key


def _equal(one: Any, other: Any) -> bool:
    pairs = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=False)
    return len(one) == len(other) and all(
        np.array_equal(a, b, equal_nan=np.asarray(a).dtype.kind == "f") for a, b in pairs
    )


def _seen(value: Any, depth: int = 0) -> Hashable:
    """What tells whether an attribute has changed: the value, or which object it is."""
    if isinstance(value, int | float | str):
        return repr(value)
    if isinstance(value, np.ndarray):
        return id(value), hashlib.blake2b(value.tobytes()).hexdigest()
    if isinstance(value, list | tuple | dict | set):
        items = value.values() if isinstance(value, dict) else value
        is_looked_at = depth < _DEEPEST and len(value) <= _MOST_ITEMS
        seen = tuple(_seen(one, depth + 1) for one in items) if is_looked_at else ()
        return id(value), len(value), seen
    return id(value)


def _structure(tree: Any) -> str:
    text = " ".join(str(tree).removeprefix("PyTreeDef").split())
    return text if len(text) < 80 else f"{text[:80]} …"


def _form(leaf: Any) -> str:
    return f"{np.dtype(leaf.dtype).name}{list(leaf.shape)}"
