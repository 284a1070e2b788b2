"""The one table from the events of a training to the numbers that trackers get.

Names are Stable-Baselines3's where it has one. The x axis is env steps throughout.
"""

from frankrl.training.evaluation import Evaluation
from frankrl.training.events import Evaluated, Event, Finished, Progress, Solved

OF_PROGRESS = {
    "rollout/ep_rew_mean": "mean_return",
    "rollout/ep_len_mean": "mean_length",
    "rollout/exploration_rate": "epsilon",
    "train/loss": "loss",
    "train/learning_rate": "learning_rate",
    "train/n_updates": "updates",
    "train/mean_q": "mean_q",
    "train/mean_max_q": "mean_max_q",
    "train/mean_target": "mean_target",
    "train/mean_abs_td_error": "mean_abs_td_error",
    "train/gradient_norm": "gradient_norm",
    "time/episodes": "episodes",
    "time/fps": "env_steps_per_second",
    "time/time_elapsed": "seconds",
}
"""Names, and the fields of `Progress` that they show."""
OF_EVALUATIONS = {"progress": "eval", "solved": "eval_solved_check", "final": "eval_final"}
"""The group of an evaluation's names, by its purpose."""
SOLVED = "eval/solved"
"""1 at the env step at which the run solved its environment."""


def scalars(event: Event) -> dict[str, float]:
    """The numbers of an event by their names; empty if it has none."""
    if isinstance(event, Progress):
        values = {name: getattr(event, field) for name, field in OF_PROGRESS.items()}
        return {name: float(value) for name, value in values.items() if value is not None}
    if isinstance(event, Evaluated):
        return _of_evaluation(event.purpose, event.evaluation)
    if isinstance(event, Solved):
        return {SOLVED: 1.0}
    if isinstance(event, Finished) and event.evaluation is not None:
        return _of_evaluation("final", event.evaluation)
    return {}


def _of_evaluation(purpose: str, evaluation: Evaluation) -> dict[str, float]:
    group = OF_EVALUATIONS[purpose]
    return {
        f"{group}/mean_reward": float(evaluation.mean_return),
        f"{group}/std_reward": float(evaluation.returns.std()),
        f"{group}/mean_ep_length": float(evaluation.lengths.mean()),
    }
