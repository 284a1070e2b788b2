"""A run folder of somebody else runs nothing, whatever is done with it."""

import json
import shutil
import sys

import pytest
from foreign_runs import CANARY, CODE, foreign_copy, set_in_config

import frankrl
from frankrl.cli.main import main
from frankrl.core.errors import FrankError, FrankWarning, RunFolderError
from frankrl.dashboard.run_table import RunTable
from frankrl.dashboard.work.__main__ import _do
from frankrl.runs import RunFolder, list_checkpoints
from frankrl.runs.mark import key_file

SMALL = {"total_env_steps": 300, "learning_starts_env_steps": 100, "hidden_widths": [8]}
SMALL |= {"checkpoint_every_env_steps": 200, "final_evaluation_episodes": 1}
INSIDE, BESIDE = "runs.evil.evilmod", "outsider"
MODULES = ("runs", "runs.evil", INSIDE, BESIDE)


class _Log:
    def progress(self, done, of):
        pass


def frank(*words):
    try:
        return main([str(word) for word in words])
    except SystemExit as stop:
        return int(stop.code or 0)


def asked(kind, allow_code=False, **order):
    """A job of the dashboard's worker."""
    return lambda run, out: _do(
        {"kind": kind, "run": str(run), "allow_code": allow_code, **order}, out, _Log()
    )


NEEDS_ENVIRONMENT = {
    "resume": lambda run, out: frank("train", "--resume", run, "--total-env-steps", "400"),
    "evaluate": lambda run, out: frank("evaluate", run, "--episodes", "1"),
    "evaluate --best": lambda run, out: frank("evaluate", run, "--best", "--episodes", "1"),
    "film": lambda run, out: frank("film", run, "--out", out / "film.mp4"),
    "export of fresh episodes": lambda run, out: frank(
        *("export", run, "--minari", "a-v0", "--out", out, "--evaluation-episodes", "1")
    ),
    "explain --update": lambda run, out: frank("explain", run, "--update", "150"),
    "explain --update of the beginning": lambda run, out: frank("explain", run, "--update", "5"),
    "frankrl.resume": lambda run, out: frankrl.resume(run, total_env_steps=400),
    "Agent.make_env": lambda run, out: frankrl.load(run).make_env(),
    "frankrl.evaluate": lambda run, out: frankrl.evaluate(frankrl.load(run), episodes=1),
    "frankrl.explain": lambda run, out: frankrl.explain(run, update=150),
    "the page's episode": asked("episode", seed=0),
    "the page's update": asked("update", number=150),
}
NEEDS_NONE = {
    "plot": lambda run, out: frank("plot", run, "--out", out / "plot.png"),
    "explain": lambda run, out: frank("explain", run),
    "export": lambda run, out: frank(
        *("export", run, "--onnx", out / "a.onnx", "--safetensors", out / "a.safetensors")
    ),
    "export of the replay buffer": lambda run, out: frank(
        *("export", run, "--minari", "a-v0", "--out", out)
    ),
    "frankrl.load": lambda run, out: frankrl.load(run).act([0, 0, 0, 0]),
    "the page's list": lambda run, out: RunTable(run.parent).refresh(),
    "the page's diagnostics": asked("diagnostics"),
}
VERBS = NEEDS_ENVIRONMENT | NEEDS_NONE


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = tmp_path_factory.mktemp("own") / "run"
    frankrl.train("CartPole-v1", preset="default", out=path, evaluate_every_env_steps=100, **SMALL)
    return path


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder as if unpacked from somewhere, in which `PYTHONPATH=. frank …` is called."""
    evil = tmp_path / "runs" / "evil"
    evil.mkdir(parents=True)
    for file in ("runs/__init__.py", f"{BESIDE}.py"):
        (tmp_path / file).write_text(CODE)
    monkeypatch.setenv(f"FRANK_{CANARY.upper()}", str(tmp_path / CANARY))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for module in MODULES:
        sys.modules.pop(module, None)


def evil_run(run, place, module, **env_kwargs):
    (place / "runs" / "evil").rmdir()
    env_id = f"{module}:CartPole-v1" if module else "CartPole-v1"
    path = foreign_copy(run, place / "runs" / "evil", env_id, **env_kwargs)
    for file in ("__init__.py", "evilmod.py", "random.py"):
        (path / file).write_text(CODE)
    return path


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("module", [INSIDE, BESIDE])
def test_nothing_that_a_foreign_run_names_is_imported(run, place, module, verb, tmp_path):
    path = evil_run(run, place, module)
    before = (path / "config.toml").read_bytes()
    checkpoints = list_checkpoints(path / "checkpoints")
    out = tmp_path / "out"
    out.mkdir()
    try:
        status = VERBS[verb](path, out)
    except FrankError as error:
        status = str(error)
    assert not (place / CANARY).exists()
    if verb in NEEDS_ENVIRONMENT:
        assert status == 2 or module in status
    assert (path / "config.toml").read_bytes() == before
    assert list_checkpoints(path / "checkpoints") == checkpoints


@pytest.mark.parametrize("text", [f"{BESIDE}.maker", f"{BESIDE}:Env", f"{BESIDE}.py", "../x.so"])
def test_a_text_in_the_arguments_of_a_foreign_environment_names_no_code_either(
    run, place, text, capsys
):
    path = evil_run(run, place, "", nested=[{"entry_point": text}])
    assert frank("evaluate", path) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "was not written by your own Frank" in line
    assert repr(text) in line


WRAPPED = {
    "wrappers": ["{0}:Wrapper"],
    "evaluation_wrappers": ["{0}:Wrapper"],
    "evaluation_env_kwargs": '{{"maker": "{0}:Env"}}',
}


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize(("setting", "module"), [("wrappers", INSIDE), ("wrappers", BESIDE)])
def test_no_wrapper_that_a_foreign_run_names_is_imported(run, place, setting, module, verb):
    _refuses_what_is_named(run, place, setting, module, verb)


@pytest.mark.parametrize("setting", ["evaluation_wrappers", "evaluation_env_kwargs"])
@pytest.mark.parametrize("verb", ["evaluate", "film", "frankrl.resume", "the page's episode"])
def test_nothing_that_its_evaluations_name_is_imported_either(run, place, setting, verb):
    _refuses_what_is_named(run, place, setting, BESIDE, verb)


def _refuses_what_is_named(run, place, setting, module, verb):
    path = evil_run(run, place, "")
    value = WRAPPED[setting]
    named = value.format(module) if isinstance(value, str) else [v.format(module) for v in value]
    set_in_config(path, setting, named)
    out = place / "out"
    out.mkdir()
    try:
        status = VERBS[verb](path, out)
    except FrankError as error:
        status = str(error)
    assert not (place / CANARY).exists()
    if verb in NEEDS_ENVIRONMENT:
        assert status == 2 or module in status


def test_a_preset_that_is_the_config_of_a_foreign_run_imports_nothing(run, place, capsys):
    path = evil_run(run, place, "")
    preset, name = str(path / "config.toml"), f"{BESIDE}:Wrapper"
    set_in_config(path, "wrappers", [name])
    (place / f"{BESIDE}.py").write_text(f"{CODE}Wrapper = lambda env: env\n")
    with pytest.raises(RunFolderError, match=f"names '{name}'.* give wrappers yourself"):
        frankrl.train("CartPole-v1", preset=preset, out=place / "new")
    assert main(["train", "CartPole-v1", "--preset", preset, "--out", str(place / "new")]) == 2
    assert "give --wrappers yourself" in capsys.readouterr().err
    assert not (place / CANARY).exists()
    assert not (place / "new").exists()
    frankrl.train("CartPole-v1", preset=preset, out=place / "new", wrappers=[], **SMALL)
    assert not (place / CANARY).exists()


def test_a_wrapper_that_the_user_names_too_is_imported(run, place):
    path = evil_run(run, place, "")
    name = f"{BESIDE}:Wrapper"
    set_in_config(path, "wrappers", [name])
    (place / f"{BESIDE}.py").write_text(f"{CODE}Wrapper = lambda env: env\n")
    with pytest.warns(FrankWarning, match=f"because code of {BESIDE} was not there"):
        frankrl.resume(path, wrappers=[name], total_env_steps=400)
    assert (place / CANARY).exists()


@pytest.mark.parametrize("verb", ["evaluate", "resume", "Agent.make_env", "the page's episode"])
@pytest.mark.parametrize("name", ["os:mkdir", "pathlib:Path.touch", "subprocess:run"])
def test_code_of_a_module_that_is_there_already_is_not_called(run, place, verb, name):
    (place / "runs" / "evil").rmdir()
    target = str(place / CANARY)
    kwargs = {"os:mkdir": {"path": target}, "pathlib:Path.touch": {"self": target}}
    kwargs |= {"subprocess:run": {"args": ["touch", target]}}
    path = foreign_copy(run, place / "runs" / "evil", name)
    for given in ({}, kwargs[name]):
        set_in_config(path, "env_kwargs", json.dumps(given))
        try:
            status = VERBS[verb](path, place)
        except FrankError as error:
            status = str(error)
        assert status == 2 or name in status
    assert not (place / CANARY).exists()


@pytest.mark.filterwarnings("always:.*because you allow the run's code")
@pytest.mark.parametrize("verb", ["resume", "evaluate", "film"])
def test_a_user_who_names_the_environment_or_allows_the_code_gets_it(run, place, verb, capsys):
    for word in ("--env", "--allow-code"):
        path = evil_run(run, place, BESIDE)
        words = {
            "resume": ["train", "--resume", path, "--total-env-steps", "400"],
            "evaluate": ["evaluate", path, "--episodes", "1"],
            "film": ["film", path, "--out", place / "film.mp4"],
        }[verb]
        words += [word] * (word == "--allow-code" or verb != "resume")
        words += [f"{BESIDE}:CartPole-v1"] * (word == "--env")
        assert frank(*words) == 0
        assert (place / CANARY).exists()
        told = capsys.readouterr().err
        assert (f"'{BESIDE}' (from {place / BESIDE}.py)" in told) == (word == "--allow-code")
        (place / CANARY).unlink()
        sys.modules.pop(BESIDE)
        shutil.rmtree(path)
        path.mkdir()


@pytest.mark.parametrize("words", [["--allow-code"], ["--env", f"{INSIDE}:CartPole-v1"]])
def test_a_module_in_the_run_folder_is_never_imported(run, place, words, capsys):
    path = evil_run(run, place, INSIDE)
    assert frank("evaluate", path, *words) == 2
    assert "lies in the run folder itself" in capsys.readouterr().err
    assert not (place / CANARY).exists()


def test_a_user_who_names_another_environment_is_told(run, place, capsys):
    path = evil_run(run, place, BESIDE)
    assert frank("evaluate", path, "--env", "other:CartPole-v1") == 2
    assert f"is of '{BESIDE}:CartPole-v1', not of 'other:CartPole-v1'" in capsys.readouterr().err


def test_the_page_imports_what_a_foreign_run_names_only_if_it_was_started_so(run, place):
    path = evil_run(run, place, BESIDE)
    out = place / "out"
    out.mkdir()
    with pytest.raises(FrankError, match=r"--allow-code|allow_code"):
        asked("update", number=150)(path, out)
    assert not (place / CANARY).exists()
    with pytest.warns(FrankWarning, match=f"names '{BESIDE}' .from {place}"):
        asked("update", allow_code=True, number=150)(path, out)
    assert (place / CANARY).exists()


def test_a_module_that_is_imported_already_needs_no_word(run, place):
    path = evil_run(run, place, BESIDE)
    __import__(BESIDE)
    assert len(frankrl.evaluate(frankrl.load(path), episodes=1).returns) == 1


@pytest.mark.parametrize("verb", ["resume", "evaluate", "film", "explain --update"])
@pytest.mark.parametrize("code", [INSIDE, BESIDE, "os:system"])
def test_no_functional_environment_that_a_foreign_run_names_is_imported(run, place, code, verb):
    path = evil_run(run, place, f"functional:{code}")
    assert NEEDS_ENVIRONMENT[verb](path, place) == 2
    assert not (place / CANARY).exists()
    if code == BESIDE and verb == "evaluate":
        env_id = f"functional:{BESIDE}:CartPole-v1"
        assert frank("evaluate", path, "--env", env_id) == 2  # it has none of that name
        assert (place / CANARY).exists()


def test_from_python_the_environment_is_named_or_its_code_allowed_in_the_call(run, place):
    path = evil_run(run, place, BESIDE)
    agent = frankrl.load(path)
    with pytest.raises(FrankError, match=r"name its environment .* or give allow_code=True"):
        frankrl.evaluate(agent, episodes=1)
    assert not (place / CANARY).exists()
    found = frankrl.evaluate(agent, episodes=1, env=f"{BESIDE}:CartPole-v1")
    assert len(found.returns) == 1
    assert (place / CANARY).exists()


@pytest.mark.parametrize("verb", ["evaluate", "resume"])
def test_ones_own_run_opens_without_a_word(place, verb):
    run = place / "runs" / "own"
    frankrl.train(f"{BESIDE}:CartPole-v1", preset="default", out=run, **SMALL)
    (place / CANARY).unlink()
    sys.modules.pop(BESIDE)
    assert NEEDS_ENVIRONMENT[verb](run, place) == 0
    assert (place / CANARY).exists()
    # Another user has another key.
    key_file().write_bytes(bytes(32))
    sys.modules.pop(BESIDE)
    assert NEEDS_ENVIRONMENT[verb](run, place) == 2
    key_file().unlink()


def test_evaluate_and_explain_check_the_checkpoint_before_they_make_the_environment(run, place):
    path = evil_run(run, place, BESIDE)
    for weights in path.glob("checkpoints/*/*.safetensors"):
        weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    for words in (["evaluate"], ["explain", "--update", "250"]):
        assert frank(words[0], path, *words[1:], "--allow-code") == 2
    assert not (place / CANARY).exists()


def test_a_foreign_run_becomes_ones_own_once_it_was_continued_by_name(run, place):
    path = evil_run(run, place, BESIDE)
    env_id = f"{BESIDE}:CartPole-v1"
    frankrl.resume(path, env=env_id, total_env_steps=400)
    sys.modules.pop(BESIDE)
    assert RunFolder.open(path).description.env_id == env_id
    assert frank("evaluate", path, "--episodes", "1") == 0
