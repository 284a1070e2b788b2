"""What is saved where an environment, the caller or the run folder fails."""

import shutil

import pytest
from long_forms import some_of
from robustness.runs import contents

import frankrl
from frankrl.core.errors import EnvironmentFailedError, RunFolderError
from frankrl.runs import RunFolder, list_checkpoints
from frankrl.training import Progress

QUICK = {
    "preset": "default",
    "hidden_widths": (8,),
    "learning_starts_env_steps": 40,
    "log_every_env_steps": 60,
    "evaluate_every_env_steps": 100_000,
    "final_evaluation_episodes": 2,
    "num_envs": 3,
    "total_env_steps": 420,
}
LATE = 100_000
"""A checkpoint that a run would only write at its end."""


WAYS = [
    # where, overlap, vector_steps, every
    ("step", True, 1, LATE),
    ("step", False, 4, 60),
    ("reset", True, 3, LATE),
    ("reset", False, 1, 60),
]


@pytest.mark.parametrize(
    ("where", "overlap", "vector_steps", "every"), some_of(WAYS, default=WAYS[1:3])
)
def test_what_stands_is_saved_before_an_environment_s_error_is_raised(
    where, overlap, vector_steps, every, tmp_path
):
    broken = tmp_path / "broken"
    settings = QUICK | {"overlap": overlap, "vector_steps_per_round": vector_steps}
    settings |= {"env_kwargs": {"while_there": str(broken), "where": where}}
    settings |= {"checkpoint_every_env_steps": every}
    frankrl.train("frank_easy:Breaks-v0", out=tmp_path / "whole", **settings)
    broken.touch()
    with pytest.raises(
        EnvironmentFailedError, match=r"it broke.*is saved up to env step"
    ) as raised:
        frankrl.train("frank_easy:Breaks-v0", out=tmp_path / "run", **settings)
    newest = int(list_checkpoints(tmp_path / "run" / "checkpoints")[-1].name)
    # Three episodes of 20 steps, then the fourth one's beginning.
    at = 3 * (60 + (7 if where == "step" else 0))
    assert at - 2 * 3 * vector_steps <= newest <= at
    assert f"up to env step {newest:,}: frankrl.resume(" in str(raised.value)
    broken.unlink()
    frankrl.resume(tmp_path / "run")
    assert contents(tmp_path / "run") == contents(tmp_path / "whole")


def test_a_run_that_fails_again_after_a_resume_is_saved_again(tmp_path):
    broken = tmp_path / "broken"
    broken.touch()
    settings = QUICK | {"env_kwargs": {"while_there": str(broken), "where": "step"}}
    with pytest.raises(EnvironmentFailedError):
        frankrl.train("frank_easy:Breaks-v0", out=tmp_path / "run", **settings)
    before = list_checkpoints(tmp_path / "run" / "checkpoints")
    # New environments count their episodes anew, so the same one breaks later.
    with pytest.raises(EnvironmentFailedError):
        frankrl.resume(tmp_path / "run")
    assert list_checkpoints(tmp_path / "run" / "checkpoints")[-1].name > before[-1].name


@pytest.mark.parametrize("error", [AssertionError(), RunFolderError("mine")])
def test_what_stands_is_saved_before_the_caller_s_error_is_raised(error, tmp_path):
    settings = QUICK | {"checkpoint_every_env_steps": LATE}
    frankrl.train("CartPole-v1", out=tmp_path / "whole", **settings)
    seen = []

    def fail(event):
        seen.append(event)
        if isinstance(event, Progress) and event.env_steps >= 120:
            raise error

    with pytest.raises(type(error)) as raised:
        frankrl.train("CartPole-v1", out=tmp_path / "run", on_event=fail, **settings)
    assert raised.value is error
    (saved,) = list_checkpoints(tmp_path / "run" / "checkpoints")
    assert int(saved.name) == seen[-1].env_steps
    frankrl.resume(tmp_path / "run")
    assert contents(tmp_path / "run") == contents(tmp_path / "whole")


def test_a_run_that_fails_before_its_first_round_has_nothing_to_save(tmp_path):
    with pytest.raises(EnvironmentFailedError, match="on fire") as raised:
        frankrl.train(
            "frank_easy:Faulty-v0",
            env_kwargs={"fault": "raise", "at": 1},
            out=tmp_path / "run",
            **QUICK,
        )
    assert "saved" not in str(raised.value)
    assert list_checkpoints(tmp_path / "run" / "checkpoints") == []


def moved(run, tmp_path):
    run.rename(tmp_path / "elsewhere")


def deleted(run, tmp_path):
    shutil.rmtree(run)


def replaced(run, tmp_path):
    run.rename(tmp_path / "elsewhere")
    run.mkdir()
    (run / ".lock").write_text("1")


@pytest.mark.parametrize(
    ("what", "every"), [(moved, 60), (moved, LATE), (deleted, LATE), (replaced, 60)]
)
def test_a_run_whose_folder_goes_away_stops_at_its_next_save_and_says_so(what, every, tmp_path):
    run, steps = tmp_path / "run", []

    def interfere(event):
        steps.append(event.env_steps)
        if isinstance(event, Progress) and event.env_steps == 120:
            what(run, tmp_path)

    settings = QUICK | {"checkpoint_every_env_steps": every}
    words = "moved or deleted" if what is deleted else f"moved to {tmp_path / 'elsewhere'}"
    with pytest.raises(RunFolderError, match=f"run folder {run} was {words}"):
        frankrl.train("CartPole-v1", out=run, on_event=interfere, **settings)
    assert max(steps) <= 180
    assert [file.name for file in run.glob("*")] == ([".lock"] if what is replaced else [])
    if what is moved and every == 60:
        assert RunFolder.open(tmp_path / "elsewhere").description.env_id == "CartPole-v1"
        assert frankrl.resume(tmp_path / "elsewhere").env_steps == 420
