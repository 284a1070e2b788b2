"""The names of runs without an environment, which learn from a data set alone."""

from frankrl.core.errors import EnvironmentUnusableError

_PREFIX = "data set "
"""No name in Gymnasium has a space."""


def absent_env(dataset: str) -> str:
    """The name that stands for the environment of a data set of this name."""
    return f"{_PREFIX}{dataset}"


def is_absent(env_id: str) -> bool:
    """Whether a run has no environment."""
    return env_id.startswith(_PREFIX)


def refuse_absent(env_id: str) -> None:
    """Refuse to make the environment of a run that has none.

    Raises:
        EnvironmentUnusableError: it has none.
    """
    if is_absent(env_id):
        raise EnvironmentUnusableError(
            f"the run learned from the {env_id}, and no environment was named when it began, so "
            "nothing can be played: estimate the run from data (frank evaluate RUN --fqe "
            "--dataset NAME), or begin it with the name of its environment"
        )
