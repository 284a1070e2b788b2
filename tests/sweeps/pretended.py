"""Sweeps without training: what a run gives is a formula of its settings and its seed."""

import json
import math
import random

from frankrl.config import Settings
from frankrl.jobs import Ended, Outcome
from frankrl.jobs.pruning import reason_to_stop
from frankrl.sweeps.definition import Definition
from frankrl.sweeps.driver import SweepDriver
from frankrl.sweeps.folder import SweepFolder
from frankrl.sweeps.objectives import OBJECTIVES
from frankrl.sweeps.space import space_of

SPACE = space_of(
    {
        "learning_rate": {"low": 1e-4, "high": 1e-2, "log": True},
        "hidden_widths": {"choices": [[8], [16, 16]]},
    }
)
EVALUATIONS = 9


def definition_of(
    *,
    seeds=(100, 101),
    sampler="tpe",
    pruner="none",
    lag=3,
    objective="final_return",
    space=SPACE,
):
    settings = Settings().with_changes(total_env_steps=9_000, evaluate_every_env_steps=1_000)
    return Definition(
        "CartPole-v1",
        "default",
        settings,
        {},
        space,
        OBJECTIVES[objective],
        seeds,
        sampler,
        pruner,
        lag,
        {"optuna": "0"},
    )


def curve_of(job):
    """The evaluations that a whole run of a job would give."""
    rate = math.log10(job.settings.learning.learning_rate)
    level = 100 - 40 * abs(rate + 2.7) + 5 * len(job.settings.network.hidden_widths)
    noise = random.Random(f"{job.seed}")
    return [(1_000 * i, level * i / 9 + noise.random()) for i in range(1, EVALUATIONS + 1)]


def finish(job):
    """Do a job: what it gives goes into a file of its run folder."""
    curve, stop_reason = curve_of(job), None
    for count in range(1, len(curve) + 1) if job.pruning else ():
        stop_reason = reason_to_stop(job.pruning, [mean for _, mean in curve[:count]])
        if stop_reason:
            curve = curve[:count]
            break
    job.run.mkdir(parents=True, exist_ok=True)
    final = None if stop_reason else curve[-1][1]
    plain = {"final": final, "curve": curve, "stop_reason": stop_reason}
    (job.run / "outcome.json").write_text(json.dumps(plain))


def outcome(job):
    """What the run of a job has given."""
    run = job.run
    if not (run / "outcome.json").exists():
        return None
    plain = json.loads((run / "outcome.json").read_text())
    curve = tuple(map(tuple, plain["curve"]))
    seconds = plain.get("seconds", 1.0)
    return Outcome(plain["final"], curve, curve[-1][0], None, None, seconds, plain["stop_reason"])


def driver_of(path, definition, num_trials, **more):
    (path / "trials").mkdir(parents=True, exist_ok=True)
    return SweepDriver(SweepFolder(path), definition, num_trials, outcome=outcome, **more)


def drive(driver, *, slots=3, draw=None, fails=lambda job: "", step=lambda: None):
    """Do a sweep; jobs end in a random order. Returns the largest number under way at once."""
    draw, running, most = draw or random.Random(0), [], 0
    while True:
        while len(running) < slots and (job := driver.next_job()) is not None:
            running.append(job)
        most = max(most, len(running))
        if not running:
            return most
        job = running.pop(draw.randrange(len(running)))
        step()
        if error := fails(job):
            driver.take(Ended(job, False, error, fails_again=True))
            continue
        finish(job)
        step()
        driver.take(Ended(job, True))
