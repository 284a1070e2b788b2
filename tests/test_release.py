"""What must agree before a version is released."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
CITATION = (ROOT / "CITATION.cff").read_text("utf-8")
CHANGELOG = (ROOT / "CHANGELOG.md").read_text("utf-8")


def test_citation_and_changelog_name_the_version_of_pyproject_and_one_date_once_it_is_released():
    versions = re.findall(r"^## \[([\d.]+)\] - (unreleased|\d{4}-\d\d-\d\d)$", CHANGELOG, re.M)
    version, date = versions[0]
    assert version == VERSION
    assert re.findall(r"^version: (\S+)$", CITATION, re.M) == [VERSION]
    released = [] if date == "unreleased" else [date]
    assert re.findall(r"^date-released: (\S+)$", CITATION, re.M) == released


def test_every_version_of_the_changelog_has_its_link():
    headings = re.findall(r"^## \[(\S+)\]", CHANGELOG, re.M)
    assert headings == re.findall(r"^\[(\S+)\]: https://", CHANGELOG, re.M)


@pytest.mark.skipif(not (ROOT / ".ci").exists(), reason="the source archive has no hooks")
def test_the_hooks_before_a_commit_run_the_ruff_that_ci_runs():
    hooks = (ROOT / ".pre-commit-config.yaml").read_text("utf-8")
    pinned = (ROOT / ".ci" / "constraints.txt").read_text("utf-8")
    (hook,) = re.findall(r"ruff-pre-commit\n +rev: v(\S+)", hooks)
    assert re.search(r"^ruff==(\S+)$", pinned, re.M)[1] == hook
