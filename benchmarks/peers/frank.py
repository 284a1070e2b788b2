"""Frank itself."""

import json
import tempfile
import time
from pathlib import Path

from benchmarks.peers.protocol import (
    EPSILON,
    LEARNING_RATE,
    LEARNING_STARTS_ENV_STEPS,
    TARGET_PERIOD_UPDATES,
    Job,
    Speed,
    StartUp,
    answer,
)
from frankrl.cli.clock import process_started
from frankrl.config import Settings
from frankrl.config.presets import default_preset, load_preset
from frankrl.training import Evaluated, Finished, Progress, Trainer
from frankrl.training.preparing import prepare

SPEED_SETTINGS = {
    "learning_rate": LEARNING_RATE,
    "learning_starts_env_steps": LEARNING_STARTS_ENV_STEPS,
    "gamma": 0.99,
    "target_period_updates": TARGET_PERIOD_UPDATES,
    "epsilon_start": EPSILON,
    "epsilon_end": EPSILON,
    "total_env_steps": 10_000_000,
    "log_every_env_steps": 500,
    "evaluate_every_env_steps": 10_000_000,
    "checkpoint_every_env_steps": 10_000_000,
}


def main() -> None:
    """Do the job."""
    job = Job.given()
    tasks = {"speed": speed, "startup": startup, "solve": solve}
    with tempfile.TemporaryDirectory() as folder:
        tasks[job.task](job, Path(folder) / "run")


def speed(job: Job, run: Path) -> None:
    """Train with the settings that all share."""
    settings = Settings().with_changes(
        **SPEED_SETTINGS,
        num_envs=job.num_envs,
        vector_steps_per_round=job.vector_steps_per_round,
        replay_capacity=job.capacity,
        hidden_widths=job.widths,
        batch_size=job.batch_size,
        replay_ratio=job.replay_ratio,
    )
    training = prepare(job.env_id, "default", settings, job.seed, run, started=process_started())
    measured = Speed(job.seconds)
    for event in training.events(lambda: measured.enough):
        if isinstance(event, Progress):
            measured.done(event.env_steps)
        if isinstance(event, Finished):
            measured.startup_seconds = event.startup_seconds
    training.close()
    answer(measured)


def _own_recipe(job: Job, run: Path, started: float) -> Trainer:
    """Training with the environment's own preset, as `frank train ENV --until-solved` does."""
    preset = default_preset(job.env_id)
    settings = load_preset(preset).with_changes(until_solved=True)
    return prepare(job.env_id, preset, settings, job.seed, run, started=started)


def startup(job: Job, run: Path) -> None:
    """Train to the end of the first round, in which everything is compiled."""
    training, measured = _own_recipe(job, run, process_started()), StartUp()
    rounds_done: list[Progress] = []
    for event in training.events(lambda: bool(rounds_done)):
        if isinstance(event, Progress):
            rounds_done.append(event)
        if isinstance(event, Finished):
            measured.startup_seconds = event.startup_seconds
    training.close()
    answer(measured)


def solve(job: Job, run: Path) -> None:
    """Train until solved, or until the time is over."""
    started = process_started()
    training = _own_recipe(job, run, started)
    evaluations, solved = [], None

    def seconds() -> float:
        return time.perf_counter() - started

    for event in training.events(lambda: seconds() > job.seconds):
        if isinstance(event, Evaluated) and event.purpose == "progress":
            evaluations.append((seconds(), event.env_steps, event.evaluation.mean_return))
        if isinstance(event, Finished):
            solved = event.solved and event.solved.seconds
    training.close()
    print(json.dumps({"solved_seconds": solved, "evaluations": evaluations}))


if __name__ == "__main__":
    main()
