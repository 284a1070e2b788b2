"""What `--overwrite` removes: what a run wrote, and nothing else."""

import os

import pytest

import frankrl
from frankrl.core.errors import RunFolderError
from frankrl.runs import RunDescription, RunFolder
from frankrl.runs.contents import others_in

OWN = (
    ".lock",
    ".config.toml.new",
    "report.json",
    "metrics.sqlite",
    "metrics.sqlite-wal",
    "metrics.sqlite-shm",
    "plot.png",
    ".plot.new-17.png",
    "videos/000000000400-s0.mp4",
    "videos/000000000400-s12.gif",
    "videos/.000000000400-s12.new-9.mkv",
    "checkpoints/000000000200/state.json",
    "checkpoints/000000000200/manifest.json",
    "checkpoints/000000000200/q_network.safetensors",
    "checkpoints/.000000000400.new/replay.safetensors",
    "checkpoints/.000000000100.damaged/state.json",
    "best/000000000200/q_network.safetensors",
    "trackers/wandb.json",
    "trackers/.my-own.json.new",
    "trackers/tensorboard/events.out.tfevents.1790000000.host.0",
    "hub/README.md",
    "hub/source.json",
    "hub/replay.mp4",
)
OTHERS = {
    "notes.txt": "notes.txt",
    "nested/config.toml": "nested/",
    "videos/holiday.mp4": "videos/holiday.mp4",
    "checkpoints/000000000200/notes.md": "checkpoints/000000000200/notes.md",
    "checkpoints/mine/model.pt": "checkpoints/mine/",
    "best.txt": "best.txt",
    "trackers/mine/data.bin": "trackers/mine/",
    "trackers/mine": "trackers/mine",
    ".git/config": ".git/",
    "checkpoints/old": "checkpoints/old",
    "config.toml.bak": "config.toml.bak",
    "README.md": "README.md",
    "hub/notes.md": "hub/notes.md",
}


def run_with(path, *files, log=()):
    settings = frankrl.Settings().resolved().with_changes(log=log)
    description = RunDescription("CartPole-v1", "default", 0, settings)
    run = RunFolder.create(path, description).path
    for file in files:
        (run / file).parent.mkdir(parents=True, exist_ok=True)
        (run / file).write_text("content")
    return run, description


def test_what_a_run_writes_is_removed_with_it(tmp_path):
    run, description = run_with(tmp_path / "run", *OWN)
    assert others_in(run) == []
    RunFolder.create(run, description, overwrite=True)
    assert sorted(os.listdir(run)) == ["checkpoints", "config.toml"]
    assert os.listdir(tmp_path) == ["run"]


def test_the_folder_of_a_tracker_that_the_run_names_is_its_own(tmp_path):
    files = ("trackers/mine/lines.txt", "trackers/mine/more/data.bin")
    run, description = run_with(tmp_path / "run", *files, log=("mine",))
    (run / "trackers" / "mine" / "link").symlink_to(tmp_path)
    with pytest.raises(RunFolderError, match=r"also holds trackers/mine/link: move that away"):
        RunFolder.create(run, description, overwrite=True)
    (run / "trackers" / "mine" / "link").unlink()
    RunFolder.create(run, description, overwrite=True)
    assert sorted(os.listdir(run)) == ["checkpoints", "config.toml"]


@pytest.mark.parametrize("other", OTHERS)
def test_files_of_others_are_named_and_nothing_is_removed(tmp_path, other):
    run, description = run_with(tmp_path / "run", *OWN, other)
    before = sorted(run.rglob("*"))
    with pytest.raises(RunFolderError, match="removes what a run wrote") as raised:
        RunFolder.create(run, description, overwrite=True)
    assert f"also holds {OTHERS[other]}: move that away" in str(raised.value)
    with pytest.raises(RunFolderError, match="removes what a run wrote"):
        frankrl.train("CartPole-v1", out=run, overwrite=True)
    assert sorted(run.rglob("*")) == before


def test_links_are_files_of_others_wherever_they_lead(tmp_path):
    run, _ = run_with(tmp_path / "run")
    (run / "report.json").symlink_to(tmp_path / "elsewhere")
    (run / "videos").symlink_to(tmp_path)
    assert others_in(run) == ["report.json", "videos"]


def test_many_files_of_others_are_named_in_part(tmp_path):
    run, description = run_with(tmp_path / "run", *(f"{number}.txt" for number in range(40)))
    with pytest.raises(RunFolderError) as raised:
        RunFolder.create(run, description, overwrite=True)
    assert "0.txt, 1.txt, 10.txt, 11.txt, 12.txt, …: move" in str(raised.value)


def test_everything_that_a_training_leaves_is_its_own(tmp_path):
    settings = {"total_env_steps": 200, "final_evaluation_episodes": 1, "hidden_widths": [8]}
    settings |= {"evaluate_every_env_steps": 100, "evaluation_episodes": 1}
    run = frankrl.train("CartPole-v1", preset="default", out=tmp_path / "run", **settings).run
    assert others_in(run) == []
    again = frankrl.train(
        "CartPole-v1", preset="default", out=run, overwrite=True, seed=1, **settings
    )
    assert again.run == run
