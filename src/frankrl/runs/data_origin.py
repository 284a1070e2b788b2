"""The data set from which a run learns, as its description names it."""

import dataclasses
import math
import re
from dataclasses import dataclass
from typing import Any

from frankrl.core.errors import SettingError
from frankrl.core.text import shown

_DIGEST = re.compile(r"[0-9a-f]{64}")
_MAX_COUNT = 2**30
"""Largest number of steps: a buffer counts its rows in 32 bits."""
_MAX_NAME = 500


@dataclass(frozen=True)
class DataOrigin:
    """A data set as it was when the run began; its checkpoints hold the data themselves."""

    name: str
    digest: str
    """SHA-256 of its content, as 64 hexadecimal digits."""
    num_episodes: int
    num_steps: int
    mean_return: float
    """Mean undiscounted return of its episodes."""

    def to_table(self) -> dict[str, Any]:
        """The table `[learned_data]` of a `config.toml`."""
        return dataclasses.asdict(self)

    @classmethod
    def from_table(cls, table: Any) -> "DataOrigin":
        """The reverse of `to_table`.

        Raises:
            SettingError: the table is not valid.
        """
        values = table if isinstance(table, dict) else {}
        names = [field.name for field in dataclasses.fields(cls)]
        if set(values) != set(names):
            raise SettingError(f"table [learned_data] must hold {', '.join(names)}")
        counts = [values["num_episodes"], values["num_steps"]]
        mean = values["mean_return"]
        if (
            not isinstance(values["name"], str)
            or not (isinstance(values["digest"], str) and _DIGEST.fullmatch(values["digest"]))
            or not all(type(count) is int and 1 <= count <= _MAX_COUNT for count in counts)
            or counts[0] > counts[1]
            or type(mean) not in (float, int)
            or not math.isfinite(mean)
        ):
            raise SettingError("table [learned_data] holds a value that is not allowed")
        episodes, steps = counts
        name = shown(values["name"], _MAX_NAME)
        return cls(name, values["digest"], episodes, steps, float(mean))
