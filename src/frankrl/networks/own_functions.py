"""The functions `init` and `apply` of a network, or a torso, of the user's own."""

import contextlib
import dataclasses
import functools
import inspect
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Float, Shaped

from frankrl.core.errors import FrankError, SettingError
from frankrl.core.named_code import load_code, module_of, shown_name
from frankrl.core.own_code import failed, keeps
from frankrl.core.text import given
from frankrl.core.types import Observation, Params
from frankrl.networks.initializer import Initializer, ShapeInitializer
from frankrl.networks.named import dotted_name
from frankrl.networks.network_spec import NetworkSpec
from frankrl.networks.products import differ, products

_TRIED = (1, 3)
"""Numbers of observations with which the shapes are tried: a single one shows what squeezes."""


@dataclass(frozen=True)
class OwnFunctions:
    """`init(key, spec)` gives parameters, `apply(params, observation)` gives outputs.

    A frozen dataclass or named tuple that holds them compares by value, and with it what is
    compiled. Any other object could change, so each use of it is another one.
    """

    name: str = field(compare=False)
    """`module:attribute`, or the name of an object."""
    setting: str
    """The setting that names them: `network` or `torso`."""
    spec: NetworkSpec
    definition: Any = field(compare=False)
    """The object with the two functions."""
    identity: Any = field(repr=False)
    """Equal for equal functions."""

    def __reduce__(self) -> tuple[Any, ...]:
        if module_of(self.name):
            return own_functions, (str(self.name), self.setting, self.spec)
        return _of_definition, (str(self.name), self.setting, self.spec, self.definition)

    def init(self, initializer: Initializer) -> Params:
        """The initial parameters, a pytree of float32 arrays.

        Raises:
            SettingError: they are something else, or `init` failed.
        """

        def made(key: Any) -> Params:
            found = self.definition.init(key, self.spec)
            self._check_arrays(found)
            return found

        with self._said("init"):
            params = initializer.from_key(made)
        for path, leaf in jax.tree_util.tree_leaves_with_path(params):
            if isinstance(leaf, np.ndarray) and not np.isfinite(leaf).all():
                raise SettingError(f"{self}: init gives {_place(path)} numbers that are not finite")
        return params

    def apply(self, params: Params, observation: Observation) -> Any:
        """The outputs for a batch of observations, computed with JAX.

        Raises:
            SettingError: `apply` failed.
        """
        arrays = jax.tree.map(jnp.asarray, (params, observation))
        with self._said("apply"):
            return self.definition.apply(*arrays)

    def output_shape(self, *wanted: int | None) -> tuple[int, ...]:
        """Shape of the outputs without the axis of the batch.

        Args:
            wanted: the shape that it must have; None: any length.

        Raises:
            SettingError: `apply` gives another shape or dtype.
        """
        words = [("feature" if size is None else str(size)) for size in wanted]
        shape: tuple[int, ...] = ()
        for size in _TRIED:
            found = jax.eval_shape(self.apply, self._shapes, self.spec.batch(size))
            allowed = f"float32[{', '.join([str(size), *words])}]"
            shape = getattr(found, "shape", ())
            fits = len(shape) == 1 + len(wanted) and all(
                want in (None, length) for want, length in zip((size, *wanted), shape, strict=True)
            )
            if not fits or found.dtype != np.float32:
                raise SettingError(
                    f"{self}: apply must give one array {allowed} for {size} observations of "
                    f"{self._observed}, and gives {_described(found)}"
                )
        return shape[1:]

    @functools.cached_property
    def num_products(self) -> int:
        """Multiplications of numbers with weights for one observation."""
        return products(self._traced().jaxpr)

    @functools.cached_property
    def repeats(self) -> bool:
        """Whether `apply` computes the same when it is called again."""
        return not differ(self._traced(), self._traced())

    def _traced(self) -> Any:
        with self._said("apply"):
            found = jax.make_jaxpr(self.apply)(self._shapes, self.spec.batch(1))
        if any(isinstance(const, Tracer) for const in found.consts):
            raise SettingError(f"{self}: apply {keeps()}")
        return found

    @functools.cached_property
    def _shapes(self) -> Params:
        return jax.eval_shape(lambda: self.init(ShapeInitializer()))

    @property
    def _observed(self) -> str:
        return " and ".join(map(_described, jax.tree.leaves(self.spec.observation)))

    def _check_arrays(self, params: Params) -> None:
        leaves = jax.tree_util.tree_leaves_with_path(params)
        if not leaves:
            raise SettingError(f"{self}: init gives no arrays, so there is nothing to learn")
        for path, leaf in leaves:
            if not hasattr(leaf, "dtype") or not hasattr(leaf, "shape"):
                raise SettingError(
                    f"{self}: init gives {_place(path)} {given(leaf)}, which is no array: keep "
                    "what is not learned outside of the parameters (in Equinox: "
                    "eqx.filter(model, eqx.is_array))"
                )
            if leaf.dtype != np.float32:
                raise SettingError(
                    f"{self}: init gives {_place(path)} {_described(leaf)}: parameters are float32 "
                    "arrays; keep what is not learned outside of them"
                )
        # The first are names within checkpoints, the others those for other tools.
        for name_at in (jax.tree_util.keystr, dotted_name):
            names = [name_at(path) for path, _ in leaves]
            if twice := {name for name in names if names.count(name) > 1}:
                raise SettingError(f"{self}: init gives two arrays at the place {min(twice)!r}")

    @contextlib.contextmanager
    def _said(self, part: str) -> Iterator[None]:
        """Within this context, what the user's code raises becomes one sentence."""
        try:
            yield
        except FrankError:
            raise
        except Exception as error:
            raise SettingError(f"{self}: {part} {failed(error)}") from error

    def __str__(self) -> str:
        return _label(self.setting, self.name)


@dataclass(frozen=True)
class OwnTorso:
    """A torso of the user's own: maps whole observations to features."""

    functions: OwnFunctions
    num_features: int

    @property
    def num_products(self) -> int:
        """See `Torso.num_products`."""
        return self.functions.num_products

    def init(self, initializer: Initializer) -> Params:
        """See `Torso.init`."""
        return self.functions.init(initializer)

    def apply(self, params: Any, leaf: Shaped[Any, "..."] | Observation) -> Float[Any, "b feature"]:
        """See `Torso.apply`."""
        return self.functions.apply(params, leaf)


def own_torso(name: str, spec: NetworkSpec) -> OwnTorso:
    """The torso that a setting names.

    Raises:
        SettingError: it cannot be made, or gives no features.
    """
    functions = own_functions(name, "torso", spec)
    (num_features,) = functions.output_shape(None)
    return OwnTorso(functions, num_features)


def own_functions(name: str, setting: str, spec: NetworkSpec) -> OwnFunctions:
    """The functions that a setting names: an object that has them, or what a factory makes.

    Args:
        name: `module:attribute`, or an object's name with the object.
        setting: the setting's name.
        spec: what a factory gets.

    Raises:
        SettingError: there are no such functions, or the factory failed.
    """
    code: Any = load_code(name, setting)
    label = _label(setting, name)
    wanted = (
        "an object with the functions init(key, spec) and apply(params, observation), or a "
        "function make(spec) that gives one"
    )
    if inspect.isclass(code) or not _has_both(code):
        if not callable(code):
            raise SettingError(f"{label} must be {wanted}; it is {given(code)}")
        try:
            code = code(spec)  # pyright: ignore[reportCallIssue]
        except FrankError:
            raise
        except Exception as error:
            raise SettingError(f"{label}: make(spec) {failed(error)}") from error
        if inspect.isclass(code) or not _has_both(code):
            raise SettingError(f"{label} must be {wanted}; it gave {given(code)}")
    return _of_definition(name, setting, spec, code)


def _of_definition(name: str, setting: str, spec: NetworkSpec, definition: Any) -> OwnFunctions:
    identity = definition if _is_value(definition) else object()
    return OwnFunctions(str(name), setting, spec, definition, identity)


def _is_value(definition: Any) -> bool:
    """Whether an object cannot change, so that it can be compared by value."""
    if dataclasses.is_dataclass(definition):
        settled = definition.__dataclass_params__.frozen  # pyright: ignore[reportAttributeAccessIssue]
    else:
        settled = isinstance(definition, tuple)
    with contextlib.suppress(Exception):
        return settled and isinstance(hash(definition), int)
    return False


def _has_both(code: Any) -> bool:
    return callable(getattr(code, "init", None)) and callable(getattr(code, "apply", None))


def _label(setting: str, name: str) -> str:
    return f"{setting} {shown_name(name)}"


def _place(path: Any) -> str:
    """Where a leaf lies in the parameters, in words."""
    return f"at {jax.tree_util.keystr(path)!r}" if path else "as its parameters"


def _described(found: Any) -> str:
    """An array by its dtype and shape; what is none, by its type."""
    if hasattr(found, "dtype") and hasattr(found, "shape"):
        return f"{found.dtype}{list(found.shape)}"
    return f"{type(found).__name__}, which is no array"
