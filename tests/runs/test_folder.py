import json
import os

import pytest

from frankrl.cli.main import main as frank
from frankrl.config import Settings
from frankrl.core.errors import RunFolderError, SettingError
from frankrl.listing.run_index import RunIndex
from frankrl.runs import RunDescription, RunFolder, RunLock, differences


def description(seed=0, **changes):
    return RunDescription("CartPole-v1", "default", seed, Settings().with_changes(**changes))


def test_a_created_run_opens_with_its_description(tmp_path):
    path = tmp_path / "deep" / "run"
    created = RunFolder.create(path, description(seed=3, num_envs=4))
    assert RunFolder.open(path) == created
    assert RunFolder.open(str(path)).description == description(seed=3, num_envs=4)
    assert created.checkpoints.is_dir()
    assert [p.name for p in path.parent.iterdir()] == ["run"]


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"replay_sampling": "prioritised"}, "priority_beta_env_steps"),
        ({"learning_rate_end": 1e-5}, "learning_rate_decay_env_steps"),
    ],
)
def test_a_run_without_a_duration_that_it_needs_is_damaged(tmp_path, capsys, changes, name):
    settings = Settings().with_changes(**changes).resolved()
    run = RunFolder.create(tmp_path / "run", RunDescription("CartPole-v1", "default", 0, settings))
    config = run.path / "config.toml"
    kept = [line for line in config.read_text().splitlines() if not line.startswith(name)]
    config.write_text("\n".join(kept))
    with pytest.raises(RunFolderError, match=rf"damaged.*{name} must be a number of env steps"):
        RunFolder.open(run.path)
    assert frank(["train", "--resume", str(run.path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert name in line


def test_an_existing_run_is_left_alone(tmp_path):
    path = tmp_path / "run"
    RunFolder.create(path, description(seed=1))
    with pytest.raises(RunFolderError, match=r"exists already.*frankrl\.resume.*overwrite=True"):
        RunFolder.create(path, description(seed=2))
    assert RunFolder.open(path).description.seed == 1


def test_an_existing_run_is_replaced_whole_when_told_to(tmp_path):
    path = tmp_path / "run"
    RunFolder.create(path, description(seed=1))
    (path / "report.json").write_text("old")
    RunFolder.create(path, description(seed=2), overwrite=True)
    assert RunFolder.open(path).description.seed == 2
    assert sorted(p.name for p in path.iterdir()) == ["checkpoints", "config.toml"]
    assert [p.name for p in tmp_path.iterdir()] == ["run"]


def test_an_empty_folder_may_become_a_run(tmp_path):
    (tmp_path / "run").mkdir()
    RunFolder.create(tmp_path / "run", description())
    assert RunFolder.open(tmp_path / "run").description == description()


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("thesis.txt", "years of work"),
        ("config.toml", 'baseURL = "https://example.org/"\n'),
        ("config.toml", "not even TOML"),
        ("checkpoints/model.pt", "of another program"),
    ],
)
def test_a_folder_that_is_not_a_run_is_never_deleted(tmp_path, file, text, overwrite):
    path = tmp_path / "precious"
    (path / file).parent.mkdir(parents=True)
    (path / file).write_text(text)
    (path / "more.txt").write_text("more")
    with pytest.raises(RunFolderError):
        RunFolder.create(path, description(), overwrite=overwrite)
    assert (path / file).read_text() == text
    assert (path / "more.txt").read_text() == "more"


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_file_or_a_dangling_link_in_the_way_is_left_alone(tmp_path, overwrite):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name in ("file", "link"):
        with pytest.raises(RunFolderError, match=r"is not a run|is a symbolic link"):
            RunFolder.create(tmp_path / name, description(), overwrite=overwrite)
    assert (tmp_path / "file").read_text() == "mine"
    assert (tmp_path / "link").is_symlink()


def test_a_place_that_cannot_hold_a_folder_is_named(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(RunFolderError, match="cannot make the run folder"):
        RunFolder.create(tmp_path / "file" / "run", description())


def test_a_description_that_cannot_be_written_leaves_nothing_behind(tmp_path):
    with pytest.raises(SettingError, match="env_kwargs must be a table or JSON object"):
        RunFolder.create(tmp_path / "run", description(env_kwargs={"a": object()}))
    assert list(tmp_path.iterdir()) == []


def test_a_failed_overwrite_keeps_the_old_run(tmp_path):
    RunFolder.create(tmp_path / "run", description(seed=1))
    with pytest.raises(SettingError):
        RunFolder.create(tmp_path / "run", description(env_kwargs={"a": object()}), overwrite=True)
    assert RunFolder.open(tmp_path / "run").description.seed == 1


def test_what_is_not_a_run_cannot_be_opened(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RunFolderError, match="there is no run folder"):
        RunFolder.open(tmp_path / "none")
    with pytest.raises(RunFolderError, match="is not a run"):
        RunFolder.open(tmp_path)


def test_a_wrong_path_names_the_run_next_to_it(tmp_path):
    RunFolder.create(tmp_path / "right", description())
    with pytest.raises(RunFolderError, match=r"newest run near there is .*right"):
        RunFolder.open(tmp_path / "wrong")


@pytest.mark.parametrize(
    "text",
    [
        b"[run",
        b"",
        b'[run]\nenv_id = "A"\nseed = 0\n[learning]\ngamma = 2\n',
        b'[run]\nenv_id = "A"\nseed = 0\n[learning]\ngama = 0.9\n',
        b"\xff\xfe",
    ],
)
def test_a_damaged_config_is_a_run_folder_error(tmp_path, text):
    RunFolder.create(tmp_path / "run", description())
    (tmp_path / "run" / "config.toml").write_bytes(text)
    with pytest.raises(RunFolderError, match=r"config\.toml"):
        RunFolder.open(tmp_path / "run")


def test_a_report_is_written_whole_and_replaces_the_one_before(tmp_path):
    folder = RunFolder.create(tmp_path / "run", description())
    folder.write_report({"mean_return": 1.5})
    with pytest.raises(ValueError, match="JSON"):
        folder.write_report({"mean_return": float("nan")})
    assert json.loads((folder.path / "report.json").read_text()) == {"mean_return": 1.5}
    folder.write_report({"solved": None})
    assert json.loads((folder.path / "report.json").read_text()) == {"solved": None}


def test_a_run_can_be_given_another_description(tmp_path):
    folder = RunFolder.create(tmp_path / "run", description())
    changed = folder.with_description(description(total_env_steps=7_000))
    assert RunFolder.open(tmp_path / "run") == changed


def test_a_run_that_another_process_writes_is_neither_replaced_nor_locked_again(tmp_path):
    folder = RunFolder.create(tmp_path / "run", description(seed=1))
    lock = RunLock(folder.path, folder.path)
    with pytest.raises(RunFolderError, match=rf"being written by process {os.getpid()}"):
        RunFolder.create(tmp_path / "run", description(seed=2), overwrite=True)
    with pytest.raises(RunFolderError, match="being written"):
        RunLock(folder.path, folder.path)
    lock.release()
    RunFolder.create(tmp_path / "run", description(seed=2), overwrite=True)
    assert RunFolder.open(tmp_path / "run").description.seed == 2
    assert [entry.name for entry in tmp_path.iterdir()] == ["run"]


ESCAPES, LONG = "\x1b]0;title\x07\u202e", "gamma" * 150_000


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("env_id", ESCAPES),
        ("env_id", LONG),
        ("preset", ESCAPES),
        ("preset", LONG),
        ("versions", ESCAPES),
        ("table", LONG),
        ("setting", LONG),
        ("setting", ESCAPES),
        ("value", LONG),
        ("value", ESCAPES),
    ],
)
def test_no_text_of_a_run_folder_reaches_a_reader_raw_or_at_full_length(tmp_path, key, value):
    run = RunFolder.create(tmp_path / "run", description())
    tables = {"run": {"env_id": "CartPole-v1", "preset": "default", "seed": 0}}
    match key:
        case "versions":
            tables["versions"] = {"jax": value, value: "1"}
        case "table":
            tables[value] = {"gamma": 0.9}
        case "setting":
            tables["learning"] = {value: 0.9}
        case "value":
            tables["learning"] = {"gamma": value}
        case _:
            tables["run"][key] = value
    text = [
        f"[{json.dumps(name)}]\n"
        + "".join(f"{json.dumps(k)} = {json.dumps(v)}\n" for k, v in t.items())
        for name, t in tables.items()
    ]
    (run.path / "config.toml").write_text("\n".join(text))
    (listed,) = RunIndex(tmp_path).scan().values()
    try:
        found = RunFolder.open(run.path).description
        told = [found.env_id, found.preset, *differences(found.versions, {})]
    except RunFolderError as error:
        told = [str(error), listed.error]
    assert max(map(len, told)) < 1_200
    assert all(text.isprintable() for text in told)
