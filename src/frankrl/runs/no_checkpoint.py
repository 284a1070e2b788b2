"""Why a run has no checkpoint, and when there will be one."""

import contextlib

from frankrl.config import Settings
from frankrl.core.errors import FrankError, RunFolderError
from frankrl.core.wording import option
from frankrl.runs.folder import RunFolder
from frankrl.runs.initial import INITIAL
from frankrl.runs.lock import is_held
from frankrl.runs.metrics import MetricsReader


def no_checkpoint(folder: RunFolder, *, best: bool = False) -> RunFolderError:
    """The error of a run whose agent is wanted before there is one.

    Args:
        folder: a run without a checkpoint.
        best: the agent with the best evaluation is wanted, not the newest one.
    """
    settings, path = folder.description.settings, folder.path
    what, every, clock = "checkpoint", settings.checkpoint_every, settings.clock
    every = min(every, settings.budget)
    if best:
        what, interval = "best agent", settings.evaluate_every
        if interval is None:
            return RunFolderError(
                f"{path} holds no best agent, because {_setting(settings, best=True)} is none: "
                "take its newest one"
            )
        every = interval
    if not is_held(path):
        return RunFolderError(
            f"{path} holds no {what}: its training ended before the first one, which comes at "
            f"{clock.at(every)}; train again, with a smaller "
            f"{option(_setting(settings, best=best))} if you want one earlier"
            f"{begin_again(folder)}"
        )
    return RunFolderError(
        f"{path} is being trained and holds no {what} yet: the first comes at {clock.at(every)}"
        f"{_how_far(folder, every)}"
    )


def begin_again(folder: RunFolder) -> str:
    """How a run begins again with the weights that it was given; empty if it was given none."""
    if folder.description.origin is None:
        return ""
    flags = f"{option('init_from', str(folder.path / INITIAL))} and {option('overwrite', True)}"
    return f"; it holds the weights that it began with: {flags} begin it with the same ones again"


def _setting(settings: Settings, *, best: bool) -> str:
    return settings.clock.named("evaluate_every" if best else "checkpoint_every")


def _how_far(folder: RunFolder, env_steps: int) -> str:
    """Where the run is, and the time that it needs up to an env step at its newest speed."""
    with contextlib.suppress(FrankError):
        reader = MetricsReader(folder.metrics)
        try:
            row = reader.columns("timing", "env_steps = (SELECT max(env_steps) FROM timing)")
        finally:
            reader.close()
        if len(row["env_steps"]):
            done, speed = int(row["env_steps"][0]), float(row["env_steps_per_second"][0])
            seconds = max(0.0, env_steps - done) / speed if speed > 0 else 0.0
            return f"; it is at {done:,}, about {seconds:,.0f} s before that"
    return ""
