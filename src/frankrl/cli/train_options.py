"""The options of `frank train`."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import tyro

from frankrl.cli.parsing import named_settings, parse
from frankrl.cli.setting_flags import SettingFlags
from frankrl.config import Settings

_DESCRIPTION = (
    "Train a Deep Q-Network on a Gymnasium environment. The defaults below are those of the "
    "preset that would be used."
)


@dataclass(frozen=True)
class TrainOptions(SettingFlags):
    """Options of `frank train`."""

    env: tyro.conf.Positional[str] = ""
    """Environment, by its Gymnasium name; `module:EnvId` for third-party ones."""
    preset: str = ""
    """Named settings, or a TOML file of your own; empty: the environment's, or `default`."""
    seed: int = 0
    """The same seed and settings give the same bits."""
    seeds: str = ""
    """Train several runs that differ in their seeds alone: `64` for the seeds 0 to 63, `100-163`
    for these; empty: the one of `--seed`."""
    processes: int = 0
    """With `--seeds`: number of processes in parallel, which changes no result. With 0, the
    default, it is one per processor core, and all seeds of a functional environment are one
    program, whose runs differ from those of processes in rounding."""
    ray: str = ""
    """With `--seeds`: train on this Ray cluster: HOST:PORT of its head, or auto. All its
    machines must share the folder `--out`, or see the storage of `--publish`. With `--actors` or
    `--asynchronous-actors`: the actors are there."""
    print: bool = False
    """With `--seeds`: print a command for each run instead of training here, one line each, for a
    batch system."""
    out: str = ""
    """Run folder; empty: `runs/<env>/<preset>-s<seed>-<time>`. With `--seeds`, `--processes`,
    `--print`, or `--ray` without actors: folder of the run folders `s<seed>`; empty:
    `runs/<env>/<preset>-s<seeds>-<time>`."""
    resume: str = ""
    """Continue this run folder from its newest checkpoint, or the runs of several seeds in the
    folder of them all."""
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
    quiet: bool = False
    """Show nothing but the result and what went wrong."""
    verbose: bool = False
    """Print each row of metrics as a line, instead of redrawing a few of them."""
    json: bool = False
    """End with one JSON line on standard output."""
    actors: int | None = None
    """Processes that step the environments of one run and act, on this machine or on the cluster of
    `--ray`; they change no bit. [processes]"""
    dashboard: bool = False
    """Serve a live page of the run while it trains, and print its address."""

    @classmethod
    def with_defaults(cls, settings: Settings) -> "TrainOptions":
        """Options whose defaults are these settings."""
        groups = [spec.name for spec in dataclasses.fields(Settings)]
        return cls(**{name: getattr(settings, name) for name in groups})


def first_read(arguments: Sequence[str]) -> TrainOptions:
    """The options, as far as no preset is known: the preset is itself one of them."""
    return parse(TrainOptions, arguments, "train", _DESCRIPTION)


def changed_from(
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
