"""Versions of packages and facts about the machine that may affect the bits of a run."""

import functools
import importlib.metadata
import os
import platform
from collections.abc import Mapping
from typing import Any

from frankrl.core.backend import start_backend, visible_cpus
from frankrl.core.cpu import cpu_model
from frankrl.core.text import shown

_PACKAGES = (
    "frankrl",
    "jax",
    "jaxlib",
    "optax",
    "numpy",
    "gymnasium",
    "box2d",
    "box2d-py",
    "envpool",
    "ale-py",
    "minatar",
    "opencv-python",
    "opencv-python-headless",
)


@functools.cache
def versions() -> dict[str, str]:
    """Versions of all software that may affect the bits of a run."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def machine_facts() -> dict[str, str | int]:
    """Facts about the machine that may affect the bits of a run."""
    import jax

    return {
        "system": f"{platform.system()} {platform.machine()}",
        "cpu": cpu_model(),
        "visible_cpus": visible_cpus(),
        "accelerator": jax.devices()[0].device_kind,
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
        "xla_threads": start_backend(),
    }


_NO_INFLUENCE = {"visible_cpus", "equinox"}
"""Facts that do not affect the bits: the number of CPUs, since XLA's threads are fixed; and
Equinox, which runs of earlier versions name."""


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Differences in versions or machine, in words."""
    names = [name for name in {**before, **now} if name not in _NO_INFLUENCE]
    return [
        f"{shown(name)} was {_short(before.get(name))} and is {_short(now.get(name))}"
        for name in names
        if before.get(name) != now.get(name)
    ]


def _short(value: Any) -> str:
    return "not there" if value is None else repr(str(value)[:60])
