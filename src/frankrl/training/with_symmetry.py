"""Whether a run averages its network over mirror images."""

from frankrl.config import Settings
from frankrl.core.errors import warn
from frankrl.environments import EnvironmentSpec, broken_symmetry, check_symmetries
from frankrl.environments.known_symmetries import may_have_known_symmetries


def with_symmetry(settings: Settings, spec: EnvironmentSpec) -> Settings:
    """The settings with `symmetry` on or off in place of `auto`, which a run stores.

    `auto` is on where the environment declares symmetries and they hold. Where it is off although
    there are some, a warning says why. A network with memory has none.

    Args:
        settings: the run's settings.
        spec: its environment.

    Raises:
        SettingError: `symmetry` is on, and a declared symmetry does not hold.
        FrankError: the environment fails.
    """
    if settings.network.symmetry is True:
        check_symmetries(spec)
    if settings.network.symmetry != "auto":
        return settings
    if settings.sequences is not None:
        return settings.with_changes(symmetry=False)
    if not spec.symmetries and not may_have_known_symmetries(spec.env_id):
        return settings.with_changes(symmetry=False)
    if reason := _off_because(settings, spec):
        warn(f"symmetry auto is off: {reason}")
    return settings.with_changes(symmetry=not reason)


def _off_because(settings: Settings, spec: EnvironmentSpec) -> str:
    if settings.environment.normalize_observations:
        return "the running mean that normalize_observations subtracts is no mirror image of itself"
    if not spec.symmetries:
        return f"{spec.env_id} declares no symmetry that holds with its arguments"
    return broken_symmetry(spec)
