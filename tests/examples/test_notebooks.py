"""The notebooks and scripts in `examples/`, and a training in a kernel that is interrupted."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import frankrl
from frankrl.runs import RunFolder, list_checkpoints

EXAMPLES = Path(__file__).parents[2] / "examples"
NOTEBOOKS = sorted(EXAMPLES.glob("*.ipynb"))
SCRIPTS = sorted(EXAMPLES.glob("*.py"))
MISSING = "nbclient or ipykernel is not installed: pip install -e '.[test-integrations]'"
CELL_SECONDS = 1_200
"""Ends a cell that hangs."""
SHORTER = {
    "until_solved=True": "total_env_steps=3_000, final_evaluation_episodes=3, "
    "env_kwargs={'max_episode_steps': 200}",
    "episodes=20": "episodes=2",
}
"""Budgets as they stand in the examples, and what the tests make of them."""


def shortened(source):
    for budget, shorter in SHORTER.items():
        source = source.replace(budget, shorter)
    return source


def cells(notebook, kind):
    found = json.loads(notebook.read_text("utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in found if cell["cell_type"] == kind]


def test_there_are_three_notebooks_and_a_script_beside_each():
    assert len(NOTEBOOKS) == len(SCRIPTS) == 3


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_has_no_outputs_says_how_long_it_takes_and_is_python(notebook):
    content = json.loads(notebook.read_text("utf-8"))
    assert not [cell for cell in content["cells"] if cell.get("outputs")]
    assert not [cell for cell in content["cells"] if cell.get("execution_count")]
    assert re.search(r"[Tt]akes about \d+ s on 2 cores", cells(notebook, "markdown")[0])
    for source in cells(notebook, "code"):
        ast.parse(source)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_says_how_long_it_takes(script):
    assert re.search(
        r"Takes about \d+ s on 2 cores", ast.get_docstring(ast.parse(script.read_text()))
    )


def classes_in(source):
    return {
        node.name: ast.unparse(node)
        for node in ast.parse(source).body
        if isinstance(node, ast.ClassDef)
    }


@pytest.mark.parametrize("budget", SHORTER)
def test_each_budget_that_the_tests_shorten_is_in_a_notebook_and_its_script(budget):
    notebooks = ["\n".join(cells(notebook, "code")) for notebook in NOTEBOOKS]
    for sources in (notebooks, [script.read_text("utf-8") for script in SCRIPTS]):
        assert sum(source.count(budget) for source in sources) == 1


def test_the_notebook_and_the_script_of_one_s_own_define_the_same_classes():
    notebook = "\n".join(cells(EXAMPLES / "02_your_own.ipynb", "code"))
    script = (EXAMPLES / "own_environment.py").read_text("utf-8")
    defined = classes_in(notebook)
    assert list(defined) == ["Catch", "Network"]
    assert defined == classes_in(script)


def client_of(sources, folder):
    """A client that executes these cells in a kernel of this Python."""
    nbformat = pytest.importorskip("nbformat", reason=MISSING)
    nbclient = pytest.importorskip("nbclient", reason=MISSING)
    pytest.importorskip("ipykernel", reason=MISSING)
    made = [nbformat.v4.new_code_cell(source) for source in sources]
    notebook = nbformat.v4.new_notebook(cells=made)
    resources = {"metadata": {"path": str(folder)}}
    return nbclient.NotebookClient(
        notebook, timeout=CELL_SECONDS, kernel_name="python3", resources=resources
    )


def shown(cell):
    """What a cell shows, by kind."""
    data = [output["data"] for output in cell["outputs"] if "data" in output]
    return {
        kind: [entry[kind] for entry in data if kind in entry]
        for kind in ("text/html", "text/plain")
    }


def mean_return(report):
    """Of the final evaluation."""
    return json.loads(report.read_text("utf-8"))["evaluation"]["mean_return"]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_from_top_to_bottom(notebook, tmp_path):
    client = client_of(map(shortened, cells(notebook, "code")), tmp_path)
    executed = client.execute()
    outputs = [output for cell in executed.cells for output in cell.get("outputs", ())]
    assert not [output for output in outputs if output["output_type"] == "error"]
    assert not [output for output in outputs if output.get("name") == "stderr"]
    html = "".join(text for cell in executed.cells for text in shown(cell)["text/html"])
    assert "<svg" in html
    (report,) = tmp_path.glob("runs/*/report.json")
    assert notebook.stem != "02_your_own" or mean_return(report) > 0.9


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_runs_and_is_quiet_where_there_is_no_terminal(script, tmp_path):
    copy = tmp_path / script.name
    copy.write_text(shortened(script.read_text("utf-8")))
    done = subprocess.run(
        [sys.executable, copy], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert done.stdout.strip()
    (report,) = tmp_path.glob("runs/*/report.json")
    assert script.stem != "own_environment" or mean_return(report) > 0.9


TRAIN = """
import os, signal, threading
import frankrl

def interrupt_once(event):
    # As the kernel's "interrupt" does: SIGINT for its process.
    if type(event).__name__ == "Progress" and not asked:
        asked.append(True)
        os.kill(os.getpid(), signal.SIGINT)

asked = []
try:
    frankrl.train(
        "CartPole-v1",
        preset="default",
        hidden_widths=(8,),
        out="run",
        total_env_steps=100_000_000,
        log_every_env_steps=200,
        evaluate_every_env_steps=None,
        on_event=interrupt_once,
    )
except KeyboardInterrupt as interruption:
    print("interrupted:", interruption)
"""
AFTER = """
agent = frankrl.load("run")
agent
"""


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_an_interrupted_kernel_saves_the_run_and_goes_on(tmp_path):
    executed = client_of([TRAIN, AFTER], tmp_path).execute()
    first, second = executed.cells
    (said,) = [output["text"] for output in first["outputs"] if output.get("name") == "stdout"]
    assert said.startswith("interrupted: the run is saved; frankrl.resume(")
    # One output, drawn again in place: its last state.
    (drawn,) = shown(first)["text/html"]
    assert "Stopped after" in drawn
    folder = RunFolder.open(tmp_path / "run")
    assert list_checkpoints(folder.checkpoints)
    assert "Agent of CartPole-v1, trained for " in shown(second)["text/plain"][0]
    assert "<svg" in shown(second)["text/html"][0]
    reached = frankrl.load(tmp_path / "run").env_steps
    result = frankrl.resume(
        tmp_path / "run", total_env_steps=reached + 100, final_evaluation_episodes=None
    )
    assert result.env_steps >= reached + 100
