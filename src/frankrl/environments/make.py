"""The environments of a run, by its settings."""

from frankrl.config import EnvironmentSettings
from frankrl.environments.spec import EnvironmentSpec
from frankrl.environments.vector import EnvironmentVector, GymnasiumVector


def make_vector(
    settings: EnvironmentSettings, spec: EnvironmentSpec, seed: int
) -> EnvironmentVector:
    """The environments that a run steps, each at the beginning of its first episode.

    Raises:
        FrankError: they cannot be made, or do not even begin.
    """
    if settings.backend == "envpool":
        from frankrl.environments.envpool import EnvPoolVector

        return EnvPoolVector(spec, settings.num_envs, seed)
    return GymnasiumVector(spec, settings.num_envs, seed)
