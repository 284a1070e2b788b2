"""Events of a training run.

`env_steps` of an event are the ticks of the run's clock (`Settings.clock`): env steps, or updates
of a run that does not act.
"""

from pathlib import Path
from typing import NamedTuple

from frankrl.training.evaluation import Evaluation


class Stop(NamedTuple):
    """What a function given to `on_event` returns to end the training: the run is saved first."""

    reason: str
    """Why, for the result, the report and the screen."""


class Progress(NamedTuple):
    """Progress of the run; loss, Q and speed are means since the last such event."""

    env_steps: int
    total_env_steps: int
    updates: int
    updates_since_refresh: int | None
    """Updates since the target network was last refreshed; None with PQN, which has none."""
    episodes: int
    mean_return: float | None
    """Mean return of the last 100 training episodes."""
    mean_length: float | None
    epsilon: float | None
    """Probability of a random action; None of a run that does not act."""
    loss: float | None
    mean_q: float | None
    mean_max_q: float | None
    mean_target: float | None
    mean_abs_td_error: float | None
    gradient_norm: float | None
    learning_rate: float
    env_steps_per_second: float
    seconds: float
    success_rate: float | None = None
    """Mean of `is_success` over the last 100 training episodes that gave it."""


class Evaluated(NamedTuple):
    """Greedy episodes played while training."""

    env_steps: int
    evaluation: Evaluation
    purpose: str
    """`progress`: a periodic evaluation; `solved`: the longer one of the solved check."""


class Solved(NamedTuple):
    """The first policy whose mean return reached the environment's threshold."""

    env_steps: int
    seconds: float
    mean_return: float


class Best(NamedTuple):
    """The periodic evaluation with the highest mean return so far."""

    env_steps: int
    mean_return: float
    episodes: int


class NotReproducible(NamedTuple):
    """The env step from which a run may differ from an uninterrupted one in its bits, and why."""

    env_steps: int
    reason: str


class EnvironmentRestarted(NamedTuple):
    """A training environment failed: it was made anew, and its episode was dropped."""

    env_steps: int
    """Env steps of the run at the step that failed."""
    env_index: int
    reason: str
    episode: int
    """Number of the dropped episode in its environment, from 0."""


class SavingFailed(NamedTuple):
    """Something could not be written; training goes on and tries again later."""

    env_steps: int
    what: str
    reason: str
    newest: Path | None
    """The checkpoint from which a resume would start; None if there is none."""


class Checkpointed(NamedTuple):
    """A checkpoint was written."""

    env_steps: int
    path: Path


class Finished(NamedTuple):
    """The run has ended, or a stop was requested."""

    env_steps: int
    updates: int
    seconds: float
    startup_seconds: float
    """From the start of the clock to the end of the first round: imports, environments,
    compilation, and on a resume restoring the run."""
    solved: Solved | None
    best: Best | None
    """None before the first periodic evaluation."""
    evaluation: Evaluation | None
    """Evaluation of the final policy; None if a stop was requested, or if there is none."""
    not_reproducible: tuple[NotReproducible, ...]
    environment_restarts: tuple[EnvironmentRestarted, ...]
    stopped: bool
    """Whether a stop was requested before the end of the run or of its final evaluation."""


class Estimating(NamedTuple):
    """After the end of a run without an environment: what its policy is worth is estimated."""

    env_steps: int
    done: int
    """Updates of the estimate, so far."""
    of: int


Event = (
    Progress
    | Evaluated
    | Solved
    | EnvironmentRestarted
    | Checkpointed
    | SavingFailed
    | Finished
    | Estimating
)
