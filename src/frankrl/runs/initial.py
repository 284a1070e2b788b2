"""The weights that a run began with, if they were given: a file of the run, and their origin."""

import dataclasses
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast, get_args

import numpy as np
from jaxtyping import Float
from safetensors.numpy import save as save_safetensors

from frankrl.config.choices import NONE
from frankrl.core.arrays_file import arrays_of
from frankrl.core.errors import DamagedError, SettingError
from frankrl.core.text import shown
from frankrl.runs.disk import entry_of, read_regular

INITIAL = "initial_network.safetensors"
"""A run's file of the weights that it began with."""
Kind = Literal["run", "sb3", "safetensors"]
_AGENTS = ("newest", "best", None)
_SHA256 = re.compile(r"[0-9a-f]{64}")
MAX_PATH = 5_000
"""Characters of a path in the origin of weights."""
_MAX_COUNT = 2**53
_MAX_HEADER_BYTES = 1 << 20
"""Largest size of the names and shapes in a file of arrays."""

Arrays = Mapping[str, Float[np.ndarray, "..."]]


@dataclass(frozen=True)
class Origin:
    """Where the weights come from that a run began with."""

    kind: Kind
    path: str
    """What was given, as an absolute path. It is never opened again."""
    agent: str | None
    """Of a run: its `newest` agent, or its `best`; else None."""
    env_steps: int | None
    """Env steps of the training that made the weights; None: unknown."""
    sha256: str
    """Hash of the run's own file of the weights, `INITIAL`. The same weights have the same hash,
    whatever file they come from."""

    def to_table(self) -> dict[str, Any]:
        """The table `[initial_weights]` of a `config.toml`."""
        return dataclasses.asdict(self)

    @classmethod
    def from_table(cls, table: Any) -> "Origin":
        """The reverse of `to_table`.

        Raises:
            SettingError: the table is not valid.
        """
        values = table if isinstance(table, dict) else {}
        values = {name: None if value == NONE else value for name, value in values.items()}
        if set(values) != {field.name for field in dataclasses.fields(cls)}:
            raise SettingError(
                "table [initial_weights] must hold kind, path, agent, env_steps and sha256"
            )
        steps = values["env_steps"]
        sha256 = values["sha256"]
        if (
            values["kind"] not in get_args(Kind)
            or not isinstance(values["path"], str)
            or values["agent"] not in _AGENTS
            or not (steps is None or (type(steps) is int and 0 <= steps <= _MAX_COUNT))
            or not (isinstance(sha256, str) and _SHA256.fullmatch(sha256))
        ):
            raise SettingError("table [initial_weights] holds a value that is not allowed")
        kind = cast(Kind, values["kind"])
        return cls(kind, shown(values["path"], MAX_PATH), values["agent"], steps, sha256)


def initial_file(arrays: Arrays) -> tuple[bytes, str]:
    """The content of a run's file of initial weights, and its SHA-256."""
    content = save_safetensors({name: np.ascontiguousarray(part) for name, part in arrays.items()})
    return content, hashlib.sha256(content).hexdigest()


def read_initial(run: Path, origin: Origin, most_bytes: int) -> Arrays:
    """The weights that a run began with, by name.

    Args:
        run: the run's folder.
        origin: from the run's description.
        most_bytes: largest size of the arrays.

    Raises:
        DamagedError: the file is missing, or not the one that the run began with.
    """
    path = run / INITIAL
    content = read_regular(path, most_bytes + _MAX_HEADER_BYTES)
    found = hashlib.sha256(content).hexdigest()
    if found != origin.sha256:
        raise DamagedError(
            f"{path} is damaged: it has the SHA-256 {found}, config.toml says {origin.sha256}"
        )
    try:
        return arrays_of(content)
    except ValueError as error:
        raise DamagedError(f"{path} is damaged: {error}") from error


def check_initial(run: Path, origin: Origin | None) -> None:
    """Compare the weights that a run began with, if they were given, with what it says of them.

    Raises:
        DamagedError: they are missing, or others.
    """
    if origin is None:
        return
    try:
        found = entry_of(run / INITIAL)["sha256"]
    except OSError as error:
        raise DamagedError(f"{run / INITIAL} cannot be read: {error.strerror}") from error
    if found != origin.sha256:
        raise DamagedError(
            f"{run / INITIAL} is damaged: it has the SHA-256 {found}, config.toml says "
            f"{origin.sha256}"
        )
