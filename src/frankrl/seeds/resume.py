"""Goes on with the runs of a group, also up to a larger budget."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from frankrl.config import Settings
from frankrl.core.errors import RunFolderError, SettingError, warn
from frankrl.core.wording import option
from frankrl.jobs import is_done
from frankrl.jobs.driving import driven
from frankrl.runs import RunFolder, check_code
from frankrl.runs.group import RunGroup
from frankrl.seeds.lanes import check_room
from frankrl.seeds.open_files import allow_open_files
from frankrl.seeds.result import SeedsResult
from frankrl.seeds.standing import was_solved, where_runs_stand
from frankrl.seeds.train import HowToTrain, on_device, trained
from frankrl.training import Experiment


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
    is_larger = settings != group.description.settings
    if how.ray:
        _refuse_ray(group, is_larger=is_larger)
    if group.lanes and how.wants_processes:
        raise SettingError(
            f"the runs of {group.path} are one program, so {option('processes')}, {option('ray')} "
            f"and {option('print')} cannot be given"
        )
    paths = [group.path_of(seed) for seed in group.seeds]
    is_over = all(is_done(path, settings) for path in paths)
    if is_over and is_larger:
        warn(f"every run of {group.path} was solved or has diverged, so none goes on")
        is_larger = False
    if is_over and group.lanes:
        for number, path in enumerate(paths, 1):
            how.on_run(path, number, len(paths))
        return SeedsResult.of_group(group)
    experiment = None
    if group.lanes:
        allow_open_files(group.lanes)
        experiment = on_device(group.description.env_id, settings, group.seeds)
    if is_larger:
        group = _stored(group, settings, experiment)
    return trained(group, how, experiment)


def _extended(group: RunGroup, changes: Mapping[str, Any]) -> Settings:
    """The settings of a group whose budget becomes larger.

    Raises:
        SettingError: something else would change.
    """
    before = group.description.settings
    budget = before.budget_name
    # Names of other libraries, and mistyped ones, are answered here.
    settings = before.with_changes(**changes)
    if others := [name for name in changes if name != budget]:
        raise SettingError(
            f"the runs of several seeds keep their settings, so {option(others[0])} cannot be "
            f"given: only {option(budget)} may change; train again with it in another folder, or "
            "continue a single one of them"
        )
    if settings.budget < before.budget:
        raise SettingError(
            f"{option(budget)} of {group.path} is {before.budget:,} and can only become larger, "
            f"got {settings.budget:,}"
        )
    return settings


def _stored(group: RunGroup, settings: Settings, experiment: Experiment | None) -> RunGroup:
    """The group with a larger budget, also in its folder; all that can be checked is before.

    Args:
        group: the group.
        settings: those with the larger budget.
        experiment: that of any of its seeds, for runs that are lanes; None: they are processes.

    Raises:
        FrankError: another process drives the group, or has changed it; one of its runs is not
            what it must be; or something does not fit.
    """
    with driven(group.path):
        if RunGroup.open(group.path).description != group.description:
            raise RunFolderError(
                f"another process has changed {group.path} meanwhile: give the command again"
            )
        extended = replace(group, description=replace(group.description, settings=settings))
        stand = where_runs_stand(extended)
        for path in map(group.path_of, stand):
            if settings.evaluation.until_solved and was_solved(path):
                raise SettingError(
                    f"{path} was solved, and stopped before it was over: continue {group.path} "
                    f"without {option(settings.budget_name)} first"
                )
        if experiment is not None:
            check_room(group, experiment, stand)
        return group.with_settings(settings)


def _refuse_ray(group: RunGroup, *, is_larger: bool) -> None:
    """Refuse a cluster where runs go on from what they have done with a smaller budget.

    Raises:
        SettingError: they do.
    """
    budget = group.description.settings.budget
    if is_larger or any(
        RunFolder.open(run).description.settings.budget < budget for run in group.begun()
    ):
        raise SettingError(
            f"the runs of {group.path} go on to a larger {group.description.settings.budget_name} "
            f"where they are: leave {option('ray')} out"
        )
