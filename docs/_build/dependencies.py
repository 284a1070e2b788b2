"""The packages that Frank asks for: by whom, in which versions, under which licence, and why."""

import functools
import re
import tomllib
from pathlib import Path
from typing import NamedTuple

_PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"
_REASONS = Path(__file__).with_name("dependencies.toml")
_REQUIREMENT = re.compile(
    r"(?P<package>[\w.-]+)(?:\[[^\]]*\])?\s*(?P<versions>[^;]*)(?:;\s*(?P<where>.*))?"
)
# The compiler's own libraries, which programs of any licence may contain.
_EXCEPTED = re.compile(r"\S+ WITH GCC-exception\S*")
CORE, BUILD = "core", "build"
DEVELOPMENT = (BUILD, "test", "test-integrations", "test-sb3", "dev")


class Dependency(NamedTuple):
    """One line of pyproject.toml with what is known of its package."""

    package: str
    versions: str
    where: str
    """The marker of the systems and versions of Python that it is for; empty means all."""
    group: str
    """`core`, `build`, or the name of the extra."""
    licence: str
    why: str


def dependencies() -> list[Dependency]:
    """Every package that pyproject.toml names, in its order.

    Raises:
        KeyError: dependencies.toml says nothing of one of them.
    """
    pyproject = tomllib.loads(_PYPROJECT.read_text("utf-8"))
    project = pyproject["project"]
    groups = {
        CORE: project["dependencies"],
        **project["optional-dependencies"],
        BUILD: pyproject["build-system"]["requires"],
    }
    return [
        Dependency(**parts, group=group, **reasons()[parts["package"]])
        for group, requirements in groups.items()
        for parts in map(_parts, requirements)
        if parts["package"] != project["name"]
    ]


@functools.cache
def reasons() -> dict[str, dict[str, str]]:
    """Licence and reason of each package."""
    return tomllib.loads(_REASONS.read_text("utf-8"))


def is_gpl(licence: str) -> bool:
    """Whether a licence asks for the same licence of a program that is made with the package."""
    return bool(re.search(r"(?<!L)GPL", _EXCEPTED.sub("", licence)))


def shown(found: list[Dependency]) -> list[tuple[str, ...]]:
    """Rows of a table: package, groups, versions, licence, reason; each package once."""
    by_package: dict[str, list[Dependency]] = {}
    for one in found:
        by_package.setdefault(one.package, []).append(one)
    return [
        (
            f"[{package}](https://pypi.org/project/{package}/)",
            ", ".join(dict.fromkeys(f"`{one.group}`" for one in lines)),
            "; ".join(dict.fromkeys(map(_versions, lines))),
            f"**{lines[0].licence}**" if is_gpl(lines[0].licence) else lines[0].licence,
            lines[0].why,
        )
        for package, lines in by_package.items()
    ]


def _versions(one: Dependency) -> str:
    return f"{one.versions} where {one.where.replace(chr(39), '')}" if one.where else one.versions


def _parts(requirement: str) -> dict[str, str]:
    match = _REQUIREMENT.fullmatch(requirement)
    assert match, requirement
    return {name: (text or "").strip() for name, text in match.groupdict().items()}
