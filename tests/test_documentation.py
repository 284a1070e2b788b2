"""The documentation as it can be read in the repository, without being built."""

import ast
import inspect
import pkgutil
import re
import tomllib
from pathlib import Path

import pytest

import frankrl
from frankrl.config.presets import load_preset

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
README = (ROOT / "README.md").read_text("utf-8")
PAGES = {page.relative_to(DOCS).as_posix(): page.read_text("utf-8") for page in DOCS.rglob("*.md")}
MARKER = re.compile(r"^(?P<before>.*)<!-- (?:source|page): (?P<name>[^>]+?) -->$", re.M)
LINK = re.compile(r"\]\((?P<path>[^)#:\s]+)(?:#(?P<anchor>[^)]*))?\)")


@pytest.mark.parametrize(
    "marker",
    [
        pytest.param(marker, id=marker["name"])
        for marker in MARKER.finditer(PAGES["step-by-step.md"])
    ],
)
def test_a_source_that_the_built_page_shows_is_linked_where_it_is_defined(marker):
    path = DOCS / LINK.search(marker["before"])["path"]
    defined = inspect.getsourcefile(inspect.unwrap(pkgutil.resolve_name(marker["name"])))
    assert path.resolve() == Path(defined).resolve()


@pytest.mark.parametrize("page", PAGES)
def test_what_is_written_when_the_page_is_built_says_so_and_where_else_it_is(page):
    for line in re.findall(r"^.*<!-- (?:frank|claim|differs|walk): .*$", PAGES[page], re.M):
        assert "The built page shows here" in line
        assert LINK.search(line) or "`frank " in line


@pytest.mark.parametrize("page", PAGES)
def test_every_link_to_a_file_of_the_repository_leads_somewhere(page):
    for link in LINK.finditer(PAGES[page]):
        assert (DOCS / page).parent.joinpath(link["path"]).exists(), link[0]


def test_every_link_of_the_readme_leads_to_a_file():
    for link in LINK.finditer(README):
        assert (ROOT / link["path"]).exists(), link[0]


def test_on_pypi_every_link_of_the_readme_is_absolute_and_leads_to_a_page_or_a_file():
    hooks = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["hatch"]["metadata"]
    text = README
    for each in hooks["hooks"]["fancy-pypi-readme"]["substitutions"]:
        text = re.sub(each["pattern"], each["replacement"], text)
    targets = re.findall(r"\]\(([^)\s]+)\)", text)
    assert [target for target in targets if not target.startswith("https://")] == []
    site, files = "https://frankrl.github.io/frankrl/", "/frankrl/frankrl/(?:blob/)?main/"
    pages = [target.removeprefix(site).rpartition("/")[0] for target in targets if site in target]
    assert pages
    assert all((DOCS / f"{page}.md").exists() for page in pages)
    named = [re.split(files, target)[1] for target in targets if re.search(files, target)]
    assert named
    assert all((ROOT / name).exists() for name in named)


def test_every_picture_has_words():
    for text in [README, *PAGES.values()]:
        assert re.findall(r"!\[\s*\]\(|<img(?![^>]*alt=\"[^\"]+\")", text) == []


def test_every_public_name_of_python_has_its_place_in_the_reference():
    shown = {
        name.rpartition(".")[2]
        for page in ("api.md", "hub.md", "networks.md", "sweep.md")
        for name in re.findall(r"^::: ([\w.]+)$", PAGES[page], re.M)
    }
    assert {*frankrl.__all__, "push", "pull"} - shown == {"hub"}


@pytest.fixture(scope="module")
def texts_of_the_code():
    """Every text in the code, with … where a value is put in."""
    texts = []
    for file in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_bytes())):
            if isinstance(node, ast.JoinedStr):
                parts = [
                    part.value if isinstance(part, ast.Constant) else "…" for part in node.values
                ]
                texts.append("".join(map(str, parts)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(node.value)
    return texts


def test_every_message_that_troubleshooting_explains_is_one_that_frank_has(texts_of_the_code):
    tables = re.findall(
        r"^\| (?:the line says|note) \|.*?(?=^$)", PAGES["troubleshooting.md"], re.M | re.S
    )
    rows = [row for table in tables for row in table.splitlines()[2:]]
    assert len(rows) > 20
    for row in rows:
        for message in re.findall(r"`([^`]+)`", row.split("|")[1]):
            parts = [part.strip() for part in message.split("…")]
            found = [text for text in texts_of_the_code if all(part in text for part in parts)]
            assert found, message


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
