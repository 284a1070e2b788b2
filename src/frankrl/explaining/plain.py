"""An update as JSON data."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from frankrl.explaining.opened_update import OpenedUpdate
from frankrl.explaining.origin import Origin, TransitionInData


def plain(record: OpenedUpdate, origins: Sequence[Origin | TransitionInData]) -> dict[str, Any]:
    """Every number of an update, in lists and dictionaries.

    A Q-value is None where the action is not allowed, and a following return where none is known.
    """
    payload = {
        spec.name: _plain(getattr(record, spec.name))
        for spec in dataclasses.fields(record)
        if spec.name != "document"
    }
    payload["loss_shares"] = _plain(record.loss_shares)
    payload["origins"] = [origin._asdict() for origin in origins]
    return payload


def _plain(value: Any) -> Any:
    if hasattr(value, "_asdict"):
        value = value._asdict()
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, tuple):
        return [_plain(part) for part in value]
    if not isinstance(value, np.ndarray):
        return value
    if value.dtype.kind == "f" and (missing := (value == -np.inf) | np.isnan(value)).any():
        value = value.astype(object)
        value[missing] = None
    return value.tolist()
