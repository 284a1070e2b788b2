"""The messages between the main process and its worker processes.

A message is a letter and packed numbers, so it cannot hold code. An answer begins with `OK`, or
with `FAILED` and a JSON object, behind which stands what was done before the failure.
"""

import json
import struct
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from frankrl.core.types import FinalInfo
from frankrl.environments.checked_env import EnvStep
from frankrl.environments.spec import DIGEST_BYTES, EnvironmentSpec

OPEN, RESET, STEP, MAKE_ANEW, CLOSE = b"O", b"R", b"S", b"N", b"C"
OK, FAILED = b"+", b"!"
_HEAD = struct.Struct("<cHI")
_SIZE = struct.Struct("<I")
_TERMINATED, _TRUNCATED, _LIFE_LOST = 1, 2, 4


class Request(NamedTuple):
    """A request to a worker process."""

    kind: bytes
    group: int
    """Number of the group of environments; a process may hold several groups."""
    body: Any


def encode_open(
    group: int,
    spec: EnvironmentSpec,
    env_indices: Sequence[int],
    info_metrics: Sequence[str] = (),
    first: int = 0,
) -> bytes:
    """A request to make a group of environments with these indices, counted from `first`."""
    body = {
        "env_id": spec.env_id,
        "env_kwargs": dict(spec.env_kwargs),
        "wrappers": list(spec.wrappers),
        "action_mask": spec.mask_setting,
        "preprocessing": spec.preprocessing.to_data(),
        "fingerprint": spec_fingerprint(spec),
        "env_indices": list(env_indices),
        "first": first,
        "info_metrics": list(info_metrics),
    }
    return _HEAD.pack(OPEN, group, 0) + json.dumps(body).encode()


def spec_fingerprint(spec: EnvironmentSpec) -> str:
    """Text that is equal in two processes only if they know the same environment by this name."""
    actions = (spec.num_actions, spec.first_action, spec.masks_from, spec.mask_key)
    return f"{spec.made_by} {spec.leaves} {actions}"


def encode_reset(
    group: int, env_indices: Sequence[int], seeds: Sequence[int], episodes: Sequence[int]
) -> bytes:
    """A request to begin episodes."""
    columns = (np.array(env_indices, "<u4"), np.array(seeds, "<u8"), np.array(episodes, "<i8"))
    return _HEAD.pack(RESET, group, len(env_indices)) + b"".join(c.tobytes() for c in columns)


def encode_step(group: int, env_indices: Sequence[int], actions: Sequence[int]) -> bytes:
    """A request to step environments."""
    columns = (np.array(env_indices, "<u4"), np.array(actions, "<u4"))
    return _HEAD.pack(STEP, group, len(env_indices)) + b"".join(c.tobytes() for c in columns)


def encode_make_anew(group: int, env_index: int) -> bytes:
    """A request to close an environment and make another one in its place."""
    return _HEAD.pack(MAKE_ANEW, group, 1) + np.array([env_index], "<u4").tobytes()


def encode_close(group: int) -> bytes:
    """A request to close a group of environments."""
    return _HEAD.pack(CLOSE, group, 0)


def decode_request(message: bytes) -> Request:
    """The request in a message; its columns are lists of whole numbers."""
    kind, group, count = _HEAD.unpack_from(message)
    rest = message[_HEAD.size :]
    if kind == OPEN:
        return Request(kind, group, json.loads(rest))
    types = {STEP: ("<u4", "<u4"), RESET: ("<u4", "<u8", "<i8"), MAKE_ANEW: ("<u4",), CLOSE: ()}[
        kind
    ]
    columns, start = [], 0
    for dtype in types:
        column = np.frombuffer(rest, dtype, count, start)
        columns.append(column.tolist())
        start += column.nbytes
    return Request(kind, group, columns)


def encode_states(states: Sequence[np.ndarray]) -> bytes:
    """The answer to a request to begin episodes."""
    return OK + b"".join(state.tobytes() for state in states)


def encode_steps(steps: Sequence[EnvStep]) -> bytes:
    """The answer to a request to step environments."""
    flags = bytes(
        _TERMINATED * step.terminated + _TRUNCATED * step.truncated + _LIFE_LOST * step.life_lost
        for step in steps
    )
    rewards = np.array([step.reward for step in steps], "<f8").tobytes()
    parts = [part for step in steps for part in (step.row.tobytes(), step.row_hash)]
    infos = {place: step.final_info for place, step in enumerate(steps) if step.final_info}
    if infos:
        parts.append(json.dumps(infos).encode())
    return b"".join((OK, flags, rewards, *parts))


def encode_failure(error: Exception, done: int = 0, answer: bytes = OK) -> bytes:
    """The answer after an error.

    Args:
        error: the error.
        done: number of environments that had been done before it.
        answer: the answer of these environments.
    """
    text = json.dumps({"message": str(error), "done": done}).encode()
    return FAILED + _SIZE.pack(len(text)) + text + answer[1:]


def decode_failure(answer: bytes) -> tuple[str, int, bytes]:
    """The message of an answer after an error, how many environments were done before it, and
    the body of their answer."""
    start = 1 + _SIZE.size
    end = start + _SIZE.unpack_from(answer, 1)[0]
    failure = json.loads(answer[start:end])
    return failure["message"], failure["done"], answer[end:]


def decode_states(spec: EnvironmentSpec, body: bytes, count: int) -> list[np.ndarray]:
    """The states in the body of an answer."""
    whole = np.frombuffer(body, spec.row_dtype).reshape(count, *spec.row_shape)
    return [whole[place, ...] for place in range(count)]


def decode_steps(spec: EnvironmentSpec, body: bytes, count: int) -> list[EnvStep]:
    """The steps in the body of an answer."""
    rewards = np.frombuffer(body, "<f8", count, count).tolist()
    size, hash_size = spec.row_bytes, DIGEST_BYTES if spec.hashes_rows else 0
    start, steps = 9 * count, []
    end = start + (size + hash_size) * count
    infos = json.loads(body[end:]) if end < len(body) else {}
    for place, (reward, flags) in enumerate(zip(rewards, body[:count], strict=True)):
        middle, end = start + size, start + size + hash_size
        (row,) = decode_states(spec, body[start:middle], 1)
        info = infos.get(str(place)) if infos else None
        steps.append(
            EnvStep(
                row,
                reward,
                bool(flags & _TERMINATED),
                bool(flags & _TRUNCATED),
                bool(flags & _LIFE_LOST),
                body[middle:end],
                info and FinalInfo(*info),
            )
        )
        start = end
    return steps
