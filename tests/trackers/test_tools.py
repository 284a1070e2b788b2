"""Each tracker with its own library, read back by that library's own reader."""

import json
import os
import re
import signal
from pathlib import Path

import pytest
import slow_steps
import wandb_file
from dashboard_runs import wait_until
from long_forms import some_of
from robustness.runs import finished, frank
from tracked import held, of_metrics, without_clock

import frankrl
from frankrl.cli.main import main
from frankrl.runs import list_checkpoints
from frankrl.runs.checkpoint_folder import remove_checkpoint

pytestmark = [
    # Of the libraries themselves.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::PendingDeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning:(mlflow|trackio|wandb|sqlalchemy|pydantic).*"),
    pytest.mark.filterwarnings("ignore:The ``noload`` loader"),
]
SMALL = {
    "preset": "default",
    "hidden_widths": (8,),
    "num_envs": 2,
    "learning_starts_env_steps": 100,
    "total_env_steps": 600,
    "log_every_env_steps": 50,
    "checkpoint_every_env_steps": 200,
    "evaluate_every_env_steps": 200,
    "evaluation_episodes": 1,
    "final_evaluation_episodes": 2,
}
NEEDS = {"tensorboard": "tensorboard", "wandb": "wandb", "trackio": "trackio", "mlflow": "mlflow"}
FLOAT32 = 1e-6
"""TensorBoard keeps floats of 32 bits."""


def notes(run, name):
    file = run / "trackers" / f"{name}.json"
    return json.loads(file.read_text()) if file.exists() else {"kept": {}, "logged": {}}


def kept(run, name):
    return notes(run, name)["kept"]


def of_tensorboard(run, place):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(run / "trackers" / "tensorboard"), size_guidance={"scalars": 0})
    found.Reload()
    names = found.Tags()["scalars"]
    return held((e.step, {name: e.value}) for name in names for e in found.Scalars(name))


def of_trackio(run, place):
    from trackio.sqlite_storage import SQLiteStorage

    rows = SQLiteStorage.get_logs("CartPole-v1", run.name)
    own = ("step", "timestamp")
    return held((row["step"], {n: row[n] for n in row if n not in own}) for row in rows)


def of_wandb(run, place):
    number = kept(run, "wandb").get("id")
    files = sorted(place.glob(f"wandb/offline-run-*-{number}/run-{number}.wandb"))
    rows = [row for file in files for row in wandb_file.rows(file)]
    own = re.compile("_.*|env_steps")
    return held((row["env_steps"], {n: row[n] for n in row if not own.match(n)}) for row in rows)


def of_mlflow(run, place):
    from mlflow.tracking import MlflowClient

    # A client makes the database, which two processes cannot do at a time.
    if not (number := kept(run, "mlflow").get("run_id")):
        return {}
    client = MlflowClient(os.environ["MLFLOW_TRACKING_URI"])
    names = client.get_run(number).data.metrics
    rows = [row for name in names for row in client.get_metric_history(number, name)]
    return held((row.step, {row.key: row.value}) for row in rows)


READERS = {"tensorboard": of_tensorboard, "trackio": of_trackio, "wandb": of_wandb}
READERS["mlflow"] = of_mlflow


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A working directory in which all trackers keep to themselves, without a network."""
    path = tmp_path_factory.mktemp("place")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(path)
        patch.setenv("WANDB_MODE", "offline")
        patch.setenv("TRACKIO_DIR", str(path / "trackio"))
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{path}/mlflow.db")
        patch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
        yield path


def needed(name):
    for module in (NEEDS[name], {"tensorboard": "tensorboardX"}.get(name, NEEDS[name])):
        pytest.importorskip(module, reason="needs: pip install '.[test-integrations]'")


# MLflow takes 10 seconds to make its database.
@pytest.fixture(scope="module", params=some_of(NEEDS, ["tensorboard"]))
def tracked(request, place):
    """A run that went back to env step 400, as by a kill, and then on to 800."""
    name = request.param
    needed(name)
    run = place / f"run-of-{name}"
    frankrl.train("CartPole-v1", out=run, log=[name], seed=3, **SMALL)
    first = READERS[name](run, place)
    for checkpoint in list_checkpoints(run / "checkpoints"):
        if int(checkpoint.name) > 400:
            remove_checkpoint(checkpoint)
    metrics = of_metrics(run)
    frankrl.resume(run, total_env_steps=800)
    return name, run, metrics, first


def test_a_tracker_holds_the_numbers_of_the_run_s_metrics(tracked):
    _, _, metrics, first = tracked
    assert without_clock(first) == pytest.approx(metrics, rel=FLOAT32)
    assert (600, "time/fps") in first


def test_after_going_back_a_tracker_goes_on_in_the_same_run_and_repeats_nothing(tracked, place):
    name, run, _, first = tracked
    found = READERS[name](run, place)
    wanted = of_metrics(run)
    assert {key: found[key] for key in first} == first
    assert {key: found[key] for key in wanted} == pytest.approx(wanted, rel=FLOAT32)
    assert {step for step, _ in found.keys() - first.keys()} == {650, 700, 750, 800}


def test_the_settings_are_in_the_tracker(tracked, place):
    name, run, _, _ = tracked
    if name == "tensorboard":
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
        from tensorboard.plugins.hparams import metadata

        found = EventAccumulator(str(run / "trackers" / "tensorboard")).Reload()
        assert found.Tags()["tensors"] == ["settings/text_summary"]
        content = found.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
        start = metadata.parse_session_start_info_plugin_data(content)
        assert start.hparams["seed"].number_value == 3
        assert start.hparams["env_id"].string_value == "CartPole-v1"
    elif name == "wandb":
        number = kept(run, name)["id"]
        first, second = sorted(place.glob(f"wandb/offline-run-*-{number}/*.wandb"))
        assert wandb_file.config(first)["seed"] == 3
        assert wandb_file.config(second)["total_env_steps"] == 800
    elif name == "trackio":
        from trackio import Api

        (found,) = Api().runs("CartPole-v1")
        assert (found.config["seed"], found.config["hidden_widths"]) == (3, "[8]")
    else:
        from mlflow.tracking import MlflowClient

        found = MlflowClient().get_run(kept(run, name)["run_id"])
        assert found.info.status == "FINISHED"
        assert (found.data.params["seed"], found.data.params["hidden_widths"]) == ("3", "[8]")


def test_a_film_reaches_the_tracker(tracked, place, capfd):
    name, run, _, _ = tracked
    film = place / f"film-{name}.gif"
    assert main(["film", str(run), "--log", "--out", str(film), "--seed", "1"]) == 0
    assert "has no film" not in capfd.readouterr().err
    content = film.read_bytes()
    if name == "tensorboard":
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        found = EventAccumulator(str(run / "trackers" / "tensorboard"), {"images": 0}).Reload()
        (image,) = found.Images("film")
        assert (image.step, image.encoded_image_string) == (800, content)
        size = [int.from_bytes(content[at : at + 2], "little") for at in (6, 8)]
        assert [image.width, image.height] == size
    elif name == "mlflow":
        from mlflow.tracking import MlflowClient

        found = MlflowClient().download_artifacts(kept(run, name)["run_id"], f"film/{film.name}")
        assert Path(found).read_bytes() == content
    else:
        where = {"wandb": "wandb/offline-run-*/files/media", "trackio": "trackio/media"}[name]
        assert [file.read_bytes() for file in place.glob(f"{where}/**/*.gif")] == [content]


def is_between(run, name, place):
    """Whether a run's tracker holds what the run has done since its newest checkpoint."""
    there = list_checkpoints(run / "checkpoints")
    if not there:
        return False
    newest = int(there[-1].name)
    return max(READERS[name](run, place), default=(0, ""))[0] > newest


@pytest.mark.slow
@pytest.mark.parametrize("name", READERS)
def test_kill_9_and_a_resume_log_no_env_step_twice(name, place, monkeypatch):
    needed(name)
    # W&B's own process that a test before has started here: it would hold the killed run for ever.
    monkeypatch.delenv("WANDB_SERVICE", raising=False)
    run = place / f"killed-{name}"
    words = ["--preset", "default", "--hidden-widths", "8", "--num-envs", "2"]
    words += ["--learning-starts-env-steps", "100", "--log-every-env-steps", "100"]
    words += ["--checkpoint-every-env-steps", "1000", "--total-env-steps", "1_000_000"]
    words += ["--evaluate-every-env-steps", "500", "--evaluation-episodes", "1"]
    words += ["--final-evaluation-episodes", "1", "--wrappers", "slow_steps:SlowSteps"]
    words += ["--evaluation-wrappers", "none"]
    folder = Path(slow_steps.__file__).parent
    process = frank(
        "train", "CartPole-v1", "--out", run, "--log", name, *words, PYTHONPATH=str(folder)
    )
    # Between two checkpoints, so that the resume repeats what was logged.
    wait_until(lambda: process.poll() is not None or is_between(run, name, place))
    process.send_signal(signal.SIGKILL)
    code, told = finished(process)
    assert code == -signal.SIGKILL, told
    before = READERS[name](run, place)
    reached = max(before)[0]
    noted = notes(run, name)["logged"]
    again = frank(
        *("train", "--resume", run, "--total-env-steps", str(reached + 500)), PYTHONPATH=str(folder)
    )
    code, told = finished(again)
    assert code == 0, told
    assert "the tracker" not in told, told
    found, wanted = READERS[name](run, place), of_metrics(run)
    assert {key: found[key] for key in before} == before
    missing = wanted.keys() - found.keys()
    # Only W&B cannot say what it holds: what it had not written yet at the kill is missing.
    assert not missing or name == "wandb"
    written = {of: max(step for step, kind in before if kind == of) for _, of in before}
    lost = {(step, of) for step, of in missing if written.get(of, 0) < step <= noted.get(of, 0)}
    assert missing - lost == set()
    shown = {key: found[key] for key in wanted.keys() - missing}
    assert shown == pytest.approx({key: wanted[key] for key in shown}, rel=FLOAT32)
