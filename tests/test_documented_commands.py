"""Every command of the README and the documentation is one that the command line accepts."""

import contextlib
import functools
import importlib
import io
import re
import tomllib

import pytest
from documented import PAGES, ROOT, commands, commands_in_sentences

from frankrl.cli import main as command_line
from frankrl.cli.parsing import named_settings
from frankrl.cli.train_options import first_read
from frankrl.config.presets import default_preset
from frankrl.experiments.claims import EXPERIMENTS

FRANK = ("frank", ".venv/bin/frank", "frankrl")
OF_FRANK = {" ".join(found.words[1:]): found for found in commands() if found.words[0] in FRANK}
RUNS_AT_ONCE = ("", "--help", "--version", "train --help", "train --help-all", "completion bash")
SUBCOMMANDS = {"hub": ("push", "pull"), "runs": ("compare", "remove")}
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"][
    "optional-dependencies"
]


class AcceptedError(Exception):
    """The command line has read the command, and would begin."""


@pytest.fixture
def nothing_begins(monkeypatch, tmp_path):
    """The commands stop where they have read their options and settings."""

    def begin(*_, **__):
        raise AcceptedError

    monkeypatch.chdir(tmp_path)
    for name in command_line.COMMANDS:
        module = importlib.import_module(f"frankrl.cli.{name}")
        if name in ("train", "sweep"):
            continue
        read = module.parse

        def parse(*arguments, read=read, **how):
            raise AcceptedError(read(*arguments, **how))

        monkeypatch.setattr(module, "parse", parse)
    for begins in (
        "frankrl.cli.train._begin",
        "frankrl.cli.train._resume",
        "frankrl.cli.train.resume_several",
        "frankrl.cli.train.train_several",
        "frankrl.cli.sweep._show",
        "frankrl.sweeps.run.run_sweep",
    ):
        monkeypatch.setattr(begins, begin)
    monkeypatch.setattr("frankrl.training.data.in_any_folder", lambda name: name)
    # Words are read twice, the second time with the preset's values in the help: once will do.
    monkeypatch.setattr("frankrl.cli.train.first_read", read_once)
    monkeypatch.setattr("frankrl.cli.train.changed_from", changed_from)


def read_once(words):
    return _read(tuple(words))


_read = functools.cache(first_read)


def changed_from(base, words, foreign):
    options = read_once(words)
    return options, base.with_changes(**options.values_of(named_settings(words)), **foreign)


def with_known_preset(words):
    """The words with the preset of the environment in place of a file that only the reader has."""
    return [
        default_preset(words[1]) if before == "--preset" and word.endswith(".toml") else word
        for before, word in zip(["", *words], words, strict=False)
    ]


@pytest.mark.parametrize("typed", OF_FRANK)
def test_a_command_is_accepted(typed, nothing_begins, capsys):
    found = OF_FRANK[typed]
    if typed in RUNS_AT_ONCE:
        with contextlib.suppress(SystemExit):
            assert command_line.main(found.words[1:]) == 0
        assert capsys.readouterr().out
        return
    try:
        status = command_line.main(with_known_preset(found.words[1:]))
    except AcceptedError as accepted:
        (options,) = accepted.args or (None,)
        if found.words[1] == "experiment":
            assert options.name in ("", *EXPERIMENTS)
        return
    said = capsys.readouterr().err.strip()
    assert (status, said) == (2, found.output), found.page


@pytest.fixture(scope="module")
def flags():
    """The flags of each command, as a shell completes them."""
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown):
        assert command_line.main(["completion", "bash"]) == 0
    cases = re.findall(r'^ +"([\w ]+)" [^)]*\) flags="([^"]*)"', shown.getvalue(), re.M)
    return {command: set(words.split()) for command, words in cases}


@pytest.mark.parametrize("page", PAGES)
def test_a_command_in_a_sentence_exists_and_has_the_flags_that_stand_there(page, flags):
    for _, *words in commands_in_sentences(page):
        command = words[0]
        if command == "COMMAND":
            continue
        assert command in [*command_line.COMMANDS, "--help", "--version"], words
        named = {word.partition("=")[0] for word in words[1:] if word.startswith("--")}
        if command == "hub":
            assert len(words) == 1 or words[1] in SUBCOMMANDS["hub"], words
        known = flags.get(" ".join(words[:2])) or flags.get(command, set())
        unknown = named - known - {"--help-all"}
        assert command in ("--help", "--version") or not unknown, words


@pytest.mark.parametrize("page", PAGES)
def test_every_extra_that_a_page_installs_exists(page):
    for names in re.findall(r"(?:'\.|frankrl)\[([a-z0-9,-]+)\]", PAGES[page]):
        assert set(names.split(",")) <= EXTRAS.keys(), names


def test_every_benchmark_that_a_page_runs_exists():
    named = {
        name for text in PAGES.values() for name in re.findall(r"-m benchmarks[. ](\w+)", text)
    }
    assert named
    assert [name for name in named if not (ROOT / "benchmarks" / f"{name}.py").exists()] == []
