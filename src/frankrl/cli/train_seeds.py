"""`frank train` with several seeds, or as a job of a cluster or a batch system."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from frankrl.cli.output import print_result
from frankrl.cli.parsing import SaysEnvSteps, named_settings, say, say_run
from frankrl.cli.train_options import TrainOptions
from frankrl.config import Settings
from frankrl.core.errors import SettingError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from frankrl.seeds.result import SeedsResult
    from frankrl.seeds.train import HowToTrain


def is_several(options: TrainOptions, settings: Settings) -> bool:
    """Whether the runs are jobs, each in a process of its own; one seed alone can be a job, too."""
    return bool(_cause(options, settings))


def train_several(
    options: TrainOptions, preset: str, settings: Settings, arguments: "Sequence[str]"
) -> int:
    """Train with several seeds; returns the command's exit status.

    Args:
        options: the command line.
        preset: name of the preset.
        settings: the settings of all runs.
        arguments: the words of the command line.
    """
    from frankrl.core.seeds import seeds_in
    from frankrl.seeds.train import train_seeds

    _check_alone(options, settings)
    seeds = seeds_in(options.seeds) if options.seeds else (options.seed,)
    if options.seeds and any(word.partition("=")[0] == "--seed" for word in arguments):
        raise SettingError(
            f"--seeds names all seeds, so --seed cannot be given with it: give --seeds "
            f"{options.seed}-{options.seed + len(seeds) - 1}, for example"
        )
    out = options.out or None
    return _end(train_seeds(options.env, preset, settings, seeds, out, _how(options)), options)


def resume_several(
    options: TrainOptions, arguments: "Sequence[str]", foreign: "Mapping[str, str]"
) -> int:
    """Go on with the runs of several seeds; returns the command's exit status.

    Args:
        options: the command line.
        arguments: its words.
        foreign: those that are names of other libraries.
    """
    from frankrl.runs.group import RunGroup
    from frankrl.runs.permission import permission_of
    from frankrl.seeds.resume import resume_seeds

    changes = {**options.values_of(named_settings(arguments)), **foreign}
    permission = permission_of(options.env, options.allow_code)
    group = RunGroup.open(Path(options.resume), permission)
    return _end(resume_seeds(group, _how(options), changes), options)


def _how(options: TrainOptions) -> "HowToTrain":
    from frankrl.seeds.train import HowToTrain

    return HowToTrain(
        options.processes,
        options.ray,
        options.publish,
        on_run=say_run,
        on_env_steps=HowToTrain.on_env_steps if options.quiet else SaysEnvSteps(),
        print_command=print_result if options.print else None,
    )


def _end(result: "SeedsResult | None", options: TrainOptions) -> int:
    if result is None:
        return 0
    say(repr(result))
    if options.json:
        from frankrl.seeds.result import score_report

        score = result.final and score_report(result.final, result.num_scored)
        report = {"folder": str(result.path), "score": score, "runs": result.report()}
        print_result(json.dumps(report, allow_nan=False))
    return 0


def _cause(options: TrainOptions, settings: Settings) -> str:
    """The option that makes runs of their own of the seeds; empty: none does."""
    has_actors = (options.actors, settings.environment.asynchronous_actors) != (None, None)
    causes = {
        "seeds": options.seeds,
        "print": options.print,
        "processes": options.processes,
        # Else it says where the actors are.
        "ray": options.ray and not has_actors,
    }
    return next((name for name, is_given in causes.items() if is_given), "")


def _check_alone(options: TrainOptions, settings: Settings) -> None:
    """Refuse options that several runs cannot share.

    Raises:
        SettingError: one was given.
    """
    from frankrl.core.seeds import not_with_seeds

    names = ["init_from", "init_best", "overwrite", "dashboard", "lease_seconds", "actors"]
    # On a cluster it says where the runs are published while they go on.
    names += [] if options.ray else ["publish"]
    for name in names:
        if getattr(options, name):
            raise not_with_seeds(_cause(options, settings), name)
