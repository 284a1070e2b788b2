"""What the README and the documentation show in code: fenced blocks, and their shell commands."""

import re
import shlex
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text("utf-8")
    for path in [
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        *sorted((ROOT / "docs").rglob("*.md")),
    ]
}
_FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>[a-z]*)[^\n]*\n(?P<code>.*?)^(?P=indent)```$", re.M | re.S
)
_JOINS = ("&&", "||", ";", "|", ">", "<(")
_ASSIGNMENT = re.compile(r"[A-Z_]+=\S*")
_INLINE = re.compile(r"(?<!`)`(?P<line>(?:PYTHONPATH=\S+ )?frank [^`]+)`(?!`)")


class Fence(NamedTuple):
    """A fenced block of code."""

    page: str
    language: str
    code: str
    line: int
    """Its first line in the page, from 1."""


class Command(NamedTuple):
    """A command of a block of shell commands."""

    page: str
    words: list[str]
    output: str
    """What the page says that it prints; empty if it says nothing."""


def fences(*languages: str) -> list[Fence]:
    """The blocks in one of these languages, in the order of the pages."""
    return [
        Fence(
            page,
            found["language"],
            re.sub(rf"^{found['indent']}", "", found["code"], flags=re.M),
            text.count("\n", 0, found.start("code")) + 1,
        )
        for page, text in PAGES.items()
        for found in _FENCE.finditer(text)
        if found["language"] in languages
    ]


def commands_in_sentences(page: str) -> list[list[str]]:
    """The words of every command of Frank that a sentence or a table of a page names.

    It may be the beginning of a command, and have words that stand for something else.
    """
    lines = [found["line"] for found in _INLINE.finditer(_FENCE.sub("", PAGES[page]))]
    return [words for line in lines for words in _simple_commands(line)]


def commands() -> list[Command]:
    """Every command in a block of shell commands, without what is assigned before it."""
    found = []
    for fence in fences("console", "bash"):
        lines = fence.code.replace("\\\n", " ").splitlines()
        if any(line.startswith("$ ") for line in lines):
            output = " ".join(line for line in lines if not line.startswith("$ "))
            lines = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
        else:
            output = ""
        for line in lines:
            found += [Command(fence.page, words, output) for words in _simple_commands(line)]
    return found


def _simple_commands(line: str) -> list[list[str]]:
    """The commands that a line joins, by `&&`, a pipe and so on."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="&|;<>")
    lexer.whitespace_split = True
    joined: list[list[str]] = [[]]
    for word in lexer:
        if word in _JOINS:
            joined.append([])
        elif joined[-1] or not _ASSIGNMENT.fullmatch(word):
            joined[-1].append(word)
    return [words for words in joined if words]
