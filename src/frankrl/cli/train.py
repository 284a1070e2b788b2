"""`frank train`: train, or continue, with a live display."""

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from frankrl.cli.clock import process_started
from frankrl.cli.output import print_result
from frankrl.cli.parsing import named_settings
from frankrl.cli.train_help import short_help
from frankrl.cli.train_options import TrainOptions, changed_from, first_read
from frankrl.cli.train_seeds import is_several, resume_several, train_several
from frankrl.cli.train_shown import published, shown
from frankrl.config import Settings
from frankrl.config.answers import taken_apart
from frankrl.config.presets import default_preset, load_preset
from frankrl.core.errors import FrankError
from frankrl.core.stopping import StopSignals, stop_signals


def run(arguments: Sequence[str]) -> int:
    """Run the command; returns its exit status."""
    # From here on, so that a signal while things are being made does not leave them half made.
    with stop_signals() as signals:
        return _run(arguments, process_started(), signals)


def _run(arguments: Sequence[str], started: float, signals: StopSignals) -> int:
    arguments, foreign = taken_apart(arguments)
    wanted = [word for word in arguments if word not in ("-h", "--help", "--help-all")]
    helping = len(wanted) < len(arguments)
    is_short = helping and "--help-all" not in arguments
    arguments = ["--help" if word == "--help-all" else word for word in arguments]
    # Which preset gives the defaults is itself on the command line, so it is read twice.
    first = first_read(wanted)
    if not first.seeds and any(word.partition("=")[0] == "--seeds" for word in wanted):
        from frankrl.core.seeds import seeds_in

        seeds_in(first.seeds)  # refuses an empty text, such as that of an unset variable
    without = bool(first.data.dataset) and not (first.publish or first.seeds or first.print)
    if not (first.resume or first.env or foreign or helping or without):
        raise FrankError(
            "name an environment, for example: frank train LunarLander-v3 "
            "(or continue a run with --resume RUN)"
        )
    if first.quiet and first.verbose:
        raise FrankError("--quiet shows less and --verbose more: give one of them")
    if first.lease_seconds is not None and not first.publish:
        raise FrankError("--lease-seconds is for a run that is published: give --publish, too")
    if first.dashboard:
        from frankrl.dashboard.serving import check_packages

        check_packages()
    if first.resume:
        from frankrl.runs.group import is_group

        if is_group(Path(first.resume)):
            _check_resume(first, of_several=True)
            return resume_several(first, arguments, foreign)
        return _resume(first, arguments, foreign, started, signals)
    preset = first.preset or default_preset(first.env, first.network.q_function)
    if is_short:
        print_result(short_help(preset, load_preset(preset)))
        return 0
    options, settings = changed_from(load_preset(preset), arguments, foreign)

    from frankrl.environments.preprocessing import refuse_settings_of_atari
    from frankrl.runs import check_preset

    if settings.data.dataset is not None:
        from frankrl.training.data import in_any_folder

        settings = settings.with_changes(dataset=in_any_folder(settings.data.dataset))
    named = options.values_of(named_settings(arguments))
    check_preset(preset, named)
    refuse_settings_of_atari(first.env, named)
    if is_several(options, settings):
        return train_several(options, preset, settings, arguments)
    return _begin(options, preset, settings, named, started, signals)


def _begin(
    options: TrainOptions,
    preset: str,
    settings: Settings,
    named: Mapping[str, Any],
    started: float,
    signals: StopSignals,
) -> int:
    """Begin one run, or with `--publish` take it over.

    Args:
        options: the command line.
        preset: name of the preset.
        settings: the run's settings.
        named: those that the command line names.
        started: when the process was started.
        signals: the signals received.
    """
    from frankrl.actors import source_in_actors
    from frankrl.training.data import refuse_evaluations
    from frankrl.training.initial import initial_source
    from frankrl.training.preparing import prepare

    if not options.env:
        refuse_evaluations(named)
    source = initial_source(
        options.init_from or None,
        best=options.init_best,
        allow_code=options.allow_code,
        given=named,
    )
    if source is not None:
        settings = source.completed(settings, named)
    run = (options.env, preset, settings, options.seed)
    how: dict[str, Any] = {
        "initial": source,
        "overwrite": options.overwrite,
        "started": started,
        "make_source": source_in_actors(settings, options.actors, options.ray or None),
    }
    local = options.out or None
    if not options.publish:
        return shown(prepare(*run, local, **how), options, signals)
    from frankrl.training.published import LEASE_SECONDS, publish_or_take_over

    lease_seconds = options.lease_seconds or LEASE_SECONDS
    publish = functools.partial(
        publish_or_take_over, *run, options.publish, local=local, lease_seconds=lease_seconds, **how
    )
    return published(publish, options, signals)


def _resume(
    first: TrainOptions,
    arguments: Sequence[str],
    foreign: Mapping[str, str],
    started: float,
    signals: StopSignals,
) -> int:
    """Continue a run."""
    _check_resume(first)

    from frankrl.actors import source_in_actors
    from frankrl.runs.folder import RunFolder
    from frankrl.runs.permission import permission_of
    from frankrl.training.preparing import prepare_resume

    given = first.values_of(named_settings(arguments))
    folder = RunFolder.open(first.resume, permission_of(first.env, first.allow_code, given))
    options, settings = changed_from(folder.description.settings, arguments, foreign)
    make_source = source_in_actors(settings, options.actors, options.ray or None)
    training = prepare_resume(
        folder,
        settings,
        started=started,
        make_source=make_source,
        names_dataset="dataset" in given,
    )
    return shown(training, options, signals)


def _check_resume(first: TrainOptions, *, of_several: bool = False) -> None:
    """Refuse what only a new run can be given.

    Args:
        first: the command line.
        of_several: whether it names the runs of several seeds.

    Raises:
        FrankError: it was given.
    """
    for value, flag in (
        (first.out, "--out"),
        (first.preset, "--preset"),
        (first.seed, "--seed"),
        (first.init_from, "--init-from"),
        (first.init_best, "--init-best"),
        (first.seeds, "--seeds"),
        (not of_several and first.processes, "--processes"),
        (not of_several and first.print, "--print"),
        (of_several and first.actors, "--actors"),
        (of_several and first.dashboard, "--dashboard"),
    ):
        if value:
            raise FrankError(f"--resume takes a run as it is: {flag} cannot be given with it")
    if first.publish and not of_several:
        raise FrankError(
            "--publish continues a run by itself: repeat the command that began it, with --out "
            f"{first.resume} instead of --resume"
        )
    if first.overwrite:
        raise FrankError("--resume continues a run and --overwrite replaces one: give one of them")
