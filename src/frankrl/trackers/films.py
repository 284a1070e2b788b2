"""Films of a run's agent in the run's trackers."""

from pathlib import Path

from frankrl.core.errors import SettingError, warn
from frankrl.core.text import shown
from frankrl.core.wording import option
from frankrl.runs import RunFolder, RunLock
from frankrl.trackers.attached import opened
from frankrl.trackers.names import check_permitted, check_trackers


def check_film_trackers(run: RunFolder) -> None:
    """Check that a run names trackers that can be used, before there is a film.

    Raises:
        FrankError: it names none, or one is missing or not to be used.
    """
    names = run.description.settings.saving.log
    if not names:
        raise SettingError(
            f"{run.path} names no trackers, so there is nothing to give the film to: train with "
            f"{option('log')}, or leave it out here"
        )
    check_permitted(run, names)
    check_trackers(names)


def log_film(run: RunFolder, env_steps: int, film: Path) -> None:
    """Give a film to each tracker of a run; what goes wrong there is a warning.

    Args:
        run: the run.
        env_steps: env steps after which the agent was filmed.
        film: the file.

    Raises:
        RunFolderError: another process is writing the run.
    """
    lock = RunLock(run.path, run.path)
    try:
        for name in dict.fromkeys(run.description.settings.saving.log):
            try:
                tracker, _ = opened(name, run)
                try:
                    tracker.film(env_steps, film)
                finally:
                    tracker.close()
            except Exception as error:
                warn(f"the tracker {name} has no film: {type(error).__name__}: {shown(error)}")
    finally:
        lock.release()
