"""The documentation as it can be read in the repository, without being built."""

import inspect
import pkgutil
import re
from pathlib import Path

import pytest

from frankrl.config.presets import load_preset

DOCS = Path(__file__).parents[1] / "docs"
PAGES = {page.name: page.read_text("utf-8") for page in DOCS.glob("*.md")}
MARKER = re.compile(r"^(?P<before>.*)<!-- (?P<kind>source|page|walk): (?P<name>[^>]+?) -->$", re.M)
LINK = re.compile(r"\]\((?P<path>[^)#:\s]+)(?:#(?P<anchor>[^)]*))?\)")


def markers(*kinds):
    return [
        pytest.param(marker, id=marker["name"])
        for marker in MARKER.finditer(PAGES["step-by-step.md"])
        if marker["kind"] in kinds
    ]


@pytest.mark.parametrize("marker", markers("source", "page"))
def test_a_source_that_the_built_page_shows_is_linked_where_it_is_defined(marker):
    path = DOCS / LINK.search(marker["before"])["path"]
    defined = inspect.getsourcefile(inspect.unwrap(pkgutil.resolve_name(marker["name"])))
    assert path.resolve() == Path(defined).resolve()


@pytest.mark.parametrize("marker", markers("walk"))
def test_what_is_computed_when_the_page_is_built_says_so(marker):
    assert "The built page shows here" in marker["before"]


@pytest.mark.parametrize("page", PAGES)
def test_every_link_to_a_file_of_the_repository_leads_somewhere(page):
    for link in LINK.finditer(PAGES[page]):
        assert (DOCS / link["path"]).exists(), link[0]


@pytest.mark.parametrize("page", PAGES)
def test_every_value_that_a_page_names_is_that_of_its_preset(page):
    for before, preset, setting in re.findall(
        r"(\S+)<!-- value: ([\w.-]+)\.(\w+) -->", PAGES[page]
    ):
        value = load_preset(preset).values()[setting]
        last = value[-1] if isinstance(value, tuple) else value
        words = "none" if last is None else str(last).lower()
        assert before.replace(",", "").strip("(`|").lower() in (words, words.removesuffix(".0"))


@pytest.mark.parametrize("page", [name for name, text in PAGES.items() if "he notes" in text])
def test_the_notes_are_introduced_once_and_linked_from_every_page_that_names_them(page):
    link = "(#the-notes)" if page == "step-by-step.md" else "step-by-step.md#the-notes"
    assert PAGES[page].count(link) == 1
    assert PAGES["step-by-step.md"].count("## The notes") == 1
