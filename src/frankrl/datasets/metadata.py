"""A data set's metadata: the JSON file beside its episodes."""

import contextlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gymnasium import spaces

from frankrl.core.errors import SettingError
from frankrl.core.text import shown
from frankrl.datasets.names import METADATA, named_folder
from frankrl.datasets.spaces import space_from_data

FORMAT, VERSION = "hdf5", "0.5.4"
"""The storage that Frank writes, and the version of Minari whose form it has."""
FACTS, DIGEST = "frankrl", "digest"
"""The entry with what Frank notes, which Minari ignores, and the entry in it that says what the
episodes were when they were written."""
_READABLE = re.compile(r"0\.5\.[0-9]+")
_MAX_BYTES = 1 << 26
_MAX_EPISODES = 10_000_000
_INVALID = (
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    AssertionError,
    OverflowError,
    RecursionError,
)
"""What reading data of another form raises."""


@dataclass(frozen=True)
class Metadata:
    """What a data set says of itself; all of it is data, and nothing is made from its names."""

    name: str
    observation_space: spaces.Space
    action_space: spaces.Discrete
    env_id: str | None
    env_kwargs: Mapping[str, Any]
    num_episodes: int
    num_steps: int
    has_jpegs: bool
    """Pictures are stored as JPEGs."""
    digest: str | None
    """The `ContentDigest` of what was written; None: whoever wrote it did not say."""


def read_metadata(files: Path) -> Metadata:
    """The metadata of the data set with its files in a folder.

    Raises:
        SettingError: they are missing, damaged, of another version, or of an environment in which
            DQN cannot act.
    """
    data, folder = _json_in(files / METADATA), named_folder(files)
    try:
        version, storage = str(data["minari_version"]), str(data["data_format"])
        if not _READABLE.fullmatch(version):
            raise SettingError(
                f"the data set {folder} is of Minari {shown(version)}, and Frank reads those of "
                "Minari 0.5: load it with Minari and write it again"
            )
        if storage != FORMAT:
            raise SettingError(
                f"the data set {folder} is stored as {shown(storage)}, and Frank reads {FORMAT}: "
                "write it again in that form"
            )
        env_id, env_kwargs = _environment(data)
        return Metadata(
            name=shown(data["dataset_id"]),
            observation_space=_space(data, "observation_space", folder),
            action_space=_actions(_space(data, "action_space", folder), folder),
            env_id=env_id,
            env_kwargs=env_kwargs,
            num_episodes=_count(data, "total_episodes"),
            num_steps=_count(data, "total_steps"),
            has_jpegs=bool(data.get("jpeg_encoding", True)),
            digest=(data.get(FACTS) or {}).get(DIGEST),
        )
    except _INVALID as error:
        raise SettingError(
            f"the data set {folder} has metadata that Frank cannot use: {_reason(error)}"
        ) from error


def _json_in(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise SettingError(f"{path} cannot be read: {error.strerror or error}") from error
    if len(content) > _MAX_BYTES:
        raise SettingError(f"{path} is larger than metadata of a data set ever are")
    try:
        data = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise SettingError(f"{path} is damaged, it is not JSON: {shown(error)}") from error
    if not isinstance(data, dict):
        raise SettingError(f"{path} is damaged: it holds no JSON object")
    return data


def _space(data: dict[str, Any], entry: str, folder: Path) -> spaces.Space:
    if data.get(entry) is None:
        raise SettingError(
            f"the data set {folder} does not say its {entry}, and Frank makes no environment by a "
            "data set's word: write it again with both spaces"
        )
    with _named(entry):
        return space_from_data(json.loads(data[entry]))


@contextlib.contextmanager
def _named(entry: str) -> Iterator[None]:
    """Name the entry that cannot be used."""
    try:
        yield
    except _INVALID as error:
        raise ValueError(f"in its {entry}, {_reason(error)}") from error


def _actions(space: spaces.Space, folder: Path) -> spaces.Discrete:
    if not isinstance(space, spaces.Discrete):
        raise SettingError(
            f"the data set {folder} has the action space {shown(space)}; DQN chooses among "
            "numbered actions, so it needs a Discrete one"
        )
    return space


def _environment(data: dict[str, Any]) -> tuple[str | None, dict[str, Any]]:
    """Name and arguments of the environment; they are only compared and shown."""
    if data.get("env_spec") is None:
        noted = data.get(FACTS) or {}
        env_id = noted.get("env_id")
        return None if env_id is None else str(env_id), dict(noted.get("env_kwargs") or {})
    with _named("env_spec"):
        spec = json.loads(data["env_spec"])
        return str(spec["id"]), dict(spec.get("kwargs") or {})


def _count(data: dict[str, Any], entry: str) -> int:
    count = data[entry]
    if type(count) is not int or not 0 <= count <= (1 << 53):
        raise ValueError(f"{entry} is {count!r:.40}")
    if entry == "total_episodes" and count > _MAX_EPISODES:
        raise ValueError(f"{count:,} episodes are more than {_MAX_EPISODES:,}")
    return count


def _reason(error: BaseException) -> str:
    if isinstance(error, KeyError):
        return f"the entry {shown(error)} is missing"
    return shown(error) or type(error).__name__
