"""`frank doctor`: what this installation and this machine have, and what would help."""

import contextlib
import importlib.metadata
import json
import os
import platform
import re
import shutil
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from frankrl.cli.output import print_result
from frankrl.cli.parsing import parse
from frankrl.cli.two_columns import entry, text_width
from frankrl.core.figures import counted

_PACKAGE = "frankrl"
_NO_FEATURE = ("test", "dev")
"""The first words of extras for those who work on Frank."""
_EXTRA = re.compile(r"""extra\s*==\s*["']([\w.-]+)["']""")
_NAME = re.compile(r"([A-Za-z0-9._-]+)\s*(?:\[([\w,. -]+)\])?")
_LEAST_MEMORY = 2 * 2**30
"""Below this JAX and a buffer of pictures hardly fit. [bytes]"""
_SLOW_CORES = 2


@dataclass(frozen=True)
class DoctorOptions:
    """Options of `frank doctor`."""

    json: bool = False
    """Print one JSON object instead of a table."""


@dataclass(frozen=True)
class Findings:
    """What there is."""

    versions: dict[str, str]
    """Versions of the packages that may affect the bits of a run."""
    system: str
    processor: str
    cores: int
    """Processor cores that this process may use."""
    memory: int | None
    """What is available; None if the system does not say. [bytes]"""
    devices: list[str]
    """The devices on which JAX can compute: cpu, or the platform and the kind of a device."""
    has_gpu: bool
    """The system has a GPU of Nvidia's, whether or not JAX can use it."""
    cache: str
    """Folder of the compiled code; empty if there is none."""
    cache_is_own: bool
    """It is Frank's own, for this version and processor alone, and not one that the user named."""
    cache_bytes: int
    """What the cache takes; Frank's own with that of other versions and processors. [bytes]"""
    ffmpeg: str
    """The program that writes films; empty if there is none."""
    extras: dict[str, list[str]]
    """The packages that each extra still lacks; none where it is installed."""


def run(arguments: Sequence[str]) -> int:
    """Run the command; returns its exit status."""
    description = (
        "Say what this installation and this machine have: versions, processor, devices, extras, "
        "the cache of compiled code; and what would help."
    )
    options = parse(DoctorOptions, arguments, "doctor", description)
    found = _examined()
    advice = list(advice_on(found, os.environ))
    if options.json:
        print_result(json.dumps(asdict(found) | {"advice": advice}))
        return 0
    for line in _lines(found):
        print_result(line)
    print_result("")
    for sentence in advice or ["All is well."]:
        print_result(textwrap.fill(sentence, text_width(), break_on_hyphens=False))
    return 0


def _examined() -> Findings:
    """What there is; starts JAX, but computes nothing."""
    from frankrl.core.backend import start_backend, visible_cpus
    from frankrl.core.cpu import cpu_model
    from frankrl.core.system import available_memory
    from frankrl.runs.machine import versions

    start_backend()
    import jax

    folder, is_own = _cache()
    return Findings(
        versions=versions(),
        system=f"{platform.system()} {platform.release()}, {platform.machine()}",
        processor=cpu_model(),
        cores=visible_cpus(),
        memory=available_memory(),
        devices=[
            "cpu" if device.platform == "cpu" else f"{device.platform}: {device.device_kind}"
            for device in jax.devices()
        ],
        has_gpu=any(Path("/dev").glob("nvidia[0-9]*")),
        cache=folder,
        cache_is_own=is_own,
        cache_bytes=_size(Path(folder).parent if is_own else Path(folder)) if folder else 0,
        ffmpeg=_ffmpeg(),
        extras=dict(missing_of_extras(importlib.metadata.requires(_PACKAGE) or [])),
    )


def _cache() -> tuple[str, bool]:
    """The folder in which JAX keeps compiled code, or nothing; and whether it is Frank's own."""
    import jax

    from frankrl.core.backend import cache_folder

    folder = jax.config.jax_compilation_cache_dir  # pyright: ignore[reportAttributeAccessIssue]
    if folder is None:
        return "", False
    with contextlib.suppress(RuntimeError):
        return str(folder), Path(folder) == cache_folder()
    return str(folder), False


def _size(folder: Path) -> int:
    from frankrl.runs.disk_usage import disk_usage

    return disk_usage([folder]).total


def _ffmpeg() -> str:
    """The program that films are written with; empty if none can be used."""
    import imageio_ffmpeg

    try:
        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except (RuntimeError, OSError):
        return shutil.which("ffmpeg") or ""


def missing_of_extras(requirements: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """Each extra, and the packages that it lacks here.

    Args:
        requirements: what the installed distribution requires, as its metadata says it.
    """
    needed: dict[str, list[tuple[str, list[str]]]] = {}
    for requirement in requirements:
        name, extra = _NAME.match(requirement), _EXTRA.search(requirement)
        if extra is None or name is None or extra[1].split("-")[0] in _NO_FEATURE:
            continue
        others = [word.strip() for word in (name[2] or "").split(",") if word.strip()]
        needed.setdefault(extra[1], []).append((name[1], others))
    for extra, packages in sorted(needed.items()):
        yield extra, sorted(set(_missing(packages, needed)))


def _missing(
    packages: Sequence[tuple[str, list[str]]], needed: dict[str, list[tuple[str, list[str]]]]
) -> Iterator[str]:
    for name, others in packages:
        if name == _PACKAGE:
            for other in others:
                yield from _missing(needed.get(other, []), needed)
        elif not _is_installed(name):
            yield name


def _is_installed(package: str) -> bool:
    try:
        importlib.metadata.distribution(package)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def advice_on(found: Findings, environment: Mapping[str, str]) -> Iterator[str]:
    """What would help, a sentence each.

    Args:
        found: what there is.
        environment: the variables of the process.
    """
    if found.cores < _SLOW_CORES:
        yield (
            "Frank acts and learns at the same time, on two cores; this process may use one, so "
            "training takes up to twice as long."
        )
    if found.memory is not None and found.memory < _LEAST_MEMORY:
        yield "Little memory is free: close other programs, or set a smaller replay_capacity."
    is_on_gpu = any(device != "cpu" for device in found.devices)
    if not is_on_gpu and found.has_gpu:
        version = found.versions.get("jax", "VERSION")
        yield (
            f'There is a GPU that JAX cannot use: pip install "jax[cuda13]=={version}", or '
            "jax[cuda12] if its driver is older."
        )
    if not found.cache:
        yield (
            "There is no folder for compiled code, so each run compiles anew for some seconds: "
            "make ~/.cache writable, or set JAX_COMPILATION_CACHE_DIR."
        )
    if not found.ffmpeg:
        yield "There is no ffmpeg, so no films: pip install --force-reinstall imageio-ffmpeg."
    if environment.get("PYTHONDONTWRITEBYTECODE"):
        yield "PYTHONDONTWRITEBYTECODE is set, so each start takes a fifth of a second longer."
    if threads := environment.get("NPROC"):
        yield (
            f"NPROC is {threads}: JAX computes with so many threads on the CPU, and other bits "
            "than with the usual one."
        )


def _lines(found: Findings) -> Iterator[str]:
    """The findings for people."""
    from frankrl.listing.columns import size_text

    memory = "" if found.memory is None else f", {size_text(found.memory)} of memory free"
    installed = [extra for extra, missing in found.extras.items() if not missing]
    lacking = [extra for extra, missing in found.extras.items() if missing]
    others = " with other versions" if found.cache_is_own else ""
    rows = {
        "frank": f"{found.versions.get(_PACKAGE, '?')} on Python {found.versions['python']}",
        "packages": ", ".join(
            f"{name} {version}"
            for name, version in found.versions.items()
            if name not in (_PACKAGE, "python")
        ),
        "system": found.system,
        "processor": f"{found.processor}, {counted(found.cores, 'core')}{memory}",
        "devices": ", ".join(found.devices),
        "cache": f"{found.cache} ({size_text(found.cache_bytes)}{others})"
        if found.cache
        else "none",
        "films": found.ffmpeg or "cannot be written",
        "extras": ", ".join(installed) or "none",
        "not installed": f'{", ".join(lacking)} (pip install "frankrl[NAME]")' if lacking else "",
    }
    indent = max(map(len, rows)) + 2
    for name, text in rows.items():
        yield from entry(name, text, indent, text_width())
