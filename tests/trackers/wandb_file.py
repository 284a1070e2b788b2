"""The rows in a file of Weights & Biases, read by its own format: LevelDB's log of messages."""

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_FILE_HEADER, _BLOCK = 7, 32_768
_HEADER = struct.Struct("<IHB")
_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4


def rows(file: Path) -> Iterator[dict[str, Any]]:
    """The rows of metrics, in order."""
    from wandb.proto import wandb_internal_pb2

    for content in _records(file.read_bytes()):
        record = wandb_internal_pb2.Record.FromString(content)
        if record.WhichOneof("record_type") == "history":
            items = record.history.item
            yield {"/".join(i.nested_key) or i.key: json.loads(i.value_json) for i in items}


def config(file: Path) -> dict[str, Any]:
    """The settings of the run."""
    from wandb.proto import wandb_internal_pb2

    for content in _records(file.read_bytes()):
        record = wandb_internal_pb2.Record.FromString(content)
        if record.WhichOneof("record_type") == "run":
            return {i.key: json.loads(i.value_json) for i in record.run.config.update}
    return {}


def _records(data: bytes) -> Iterator[bytes]:
    assert data[:4] == b":W&B"
    at, parts = _FILE_HEADER, []
    while at + _HEADER.size <= len(data):
        left = _BLOCK - at % _BLOCK
        if left < _HEADER.size:
            at += left
            continue
        _, length, kind = _HEADER.unpack_from(data, at)
        if kind == 0:
            return
        if at + _HEADER.size + length > len(data):
            return  # it is being written
        parts.append(data[at + _HEADER.size : at + _HEADER.size + length])
        at += _HEADER.size + length
        if kind in (_FULL, _LAST):
            yield b"".join(parts)
            parts = []
