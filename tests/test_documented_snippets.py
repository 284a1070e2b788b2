"""The Python of the README and the documentation: what it names exists, and cheap pieces run."""

import ast
import importlib
import importlib.util
import inspect
import re
import runpy
import subprocess
import sys

import pytest
from documented import PAGES, Fence, fences

import frankrl
from frankrl.config import setting_names

SNIPPETS = fences("python")
BY_PLACE = [pytest.param(each, id=f"{each.page}:{each.line}") for each in SNIPPETS]
SHOWS_A_MISTAKE = "except frankrl.FrankError"
COMPLETE = ("docs/python.md", "docs/export.md")
"""Pages that say of themselves that their examples run in order."""


def named(node):
    """The dotted name of an expression such as `frankrl.hub.push`; empty if it has none."""
    if isinstance(node, ast.Name):
        return node.id
    return f"{named(node.value)}.{node.attr}" if isinstance(node, ast.Attribute) else ""


def resolved(name):
    owner = frankrl
    for part in name.split(".")[1:]:
        owner = getattr(owner, part)
    return owner


@pytest.mark.parametrize("snippet", BY_PLACE)
def test_whatever_of_frank_a_snippet_names_exists_and_takes_these_keywords(snippet: Fence):
    check_names(snippet.code, checks_keywords=SHOWS_A_MISTAKE not in snippet.code)


@pytest.mark.parametrize("page", PAGES)
def test_a_call_of_frank_in_a_sentence_exists_and_takes_these_keywords(page):
    for call in re.findall(r"(?<!`)`(frankrl\.[\w.]+\([^`]*\))`", PAGES[page]):
        check_names(call.replace("…", "..."))


def check_names(code, *, checks_keywords=True):
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("frankrl"):
            module = importlib.import_module(node.module)
            assert [each.name for each in node.names if not hasattr(module, each.name)] == []
        if isinstance(node, ast.Attribute) and named(node).startswith("frankrl."):
            resolved(named(node))
        is_call = isinstance(node, ast.Call) and named(node.func).startswith("frankrl.")
        if is_call and checks_keywords:
            check_keywords(named(node.func), {word.arg for word in node.keywords if word.arg})


def check_keywords(name, keywords):
    parameters = inspect.signature(resolved(name)).parameters
    unknown = keywords - parameters.keys()
    if any(each.kind is each.VAR_KEYWORD for each in parameters.values()):
        unknown -= set(setting_names())
    assert not unknown, f"{name} has no {unknown}"


def snippet_with(words):
    (found,) = [each for each in SNIPPETS if words in each.code]
    return found


def run(code, folder):
    """What a piece of Python defines."""
    file = folder / "snippet.py"
    file.write_text(code, "utf-8")
    return runpy.run_path(str(file), {"frankrl": frankrl})


def shown_after(snippet):
    """The output that the page shows below a snippet."""
    below = [
        each for each in fences("text") if each.page == snippet.page and each.line > snippet.line
    ]
    return below[0].code.strip()


@pytest.mark.parametrize(
    "words",
    [
        pytest.param("value_of_next_state =", id="the notes' numbers"),
        pytest.param("learning_rat=", id="a mistyped setting"),
        pytest.param("gradient_steps=4", id="another library's names"),
    ],
)
def test_a_snippet_prints_what_the_page_shows_below_it(words, capsys, tmp_path):
    snippet = snippet_with(words)
    run(snippet.code, tmp_path)
    assert capsys.readouterr().out.strip() == shown_after(snippet)


@pytest.mark.parametrize(
    ("made_by", "name"),
    [
        ("class Corridor(gymnasium.Env)", "Corridor"),
        ("class Walk(", "Walk"),
        ("class Road(", "Road"),
    ],
)
def test_an_environment_that_a_page_defines_is_one_that_frank_takes(made_by, name, tmp_path):
    snippet = snippet_with(made_by)
    code = re.split(r"^(?:quick =|frankrl\.train)", snippet.code, flags=re.M)[0]
    env = run(code, tmp_path)[name]()
    observation, _ = env.reset(seed=0)
    for action in [1] * 10:
        assert env.observation_space.contains(observation)
        observation, reward, terminated, truncated, _ = env.step(action)
        assert isinstance(float(reward), float)
        if terminated or truncated:
            observation, _ = env.reset()


@pytest.mark.slow
@pytest.mark.parametrize("page", COMPLETE)
def test_the_examples_of_a_page_that_says_so_run_in_order(page, tmp_path):
    code = [each.code for each in SNIPPETS if each.page == page]
    if importlib.util.find_spec("stable_baselines3") is None:
        code = [each for each in code if "stable_baselines3" not in each]
    script = tmp_path / "page.py"
    script.write_text("\n".join(code), "utf-8")
    done = subprocess.run(
        [sys.executable, script.name], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
