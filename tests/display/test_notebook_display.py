"""What a training shows in a notebook, with a stand-in for IPython."""

import sys
import types

import pytest
from test_training_display import PROGRESS, Terminal, evaluated

from frankrl.display import choice, notebook
from frankrl.display.choice import display_in_python
from frankrl.display.notebook import NotebookDisplay, in_notebook
from frankrl.display.progress_bar import progress_bar
from frankrl.display.training import LiveDisplay, PlainDisplay
from frankrl.training import Solved


@pytest.fixture
def drawn(monkeypatch):
    """What every output of the cell has shown, oldest first."""
    outputs = []

    class Handle:
        def __init__(self, shown):
            self.shown = shown

        def update(self, html):
            self.shown.append(html)

    def display(html, display_id):
        assert display_id
        outputs.append([html])
        return Handle(outputs[-1])

    module = types.ModuleType("IPython")
    module.get_ipython = lambda: types.SimpleNamespace(kernel=object())
    module.display = types.ModuleType("IPython.display")
    module.display.HTML, module.display.display = str, display
    monkeypatch.setitem(sys.modules, "IPython", module)
    monkeypatch.setitem(sys.modules, "IPython.display", module.display)
    monkeypatch.setattr(notebook, "_LEAST_SECONDS", 0.0)
    return outputs


def begun():
    display = NotebookDisplay()
    display._total = 50_000
    return display


def test_one_output_is_drawn_again_in_place(drawn):
    with begun() as display:
        display.show(PROGRESS)
        display.show(evaluated([1.0, 2.0]))
        display.show_episodes(3, 10)
        display.show(Solved(1_000, 2.0, 500.0))
        display.end(["Finished after 50,000 env steps"])
    (output,) = drawn
    assert 'value="1000" max="50000"' in output[0]
    assert "mean return (100)" in output[0]
    assert "3 of 10 episodes" in output[2]
    assert "3 of 10 episodes" not in output[0]
    assert "<progress" not in output[-1]
    for line in ("over 2 greedy episodes", "solved at env step 1,000", "Finished after 50,000"):
        assert line in output[-1]


def test_lines_are_escaped(drawn):
    with begun() as display:
        display.log("<script>alert(1)</script>")
        display.note("<b>")
        display.show(PROGRESS)
    assert "<script>" not in "".join(drawn[0])
    assert "&lt;script&gt;" in drawn[0][-1]
    assert "&lt;b&gt;" in drawn[0][-1]


def test_a_training_without_a_result_leaves_what_is_known(drawn):
    with begun() as display:
        display.log("a line")
    assert "a line" in drawn[0][-1]


def test_a_bar_goes_when_its_work_is_done(drawn):
    with progress_bar("evaluating", "episodes") as show:
        show(0, 4)
        show(3, 4)
    (output,) = drawn
    assert "3 of 4 episodes" in output[-2]
    assert output[-1] == ""


def test_who_wants_no_progress_gets_none(drawn):
    with progress_bar("evaluating", "episodes", progress=False) as show:
        show(1, 4)
    assert isinstance(display_in_python(progress=False), PlainDisplay)
    assert drawn == []


def test_a_notebook_is_told_from_a_terminal(drawn, monkeypatch):
    assert in_notebook()
    assert isinstance(display_in_python(progress=True), NotebookDisplay)
    sys.modules["IPython"].get_ipython = lambda: object()  # IPython on a terminal
    assert not in_notebook()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(choice.sys, "stderr", Terminal())
    assert isinstance(display_in_python(progress=True), LiveDisplay)


def test_without_a_terminal_nothing_is_shown(capsys):
    assert not in_notebook()
    with (
        display_in_python(progress=True) as display,
        progress_bar("evaluating", "episodes") as show,
    ):
        display.log("a line")
        show(1, 2)
    assert capsys.readouterr() == ("", "")
