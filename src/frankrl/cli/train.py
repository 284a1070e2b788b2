"""`frank train`: train, or continue, with a live display."""

import contextlib
import dataclasses
import functools
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import tyro

from frankrl.cli.clock import process_started
from frankrl.cli.output import print_result
from frankrl.cli.parsing import named_settings, parse, say, say_run
from frankrl.config import (
    AtariSettings,
    EnvironmentSettings,
    EvaluationSettings,
    ExplorationSettings,
    LearningSettings,
    NetworkSettings,
    PixelSettings,
    ReplaySettings,
    SavingSettings,
    Settings,
    TrainingSettings,
    group_of,
)
from frankrl.config.answers import taken_apart
from frankrl.config.presets import default_preset, load_preset
from frankrl.core.errors import FrankError
from frankrl.core.stopping import StopSignals, stop_signals

if TYPE_CHECKING:
    from frankrl.training import Trainer
    from frankrl.training.session import TrainingResult

_DESCRIPTION = (
    "Train a Deep Q-Network on a Gymnasium environment. The defaults below are those of the "
    "preset that would be used."
)


@dataclass(frozen=True)
class TrainOptions:
    """Options of `frank train`."""

    env: tyro.conf.Positional[str] = ""
    """Environment, by its Gymnasium name; `module:EnvId` for third-party ones."""
    preset: str = ""
    """Named settings, or a TOML file of your own; empty: the environment's, or `default`."""
    seed: int = 0
    """The same seed and settings give the same bits."""
    seeds: int = 1
    """Number of runs, which differ in their seeds alone: this one and those after it. [seeds]"""
    processes: int = 0
    """With `--seeds`: number of runs in parallel, which changes no result. 0: one per processor
    core."""
    ray: str = ""
    """With `--seeds`: train on this Ray cluster: HOST:PORT of its head, or auto. All its
    machines must share the folder `--out`, or see the storage of `--publish`. With `--actors` or
    `--asynchronous-actors`: the actors are there."""
    print: bool = False
    """With `--seeds`: print a command for each run instead of training here, one line each, for a
    batch system."""
    out: str = ""
    """Run folder; empty: `runs/<env>/<preset>-s<seed>-<time>`. With `--seeds`: folder of the run
    folders; empty: `runs/<env>/<preset>`."""
    resume: str = ""
    """Continue this run folder from its newest checkpoint."""
    init_from: str = ""
    """Begin a new run with the weights of a run folder, of an agent that Stable-Baselines3 saved
    (`.zip`), or of a `.safetensors` file; empty: draw them by the seed."""
    init_best: bool = False
    """With `--init-from RUN`: take the agent with the best evaluation instead of the newest."""
    allow_code: bool = False
    """With `--resume`: import whatever module the run names, although somebody else wrote the run.
    Naming its environment as well imports that environment's module alone. With `--init-from RUN`:
    import its network or torso."""
    overwrite: bool = False
    """Replace a run that is already in the run folder, unless that holds other files as well."""
    publish: str = ""
    """Publish the run in shared storage at each checkpoint: a folder, or an address such as
    `s3://bucket/folder`. The same command on any machine continues a run whose process has died.
    `--out` is then a folder on this machine's own disk; without it, a temporary one. With `--seeds`
    and `--ray`: where the runs are published while they go on; empty: in `--out`."""
    lease_seconds: float | None = None
    """With `--publish`: after so long without a sign of life from this process, another one may
    take the run over; None: 30. [s]"""
    json: bool = False
    """End with one JSON line on standard output."""
    actors: int | None = None
    """Processes that step the environments of one run and act, on this machine or on the cluster of
    `--ray`; they change no bit. [processes]"""
    dashboard: bool = False
    """Serve a live page of the run while it trains, and print its address."""
    environment: EnvironmentSettings = field(default_factory=EnvironmentSettings)
    pixels: PixelSettings = field(default_factory=PixelSettings)
    atari: AtariSettings = field(default_factory=AtariSettings)
    network: NetworkSettings = field(default_factory=NetworkSettings)
    exploration: ExplorationSettings = field(default_factory=ExplorationSettings)
    replay: ReplaySettings = field(default_factory=ReplaySettings)
    learning: LearningSettings = field(default_factory=LearningSettings)
    training: TrainingSettings = field(default_factory=TrainingSettings)
    evaluation: EvaluationSettings = field(default_factory=EvaluationSettings)
    saving: SavingSettings = field(default_factory=SavingSettings)

    def values_of(self, names: Iterable[str]) -> dict[str, Any]:
        """The values of some settings, by their short names."""
        return {name: getattr(getattr(self, group_of(name)), name) for name in names}

    @classmethod
    def with_defaults(cls, settings: Settings) -> "TrainOptions":
        """Options whose defaults are these settings."""
        groups = [spec.name for spec in dataclasses.fields(Settings)]
        return cls(**{name: getattr(settings, name) for name in groups})


def run(arguments: Sequence[str]) -> int:
    """Run the command; returns its exit status."""
    # From here on, so that a signal while things are being made does not leave them half made.
    with stop_signals() as signals:
        return _run(arguments, process_started(), signals)


def _run(arguments: Sequence[str], started: float, signals: StopSignals) -> int:
    arguments, foreign = taken_apart(arguments)
    wanted = [word for word in arguments if word not in ("-h", "--help")]
    helping = len(wanted) < len(arguments)
    # Which preset gives the defaults is itself on the command line, so it is read twice.
    first = parse(TrainOptions, wanted, "train", _DESCRIPTION)
    if not first.resume and not first.env and not foreign and not helping:
        raise FrankError(
            "name an environment, for example: frank train LunarLander-v3 "
            "(or continue a run with --resume RUN)"
        )
    if first.lease_seconds is not None and not first.publish:
        raise FrankError("--lease-seconds is for a run that is published: give --publish, too")
    if first.dashboard:
        from frankrl.dashboard.serving import check_packages

        check_packages()
    if first.resume:
        return _resume(first, arguments, foreign, started, signals)
    preset = first.preset or default_preset(first.env, first.network.q_function)
    options, settings = _changed(load_preset(preset), arguments, foreign)

    from frankrl.actors import source_in_actors
    from frankrl.runs import check_preset
    from frankrl.training.initial import initial_source
    from frankrl.training.published import LEASE_SECONDS, publish_or_take_over
    from frankrl.training.session import prepare

    named = options.values_of(named_settings(arguments))
    check_preset(preset, named)
    has_actors = (options.actors, settings.environment.asynchronous_actors) != (None, None)
    on_cluster = bool(options.ray) and not has_actors
    if options.seeds != 1 or options.print or options.processes or on_cluster:
        return _several(options, preset, settings)
    source = initial_source(
        options.init_from or None,
        best=options.init_best,
        allow_code=options.allow_code,
        given=named,
    )
    if source is not None:
        settings = source.completed(settings, named)
    make_source = source_in_actors(settings, options.actors, options.ray or None)
    if options.publish:
        publish = functools.partial(
            publish_or_take_over,
            *(options.env, preset, settings, options.seed, options.publish),
            local=options.out or None,
            lease_seconds=options.lease_seconds or LEASE_SECONDS,
            initial=source,
            overwrite=options.overwrite,
            started=started,
            make_source=make_source,
        )
        return _publish(publish, options, signals)
    training = prepare(
        options.env,
        preset,
        settings,
        options.seed,
        options.out or None,
        initial=source,
        overwrite=options.overwrite,
        started=started,
        make_source=make_source,
    )
    return _drive(training, options, signals)


def _several(options: TrainOptions, preset: str, settings: Settings) -> int:
    """Train with several seeds."""
    from frankrl.experiments.seeds import check_alone, run_seeds
    from frankrl.jobs import seeds_from

    names = ("init_from", "init_best", "overwrite", "dashboard", "lease_seconds", "actors")
    alone = {name: getattr(options, name) for name in names}
    check_alone(alone | {"publish": "" if options.ray else options.publish})
    result = run_seeds(
        options.env,
        preset,
        settings,
        seeds_from(options.seed, options.seeds),
        options.out or None,
        options.processes,
        ray=options.ray,
        publish=options.publish,
        on_run=say_run,
        print_command=print_result if options.print else None,
    )
    if result is not None:
        say(repr(result))
        if options.json:
            print_result(json.dumps({"runs": result.report()}, allow_nan=False))
    return 0


def _changed(
    base: Settings, arguments: Sequence[str], foreign: Mapping[str, str]
) -> tuple[TrainOptions, Settings]:
    """The options, and the settings of `base` with those replaced that the arguments name.

    Raises:
        SettingError: `foreign` holds names of other libraries; they are answered.
    """
    defaults = TrainOptions.with_defaults(base)
    options = parse(TrainOptions, arguments, "train", _DESCRIPTION, defaults)
    named = options.values_of(named_settings(arguments))
    return options, base.with_changes(**named, **foreign)


def _resume(
    first: TrainOptions,
    arguments: Sequence[str],
    foreign: Mapping[str, str],
    started: float,
    signals: StopSignals,
) -> int:
    for value, flag in (
        (first.out, "--out"),
        (first.preset, "--preset"),
        (first.seed, "--seed"),
        (first.init_from, "--init-from"),
        (first.init_best, "--init-best"),
        (first.seeds != 1, "--seeds"),
        (first.processes, "--processes"),
        (first.print, "--print"),
    ):
        if value:
            raise FrankError(f"--resume takes a run as it is: {flag} cannot be given with it")
    if first.publish:
        raise FrankError(
            "--publish continues a run by itself: repeat the command that began it, with --out "
            f"{first.resume} instead of --resume"
        )
    if first.overwrite:
        raise FrankError("--resume continues a run and --overwrite replaces one: give one of them")

    from frankrl.runs.folder import RunFolder, permission_of

    given = first.values_of(named_settings(arguments))
    folder = RunFolder.open(first.resume, permission_of(first.env, first.allow_code, given))
    options, settings = _changed(folder.description.settings, arguments, foreign)

    from frankrl.actors import source_in_actors
    from frankrl.training.session import prepare_resume

    make_source = source_in_actors(settings, options.actors, options.ray or None)
    training = prepare_resume(folder, settings, started=started, make_source=make_source)
    return _drive(training, options, signals)


def _publish(
    publish: Callable[..., "TrainingResult | None"], options: TrainOptions, signals: StopSignals
) -> int:
    """Train and publish.

    Args:
        publish: `publish_or_take_over` of the run.
        options: the command line.
        signals: the signals received.
    """
    from frankrl.cli.results import published_lines
    from frankrl.display.training import STOPPING, make_display

    with contextlib.ExitStack() as stack:
        display = stack.enter_context(make_display(sys.stderr))
        signals.on_first_signal = lambda: display.note(STOPPING)

        def begin(training: "Trainer") -> None:
            training.watch_episodes(display.show_episodes)
            display.begin(training)
            if options.dashboard:
                from frankrl.dashboard.background import dashboard_in_background

                stack.enter_context(dashboard_in_background(training.folder.path, display.log))

        result = publish(
            stop_requested=signals, on_event=display.show, on_begin=begin, say=display.log
        )
        if result is not None:
            display.end(published_lines(result))
    if options.json and result is not None:
        report = result.report() | {"published": result.published}
        print_result(json.dumps(report, allow_nan=False))
    return 0 if result is not None and not result.stopped else signals.exit_status


def _drive(training: "Trainer", options: TrainOptions, signals: StopSignals) -> int:
    from frankrl.cli.results import ending_lines
    from frankrl.display.training import STOPPING, make_display
    from frankrl.training.session import run_to_end

    with contextlib.ExitStack() as stack:
        # Also if the display cannot be shown.
        stack.enter_context(contextlib.closing(training))
        display = stack.enter_context(make_display(sys.stderr))
        signals.on_first_signal = lambda: display.note(STOPPING)
        training.watch_episodes(display.show_episodes)
        display.begin(training)
        if options.dashboard:
            from frankrl.dashboard.background import dashboard_in_background

            stack.enter_context(dashboard_in_background(training.folder.path, display.log))
        result = run_to_end(training, display.show, signals)
        display.end(ending_lines(result, training.experiment.spec))
    if options.json:
        print_result(json.dumps(result.report(), allow_nan=False))
    return signals.exit_status if result.stopped else 0
