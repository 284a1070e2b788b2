"""The document of an update as an HTML page and as text."""

import dataclasses
import math
import os
import sys
from html.parser import HTMLParser

import numpy as np
import pytest

import frankrl
from frankrl.cli.main import main as frank
from frankrl.config import AtariSettings
from frankrl.environments import describe
from frankrl.environments.preprocessing import Preprocessing
from frankrl.explaining import origins, reopen
from frankrl.explaining.document import (
    Document,
    Formula,
    Histogram,
    Line,
    NamedValues,
    Section,
    Table,
    Vectors,
)
from frankrl.explaining.html import as_html
from frankrl.explaining.narrative import narrate
from frankrl.explaining.notes import notes_document
from frankrl.explaining.plain import plain
from frankrl.explaining.text import as_text
from frankrl.runs import RunFolder, atomic_file

TRANSITION = 5
HOSTILE = """<script>alert("1")</script> ' & " <img src=http://x onerror=y>"""
SETTINGS = {
    "preset": "default",
    "hidden_widths": (16, 8),
    "num_envs": 4,
    "n_step": 3,
    "double": True,
    "learning_starts_env_steps": 60,
    "target_period_updates": 50,
    "evaluate_every_env_steps": 10_000,
    "final_evaluation_episodes": 1,
    "total_env_steps": 400,
}


class Page(HTMLParser):
    """The visible content of a page: texts by element, tables as rows of cells."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.texts, self.tables, self.marked = [], [], [], []
        self._open = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in ("meta", "col"):
            self._open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
            if ("class", "marked") in attrs:
                self.marked.append(self.tables[-1][-1])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        if "style" in self._open:
            return
        self.texts.append(data)
        if "td" in self._open or "th" in self._open:
            self.tables[-1][-1][-1] += data

    def numbers(self):
        """Every number in the text."""
        words = " ".join(self.texts).replace(",", "").replace("(", " ").replace(")", " ").split()
        return {word.rstrip(":;") for word in words}

    def attributes(self, name):
        return [attrs[name] for _, attrs in self.elements if name in attrs]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = tmp_path_factory.mktemp("pages") / "run"
    frankrl.train("CartPole-v1", seed=3, out=path, **SETTINGS)
    return RunFolder.open(path)


@pytest.fixture(scope="module")
def record(run):
    return reopen(run, 300).record


@pytest.fixture(scope="module")
def came_from(run, record):
    return origins(run, run.description.settings, run.description.seed, record.transition_env_steps)


@pytest.fixture(scope="module")
def document(run, record, came_from):
    settings = run.description.settings
    return narrate(record, came_from, TRANSITION, describe("CartPole-v1", {}), settings, "a test's")


@pytest.fixture(scope="module")
def page(document):
    return Page(as_html(document))


def numbers_in(value):
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [number for part in value for number in numbers_in(part)]
    if value is None or isinstance(value, bool | str):
        return []
    return [str(value) if isinstance(value, int) else f"{value:.4g}"]


def test_every_number_of_the_followed_transition_is_on_the_page(record, came_from, page):
    data = plain(record, came_from)
    size, batch = len(record.losses), data.pop("batch")
    shares, origin = data.pop("loss_shares"), data.pop("origins")[TRANSITION]
    del batch["discount"]  # the page prints γⁿ as a power
    own = [value[TRANSITION] for value in batch.values() if value is not None]
    for value in data.values():
        each = isinstance(value, list) and len(value) == size
        own.append(value[TRANSITION] if each else value)
    wanted = [*numbers_in([*own, *origin.values()]), f"{shares[TRANSITION]:.1%}"]
    assert len(wanted) > 40
    assert set(wanted) <= page.numbers()


def test_the_q_values_of_both_networks_are_next_to_their_actions(record, page):
    names = describe("CartPole-v1", {}).action_names
    shown = [table for table in page.tables if table[0][0] == "action"]
    taken, best = record.batch.action[TRANSITION], int(record.next_policy[TRANSITION].argmax())
    expected = [
        ("Q(s, ·; θ)", record.q_values, taken, "taken"),
        ("Q(s′, ·; θ⁻)", record.target_q_values, best, "used"),
        ("Q(s′, ·; θ)", record.online_next_q_values, best, "picked"),
    ]
    assert len(shown) == len(expected)
    for table, (heading, values, marked, mark) in zip(shown, expected, strict=True):
        assert table[0][1] == heading
        for number, (name, value) in enumerate(zip(names, values[TRANSITION], strict=True)):
            label = f"{name} {mark}" if number == marked else name
            assert table[1 + number][:2] == [label, f"{value:.4g}"]


@pytest.mark.parametrize(
    ("values", "extents", "scale"),
    [
        ((46.66, 46.09, 46.36), [(100, 0), (5, 95), (50, 50)], "−0.6 … 0"),
        ((-10.0, 30.0), [(0, 100), (100, 0)], "−40 … 0"),
        ((7.0, -math.inf, 6.0), [(100, 0), (0, 100)], "−1 … 0"),
        ((2.0, 2.0), [(100, 0), (100, 0)], "all equal"),
    ],
)
def test_bars_show_how_far_each_action_is_below_the_best(values, extents, scale):
    names = tuple(map(str, range(len(values))))
    block = NamedValues("Q", names, values)
    page = Page(as_html(Document("", "", (Section("", (block,)),))))
    bars = [attrs for tag, attrs in page.elements if tag == "rect"]
    assert [(float(bar["x"]), float(bar["width"])) for bar in bars] == extents
    assert page.tables[0][0] == ["action", "Q", f"Q − max Q, {scale}"]


def test_bars_of_logits_are_called_so():
    block = NamedValues("logits of s", ("a", "b"), (2.0, 2.0), symbol="logit")
    page = Page(as_html(Document("", "", (Section("", (block,)),))))
    assert page.tables[0][0] == ["action", "logits of s", "logit − max logit, all equal"]


def test_bars_of_probabilities_begin_at_zero():
    block = NamedValues("π", ("a", "b"), (0.25, 0.75), are_probabilities=True)
    page = Page(as_html(Document("", "", (Section("", (block,)),))))
    bars = [attrs for tag, attrs in page.elements if tag == "rect"]
    assert [(float(bar["x"]), float(bar["width"])) for bar in bars] == [(0, 25), (0, 75)]


def test_the_whole_batch_is_on_the_page_and_the_followed_one_is_marked(record, came_from, page):
    header, *rows = page.tables[-1]
    assert header[0] == "transition"
    assert len(rows) == len(record.losses)
    names = describe("CartPole-v1", {}).action_names
    for number, (row, origin) in enumerate(zip(rows, came_from, strict=True)):
        ago = record.env_steps - origin.env_step
        assert row == [
            f"{number} followed" if number == TRANSITION else str(number),
            *(f"{count:,}" for count in (origin.env_index, origin.episode, origin.step, ago)),
            names[record.batch.action[number]],
            "explored" if origin.explored else "greedy",
            f"{record.batch.reward[number]:.4g}",
            "yes" if record.terminated[number] else "no",
            f"{record.chosen_q[number]:.4g}",
            f"{record.targets[number]:.4g}",
            f"{record.td_errors[number]:.4g}",
            f"{record.loss_shares[number]:.1%}",
        ]
    assert page.marked[-1] == rows[TRANSITION]


def test_the_histogram_of_the_td_errors_has_a_text_alternative(record, page):
    (words,) = [attrs["aria-label"] for tag, attrs in page.elements if attrs.get("role") == "img"]
    counts = [int(part.rpartition(": ")[2]) for part in words.split("; ")]
    assert len(counts) == 8
    assert sum(counts) == len(record.losses)


def test_text_has_the_content_of_the_page_without_the_table_of_the_batch(document, page):
    lines = as_text(document)
    for section in document.sections:
        assert (section.title in lines) != section.too_wide_for_terminals
    assert not any("followed" in line for line in lines)
    for formula in (b for s in document.sections for b in s.blocks if isinstance(b, Formula)):
        line = next(line for line in lines if str(formula.parts[0]) in line)
        assert line.strip() in "".join(page.texts)


def test_a_page_loads_nothing_and_runs_nothing(document):
    text = as_html(document)
    page = Page(text)
    tags = {tag for tag, _ in page.elements}
    assert not tags & {"script", "link", "img", "iframe", "object", "embed", "form", "base", "a"}
    names = {name for _, attrs in page.elements for name in attrs}
    assert not {name for name in names if name in ("src", "href") or name.startswith("on")}
    assert "http" not in text.replace("http-equiv", "")
    style = text.partition("<style>")[2].partition("</style>")[0]
    assert "url(" not in style
    assert "@import" not in style
    assert "default-src 'none'; style-src 'unsafe-inline'; img-src data:" in page.attributes(
        "content"
    )
    assert text.index("http-equiv") < text.index("<style>")


def test_headings_columns_and_rows_are_named_for_screen_readers(page):
    assert [tag for tag, _ in page.elements if tag in ("h1", "h2")] == ["h1", *["h2"] * 8]
    scopes = [attrs.get("scope") for tag, attrs in page.elements if tag == "th"]
    assert set(scopes) == {"col", "row"}
    labels = [attrs["aria-labelledby"] for tag, attrs in page.elements if tag == "section"]
    assert set(labels) <= set(page.attributes("id"))


def test_text_that_looks_like_markup_is_escaped():
    blocks = (
        Line(HOSTILE),
        Formula((HOSTILE, 1.5, HOSTILE)),
        Vectors((HOSTILE,), ((HOSTILE, (1.0,)),)),
        NamedValues(HOSTILE, (HOSTILE, "other"), (1.0, -2.0), 0, HOSTILE),
        Table(HOSTILE, (HOSTILE, HOSTILE), ((HOSTILE, HOSTILE),), 0, HOSTILE),
        Histogram(HOSTILE, (1, 2), (0.0, 1.0, 2.0)),
    )
    page = Page(as_html(Document(HOSTILE, HOSTILE, (Section(HOSTILE, blocks),))))
    assert not {"script", "img"} & {tag for tag, _ in page.elements}
    known = {"aria-label", "aria-labelledby", "aria-hidden", "charset", "class", "colspan"}
    known |= {"content", "height", "http-equiv", "id", "lang", "name", "preserveaspectratio"}
    known |= {"role", "scope", "tabindex", "text-anchor", "viewbox", "width"}
    known |= {"x", "x1", "x2", "y", "y1", "y2"}
    assert {name for _, attrs in page.elements for name in attrs} <= known
    # The title twice, what it is about, the section and each place of a block.
    assert "".join(page.texts).count(HOSTILE) == 4 + 1 + 2 + 2 + 3 + 6 + 1
    assert sum(HOSTILE in label for label in page.attributes("aria-label")) == 3


def test_a_batch_of_one_has_a_td_error_and_no_picture_of_it():
    document = notes_document(describe("LunarLander-v3", {}))
    assert "   TD error of the single transition of the batch: 1.853" in as_text(document)
    assert not [b for s in document.sections for b in s.blocks if isinstance(b, Histogram)]


@pytest.mark.parametrize(
    ("errors", "words"),
    [
        (np.full(64, 0.25, np.float32), "TD error of the 64 transitions of the batch: 0.25"),
        (np.array([1] * 63 + [np.nextafter(np.float32(1), np.float32(2))], np.float32), "█ 63"),
    ],
)
def test_equal_td_errors_are_shown_without_a_histogram(run, record, came_from, errors, words):
    alike = dataclasses.replace(record, td_errors=errors)
    settings = run.description.settings
    document = narrate(alike, came_from, TRANSITION, describe("CartPole-v1", {}), settings, "")
    assert any(line.endswith(words) for line in as_text(document))
    assert "nan" not in Page(as_html(document)).numbers()


def test_negative_numbers_in_a_formula_have_brackets(run, record, came_from):
    chosen = np.full_like(record.chosen_q, -2.5)
    negative = dataclasses.replace(record, chosen_q=chosen)
    settings = run.description.settings
    document = narrate(negative, came_from, TRANSITION, describe("CartPole-v1", {}), settings, "")
    assert any(" − (-2.5) = " in line for line in as_text(document))


def test_clipped_rewards_and_lost_lives_are_said_where_they_count(run, record, came_from):
    spec, ends = describe("CartPole-v1", {}), np.ones_like(record.terminated)
    clipped = Preprocessing(clip_rewards=True, atari=AtariSettings(life_loss_terminates=True))
    game = dataclasses.replace(spec, preprocessing=clipped)
    record, settings = dataclasses.replace(record, terminated=ends), run.description.settings
    lines = [
        as_text(narrate(record, came_from, TRANSITION, each, settings, "")) for each in (spec, game)
    ]
    for words in ("each reward of the environment was clipped to -1 … 1", "or a life was lost"):
        assert [any(words in line for line in each) for each in lines] == [False, True]


def test_the_command_writes_a_page_in_place_of_the_old_one_and_prints_its_name(
    run, record, tmp_path, capsys
):
    file = tmp_path / "update.html"
    file.write_text("the page before")
    words = ["explain", str(run.path), "--update", "300", "--transition", "5", "--html", str(file)]
    assert frank(words) == 0
    assert capsys.readouterr().out == f"{file}\n"
    page = Page(file.read_text("utf-8"))
    assert f"{record.targets[5]:.4g}" in page.numbers()
    assert str(run.path) in "".join(page.texts)
    assert list(tmp_path.iterdir()) == [file]


def test_without_a_run_the_notes_become_a_page(tmp_path, capsys):
    file = tmp_path / "notes.html"
    assert frank(["explain", "--html", str(file)]) == 0
    assert capsys.readouterr().out == f"{file}\n"
    page = Page(file.read_text("utf-8"))
    assert {"4.953", "3.434", "0.905"} <= page.numbers()


def test_what_an_update_costs_is_worked_out_once(run, monkeypatch, capsys):
    def again(*_):
        raise AssertionError("asked a second time")

    monkeypatch.setattr(sys.modules["frankrl.explaining.reopen"], "cost_of", again)
    assert frank(["explain", str(run.path), "--update", "300"]) == 0
    assert "Update 300" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("missing/update.html", "missing first"),
        (".", "is a folder: name a file in it"),
        ("pipe", "is no ordinary file"),
        ("file/update.html", "lies in no folder"),
        ("u" * 300 + ".html", "leads nowhere: file name too long"),
    ],
)
@pytest.mark.parametrize("of_run", [True, False])
def test_a_path_that_cannot_be_written_is_refused_before_any_work(
    run, tmp_path, capsys, place, words, of_run
):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").touch()
    opened = [str(run.path), "--update", "300"] if of_run else []
    assert frank(["explain", *opened, "--html", str(tmp_path / place)]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert words in printed.err
    assert str(tmp_path) in printed.err
    assert {path.name for path in tmp_path.iterdir()} == {"pipe", "file"}


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere"
)
def test_a_folder_that_may_not_be_written_is_refused(run, tmp_path, capsys):
    tmp_path.chmod(0o500)
    file = tmp_path / "update.html"
    assert frank(["explain", str(run.path), "--update", "300", "--html", str(file)]) == 2
    assert "cannot be written: Permission denied" in capsys.readouterr().err


def test_a_page_that_cannot_be_finished_leaves_the_old_one(tmp_path, capsys, monkeypatch):
    def full(path, content):
        path.write_bytes(content[:10])
        if content:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(atomic_file, "write_durably", full)
    file = tmp_path / "notes.html"
    file.write_text("the page before")
    assert frank(["explain", "--html", str(file)]) == 2
    assert "No space left on device" in capsys.readouterr().err
    assert file.read_text() == "the page before"
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize(
    "refused", [["--update", "9999"], ["--update", "300", "--transition", "64"], []]
)
def test_a_refused_update_or_transition_leaves_no_file(run, tmp_path, capsys, refused):
    file = tmp_path / "update.html"
    assert frank(["explain", str(run.path), *refused, "--html", str(file)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_page_and_json_at_once_are_refused(run, tmp_path, capsys):
    file = tmp_path / "update.html"
    both = ["--json", "--html", str(file)]
    for opened in ([str(run.path), "--update", "300"], []):
        assert frank(["explain", *opened, *both]) == 2
        assert "give one of the two" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
