"""What should be known of an environment before a run trains on it."""

from collections.abc import Iterator

from frankrl.config import Settings
from frankrl.core.errors import SettingError
from frankrl.core.named_code import is_object_name
from frankrl.environments import EnvironmentSpec, Trial
from frankrl.training.state import Experiment
from frankrl.training.update_time import duration_line

_MAX_NAMED = 8


def check_lending(experiment: Experiment, trial: Trial) -> None:
    """Refuse evaluations in the training environment if it cannot be restored after them.

    Raises:
        SettingError: it does not repeat itself.
    """
    settings = experiment.settings.evaluation
    if (
        _is_evaluated(experiment.settings)
        and settings.evaluation_on == "training"
        and not trial.repeats
    ):
        raise SettingError(
            f"evaluation_on training restores the running episode of {experiment.spec.env_id} by "
            "repeating its actions, and this environment gives something else for the same seed "
            "and actions: set evaluation_on to own, or evaluate_every_env_steps and "
            "final_evaluation_episodes to none"
        )


def notes_on(experiment: Experiment, trial: Trial) -> list[str]:
    """Lines about the environment of a run: where masks come from, and warnings."""
    spec, settings = experiment.spec, experiment.settings
    lines = []
    if spec.is_masked:
        setting = settings.environment.action_mask
        lines.append(f"allowed actions are read from {spec.mask_place} (action_mask {setting})")
    lines += _on_objects(spec.env_id, settings)
    warnings = [*_on_repeating(spec, trial), *_on_bounds(experiment), *_on_code(experiment)]
    if _is_evaluated(settings) and not spec.has_time_limit:
        most = settings.evaluation.evaluation_max_episode_steps
        warnings.append(
            f"{spec.env_id} names no max_episode_steps: an episode that does not end by itself "
            f"is played for {most:,} steps in an evaluation (evaluation_max_episode_steps)"
        )
    if duration := duration_line(experiment, trial.step_seconds):
        lines.append(duration)
    return [*lines, *(f"warning: {warning}" for warning in warnings)]


def _is_evaluated(settings: Settings) -> bool:
    every, final = settings.evaluate_every, settings.evaluation.final_evaluation_episodes
    return every is not None or final is not None


def _on_objects(env_id: str, settings: Settings) -> Iterator[str]:
    """What a run needs again because it was given as an object without a name."""
    found = {"env": (env_id,), **settings.code_names()}
    again = [parameter for parameter, names in found.items() if any(map(is_object_name, names))]
    if again:
        arguments = ", ".join(f"{parameter}=…" for parameter in again)
        yield (
            f"{' and '.join(again)} given as objects that cannot be imported by a name: to go on, "
            f"to load or to explain, the run needs them again: frankrl.resume(run, {arguments})"
        )


def _on_code(experiment: Experiment) -> Iterator[str]:
    """Whether a network of the user's own computes something else each time."""
    if not experiment.network.repeats:
        yield (
            "apply of your network gives another program each time it is traced, so the run may "
            "not repeat: it may depend on its arguments only"
        )


def _on_repeating(spec: EnvironmentSpec, trial: Trial) -> Iterator[str]:
    if spec.running_statistics:
        names = " and ".join(spec.running_statistics)
        yield (
            f"{names} changes with everything that it sees, so what an observation or a reward "
            "means moves during training, and each evaluation begins with new statistics; the "
            "settings normalize_observations and normalize_rewards keep theirs with the run instead"
        )
    elif not trial.repeats:
        yield (
            f"{spec.env_id} gives something else for the same seed and actions: its runs cannot "
            "be repeated, nor continued or opened exactly; draw every random number from "
            "self.np_random, and keep nothing from one episode to the next"
        )


def _on_bounds(experiment: Experiment) -> Iterator[str]:
    """Whether `scale_observation` passes over bounds that no observation comes near."""
    spec = experiment.spec
    if not experiment.settings.network.scale_observation:
        return
    names = [
        name
        for leaf in spec.leaves
        for name, wide in zip(spec.leaf_component_names(leaf), leaf.too_wide(), strict=True)
        if wide
    ]
    if names:
        more = f" and {len(names) - _MAX_NAMED:,} more" if len(names) > _MAX_NAMED else ""
        yield (
            f"scale_observation leaves {', '.join(names[:_MAX_NAMED])}{more} unscaled: the bounds "
            "are more than 1,000,000 apart"
        )
