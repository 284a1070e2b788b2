"""The packages that pyproject.toml names, and their licences, against what is installed."""

import importlib.metadata
import importlib.util
import re
import sys
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


def needed_by(requirements):
    """Every installed package that these requirements bring here, whatever asks for it."""
    found, waiting = set(), [(Requirement(text), "") for text in requirements]
    while waiting:
        requirement, extra = waiting.pop()
        name = requirement.name.lower()
        if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
            continue
        if name in found or not is_installed(name):
            continue
        found.add(name)
        wanted = requirement.extras or {""}
        waiting += [
            (Requirement(text), one)
            for text in importlib.metadata.requires(name) or []
            for one in wanted
        ]
    return found


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


def test_nothing_that_is_always_installed_is_under_the_gpl(page):
    core = [one for one in page.dependencies() if one.group == page.CORE]
    assert not [one.package for one in core if page.is_gpl(one.licence)]
    needed = needed_by([one.package for one in core])
    assert {"jaxlib", "gymnasium", "numpy"} <= needed
    assert not [package for package in needed if "GPL" in stated_licences(package)]


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
