"""The packages that pyproject.toml names, and their licences, against what is installed."""

import importlib.metadata
import importlib.util
import re
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
# Words of metadata, which say the same licence in many ways.
WORDS = {
    r"LGPL|Lesser General": "LGPL",
    r"\bGPL|GNU General Public": "GPL",
    r"Apache": "Apache",
    r"BSD": "BSD",
    r"\bMIT\b": "MIT",
    r"MPL|Mozilla": "MPL",
    r"zlib": "Zlib",
    r"PSF|Python Software Foundation": "PSF",
    r"\bISC\b": "ISC",
}


@pytest.fixture(scope="module")
def page():
    """The module that makes the page's tables."""
    place = ROOT / "docs" / "_build" / "dependencies.py"
    spec = importlib.util.spec_from_file_location("dependencies_page", place)
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def stated_licences(package):
    """The families of licences that an installed package's own metadata names."""
    metadata = importlib.metadata.metadata(package)
    short = (metadata["License"] or "").partition("\n")[0]
    classifiers = [c for c in metadata.get_all("Classifier") or [] if c.startswith("License ::")]
    texts = [metadata["License-Expression"]] if metadata["License-Expression"] else []
    texts = [
        re.sub(r"\S+ WITH GCC-exception\S*", "", text) for text in texts or [*classifiers, short]
    ]
    return {
        family for text in texts for word, family in WORDS.items() if re.search(word, text, re.I)
    }


def is_installed(package):
    try:
        importlib.metadata.distribution(package)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def needed_by(requirements, python):
    """Every package that these requirements bring with a version of Python, whatever asks for it;
    of one that is not installed here, what it asks for is not known."""
    found, waiting = set(), [(Requirement(text), "") for text in requirements]
    on = {"python_version": python, "python_full_version": f"{python}.0"}
    while waiting:
        requirement, extra = waiting.pop()
        name = requirement.name.lower()
        if requirement.marker and not requirement.marker.evaluate({"extra": extra, **on}):
            continue
        wanted = (name, frozenset(requirement.extras or {""}))
        if wanted in found:
            continue
        found.add(wanted)
        asked = (importlib.metadata.requires(name) or []) if is_installed(name) else []
        waiting += [(Requirement(text), one) for text in asked for one in wanted[1]]
    return {name for name, _ in found}


def test_every_dependency_has_its_line_and_no_line_is_without_a_dependency(page):
    assert {one.package for one in page.dependencies()} == set(page.reasons())


def test_each_licence_is_one_that_the_installed_package_states(page):
    stated = {
        one.package: stated_licences(one.package)
        for one in page.dependencies()
        if is_installed(one.package)
    }
    differing = {
        package: families
        for package, families in stated.items()
        if families and re.split(r"-|\d", page.reasons()[package]["licence"])[0] not in families
    }
    assert not differing
    assert sum(map(bool, stated.values())) > 20


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13", "3.14"])
def test_nothing_that_is_always_installed_is_under_the_gpl(page, python):
    core = [one for one in page.dependencies() if one.group == page.CORE]
    assert not [one.package for one in core if page.is_gpl(one.licence)]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    needed = needed_by(project["dependencies"], python)
    assert {"jaxlib", "gymnasium", "numpy", "box2d-py" if python == "3.14" else "box2d"} <= needed
    here = {package for package in needed if is_installed(package)}
    assert not [package for package in here if "GPL" in stated_licences(package)]
    # Of these, which the other versions of Python need, the page says the licence.
    assert needed - here <= set(page.reasons())


def test_gpl_packages_are_named_on_the_page(page):
    text = (ROOT / "docs" / "licences.md").read_text("utf-8")
    gpl = [one for one in page.dependencies() if page.is_gpl(one.licence)]
    assert {one.package for one in gpl} == {"ale-py", "minatar"}
    for one in gpl:
        assert f"`{one.package}` (extra" in text or f"`{one.package}`" in text.partition("##")[0]


def test_every_extra_for_users_stands_among_the_commands(page):
    commands = (ROOT / "docs" / "commands.md").read_text("utf-8")
    section = commands.partition("## Extras")[2].partition("\n## ")[0]
    extras = {one.group for one in page.dependencies()} - {page.CORE, *page.DEVELOPMENT}
    assert {"minari", "remote-storage"} <= extras
    assert not [extra for extra in extras if f"`{extra}`" not in section]


@pytest.mark.parametrize(
    ("licence", "expected"),
    [
        ("GPL-3.0", True),
        ("AGPL-3.0-only", True),
        ("LGPL-2.1", False),
        ("BSD-3-Clause AND GPL-3.0-or-later WITH GCC-exception-3.1", False),
        ("GPL-3.0-or-later AND GPL-2.0 WITH GCC-exception-2.0", True),
        ("MIT", False),
    ],
)
def test_lesser_and_runtime_exceptions_are_not_taken_for_the_gpl(page, licence, expected):
    assert page.is_gpl(licence) is expected
