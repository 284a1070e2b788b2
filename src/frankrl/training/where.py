"""Where the environments of a run are stepped: on the host, or on the device."""

from collections.abc import Iterator

from frankrl.config import Settings
from frankrl.core.errors import SettingError
from frankrl.environments import EnvironmentSpec
from frankrl.environments.functional import functional_of, stands_in_wrappers


def with_source(settings: Settings, spec: EnvironmentSpec, *, in_actors: bool) -> Settings:
    """The settings with `source` device or host: where the run takes place, as long as it lives.

    A run stores these, so that nothing has to be imported to know it, and that it goes on there
    with or without actors.

    Args:
        settings: the run's settings.
        spec: its environment.
        in_actors: whether actors elsewhere step the environments.

    Raises:
        SettingError: `source` is device or the algorithm is PQN, and something needs the host.
    """
    source = settings.environment.source
    if source == "host" or settings.is_offline:
        return settings
    reason = _host_because(settings, spec)
    if in_actors:
        reason = "actors step them elsewhere: leave one of the two out"
    if source == "device" and reason:
        raise SettingError(f"source device steps environments in compiled code, and {reason}")
    if reason and not settings.has_replay:
        raise SettingError(f"algorithm pqn steps environments in compiled code, and {reason}")
    return settings.with_changes(source="host" if reason else "device")


def _host_because(settings: Settings, spec: EnvironmentSpec) -> str:
    """What needs the host; empty if nothing does."""
    if reason := next(_settings_of_host(settings, spec), ""):
        return reason
    if functional_of(spec) is None:
        what = "stands in wrappers" if stands_in_wrappers(spec) else "is no functional environment"
        advice = "leave source out" if settings.has_replay else "set algorithm to dqn"
        return f"{spec.env_id} {what}: {advice}"
    return ""


def _settings_of_host(settings: Settings, spec: EnvironmentSpec) -> Iterator[str]:
    environment, preprocessing = settings.environment, spec.preprocessing
    if environment.asynchronous_actors is not None:
        yield "asynchronous_actors step them in processes: leave one of the two out"
    if settings.has_demonstrations:
        yield "what a data set holds is put into batches on the host: leave one of the two out"
    if environment.backend == "envpool":
        yield "backend envpool steps them on the host: set backend to gymnasium"
    for name in ("normalize_observations", "normalize_rewards"):
        if getattr(environment, name):
            yield f"{name} keeps its statistics on the host: leave one of the two out"
    if environment.info_metrics:
        yield "they have no info, which info_metrics reads: leave one of the two out"
    if preprocessing.frame_stack > 1 or preprocessing.resize or preprocessing.grayscale:
        yield "the host prepares pictures and stacks observations: leave one of the two out"
    if settings.evaluation.evaluation_on == "training":
        yield "evaluation_on training plays in the host's environment: set evaluation_on to own"
