"""What is said between Frank and the processes that step some of its environments.

Messages are a letter and packed numbers; nothing that could hold code. An answer begins
with `OK` or with `FAILED`, which is followed by a JSON object.
"""

import json
import struct
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from frankrl.environments.spec import EnvironmentSpec

OPEN, RESET, STEP, CLOSE = b"O", b"R", b"S", b"C"
OK, FAILED = b"+", b"!"
_HEAD = struct.Struct("<cHI")
_TERMINATED, _TRUNCATED = 1, 2

EnvStep = tuple[np.ndarray, float, bool, bool]
"""State, reward, terminated, truncated: what `CheckedEnv.step` returns."""


class Request(NamedTuple):
    """What one process is asked to do."""

    kind: bytes
    group: int
    """Which group of envs: a process may hold several."""
    body: Any


def encode_open(group: int, spec: EnvironmentSpec, env_indices: Sequence[int]) -> bytes:
    """Ask for a group of envs, by their numbers."""
    told = {
        "env_id": spec.env_id,
        "env_kwargs": dict(spec.env_kwargs),
        "fingerprint": fingerprint(spec),
        "env_indices": list(env_indices),
    }
    return _HEAD.pack(OPEN, group, 0) + json.dumps(told).encode()


def fingerprint(spec: EnvironmentSpec) -> str:
    """What must be the same on both sides, or they would not step the same environment."""
    actions = (spec.num_actions, spec.first_action, spec.masks_from)
    return f"{spec.made_by} {spec.leaves} {actions}"


def encode_reset(
    group: int, env_indices: Sequence[int], seeds: Sequence[int], episodes: Sequence[int]
) -> bytes:
    """Ask for first states."""
    columns = (np.array(env_indices, "<u4"), np.array(seeds, "<u8"), np.array(episodes, "<i8"))
    return _HEAD.pack(RESET, group, len(env_indices)) + b"".join(c.tobytes() for c in columns)


def encode_step(group: int, env_indices: Sequence[int], actions: Sequence[int]) -> bytes:
    """Ask for a step of each."""
    columns = (np.array(env_indices, "<u4"), np.array(actions, "<u4"))
    return _HEAD.pack(STEP, group, len(env_indices)) + b"".join(c.tobytes() for c in columns)


def encode_close(group: int) -> bytes:
    """Ask to close a group of envs."""
    return _HEAD.pack(CLOSE, group, 0)


def decode_request(message: bytes) -> Request:
    """What a message asks for; columns as lists of whole numbers."""
    kind, group, count = _HEAD.unpack_from(message)
    rest = message[_HEAD.size :]
    if kind == OPEN:
        return Request(kind, group, json.loads(rest))
    types = {STEP: ("<u4", "<u4"), RESET: ("<u4", "<u8", "<i8"), CLOSE: ()}[kind]
    columns, start = [], 0
    for dtype in types:
        column = np.frombuffer(rest, dtype, count, start)
        columns.append(column.tolist())
        start += column.nbytes
    return Request(kind, group, columns)


def encode_states(states: Sequence[np.ndarray]) -> bytes:
    """An answer to `encode_reset`."""
    return OK + b"".join(state.tobytes() for state in states)


def encode_steps(steps: Sequence[EnvStep]) -> bytes:
    """An answer to `encode_step`."""
    flags = bytes(_TERMINATED * step[2] + _TRUNCATED * step[3] for step in steps)
    rewards = np.array([step[1] for step in steps], "<f8").tobytes()
    return OK + flags + rewards + b"".join(step[0].tobytes() for step in steps)


def encode_failure(error: Exception, done: int) -> bytes:
    """An answer that says what went wrong, after so many of the env_indices."""
    return FAILED + json.dumps({"message": str(error), "done": done}).encode()


def decode_states(spec: EnvironmentSpec, body: bytes, count: int) -> list[np.ndarray]:
    """The states in an answer."""
    whole = np.frombuffer(body, spec.row_dtype).reshape(count, *spec.row_shape)
    return [whole[place, ...] for place in range(count)]


def decode_steps(spec: EnvironmentSpec, body: bytes, count: int) -> list[EnvStep]:
    """The steps in an answer."""
    rewards = np.frombuffer(body, "<f8", count, count).tolist()
    states = decode_states(spec, body[count + 8 * count :], count)
    return [
        (state, reward, bool(flags & _TERMINATED), bool(flags & _TRUNCATED))
        for state, reward, flags in zip(states, rewards, body[:count], strict=True)
    ]
