"""Goes on with the runs of a group, also up to a larger budget."""

from collections.abc import Mapping
from typing import Any

from frankrl.config import Settings
from frankrl.core.errors import SettingError
from frankrl.core.wording import option
from frankrl.jobs import is_done
from frankrl.jobs.driving import driven
from frankrl.runs import check_code
from frankrl.runs.group import RunGroup
from frankrl.seeds.open_files import allow_open_files
from frankrl.seeds.result import SeedsResult
from frankrl.seeds.train import HowToTrain, on_device, trained
from frankrl.training.memory import check_lanes


def resume_seeds(
    group: RunGroup, how: HowToTrain, changes: Mapping[str, Any] | None = None
) -> SeedsResult | None:
    """Go on with the runs of a group that are not over.

    Args:
        group: the group.
        how: how the runs are done.
        changes: settings that change, by name: a larger budget, up to which the runs go on that
            were neither solved with `until_solved` nor diverged.

    Returns:
        As `train_seeds`.

    Raises:
        FrankError: likewise; another setting was given; or the budget became smaller.
        StoppedError: likewise.
    """
    how.check()
    settings = _extended(group, changes or {})
    check_code(group.as_run(), tuple(settings.code_names()))
    # A link is refused before any run goes on.
    group.begun()
    _refuse_ray(group, settings, how)
    if not group.lanes:
        return trained(_stored(group, settings), how, None)
    if how.wants_processes:
        raise SettingError(
            f"the runs of {group.path} are one program, so {option('processes')}, {option('ray')} "
            f"and {option('print')} cannot be given"
        )
    paths = [group.path_of(seed) for seed in group.seeds]
    if all(is_done(path, settings) for path in paths):
        for number, path in enumerate(paths, 1):
            how.on_run(path, number, len(paths))
        return SeedsResult.of_group(_stored(group, settings))
    allow_open_files(group.lanes)
    experiment = on_device(group.description.env_id, settings, group.seeds)
    if experiment is not None:
        check_lanes(experiment, group.lanes)
    return trained(_stored(group, settings), how, experiment)


def _extended(group: RunGroup, changes: Mapping[str, Any]) -> Settings:
    """The settings of a group whose budget becomes larger.

    Raises:
        SettingError: something else would change.
    """
    before = group.description.settings
    budget = before.budget_name
    if others := [name for name in changes if name != budget]:
        raise SettingError(
            f"the runs of several seeds keep their settings, so {option(others[0])} cannot be "
            f"given: only {option(budget)} may change; train again with it in another folder, or "
            "continue a single one of them"
        )
    settings = before.with_changes(**changes)
    if settings.budget < before.budget:
        raise SettingError(
            f"{option(budget)} of {group.path} is {before.budget:,} and can only become larger, "
            f"got {settings.budget:,}"
        )
    return settings


def _stored(group: RunGroup, settings: Settings) -> RunGroup:
    """The group with these settings, also in its folder.

    Raises:
        RunFolderError: another process drives it, or it cannot be written.
    """
    if settings == group.description.settings:
        return group
    with driven(group.path):
        return group.with_settings(settings)


def _refuse_ray(group: RunGroup, settings: Settings, how: HowToTrain) -> None:
    """Refuse a cluster for runs that have come to the end of a smaller budget.

    Raises:
        SettingError: there is one.
    """
    if how.ray and any(is_done(run) and not is_done(run, settings) for run in group.begun()):
        raise SettingError(
            f"runs of {group.path} have come to the end of a smaller {settings.budget_name}, and "
            f"go on where they are: leave {option('ray')} out"
        )
