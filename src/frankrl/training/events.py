"""What a training tells whoever watches it."""

from pathlib import Path
from typing import NamedTuple

from frankrl.training.evaluation import Evaluation


class Progress(NamedTuple):
    """Where the run stands; loss, Q and speed are means since the last such event."""

    env_steps: int
    total_env_steps: int
    updates: int
    updates_since_refresh: int
    """Updates since the target network was last refreshed."""
    episodes: int
    mean_return: float | None
    """Mean return of the last 100 training episodes."""
    mean_length: float | None
    epsilon: float
    loss: float | None
    mean_q: float | None
    env_steps_per_second: float
    seconds: float


class Evaluated(NamedTuple):
    """Greedy episodes played while training."""

    env_steps: int
    evaluation: Evaluation
    purpose: str
    """`progress`: a short look; `solved`: the long one that may prove the run solved."""


class Solved(NamedTuple):
    """The first policy whose mean return reached the environment's threshold."""

    env_steps: int
    seconds: float
    mean_return: float


class Best(NamedTuple):
    """The look that was better than all before it."""

    env_steps: int
    mean_return: float
    episodes: int


class NotReproducible(NamedTuple):
    """From where on a run may have other bits than an uninterrupted one, and why."""

    env_steps: int
    reason: str


class SavingFailed(NamedTuple):
    """Something could not be written; training goes on, and it is tried again later."""

    env_steps: int
    what: str
    reason: str
    newest: Path | None
    """The checkpoint that a resume would begin with; none if there is none."""


class Checkpointed(NamedTuple):
    """A checkpoint was written."""

    env_steps: int
    path: Path


class Finished(NamedTuple):
    """The run is over, or was asked to stop."""

    env_steps: int
    updates: int
    seconds: float
    startup_seconds: float
    """From the clock's beginning to the end of the first round: imports, environments,
    compilation, and on a resume the way back to where the run stood."""
    solved: Solved | None
    best: Best | None
    """None where there was no look."""
    evaluation: Evaluation | None
    """Of the final policy; none when the run was asked to stop."""
    not_reproducible: tuple[NotReproducible, ...]


Event = Progress | Evaluated | Solved | Checkpointed | SavingFailed | Finished
