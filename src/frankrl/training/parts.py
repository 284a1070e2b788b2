"""What a run needs before its first round: what steps, what evaluates, and their processes."""

from typing import NamedTuple

from frankrl.environments import (
    EnvironmentSpec,
    GymnasiumVector,
    WorkerPool,
    described_for_evaluation,
    make_vector,
    objects_among,
    start_worker_pool,
    try_out,
)
from frankrl.environments.functional import is_functional
from frankrl.environments.trial import Trial
from frankrl.experience import HostPolicy, HostSource, make_policy
from frankrl.experience.remote.processes import ProcessActors
from frankrl.training.asynchronous import asynchronous
from frankrl.training.data import restored_data
from frankrl.training.device.rounds import device_rounds
from frankrl.training.environment_notes import check_lending, notes_on
from frankrl.training.evaluator import Evaluator
from frankrl.training.players import NO_PLAYERS, PlayerPlan, Players, start_players
from frankrl.training.remote import MakeSource
from frankrl.training.state import Experiment
from frankrl.training.stepping import MakeRounds, Stepping, on_device, on_host


class Parts(NamedTuple):
    """What a run is made of, besides its state and its files."""

    stepping: Stepping
    workers: WorkerPool
    """Processes that step environments."""
    evaluator: Evaluator
    notes: list[str]
    """What should be known of the environment before training, a line each."""

    def close(self) -> None:
        """Close environments and processes."""
        self.stepping.source.close()
        self.evaluator.close()
        self.workers.close()


def make_parts(
    experiment: Experiment, make_source: MakeSource | None, make_rounds: MakeRounds
) -> Parts:
    """Make the parts of a run.

    Args:
        experiment: the run's experiment.
        make_source: makes the source of experience; None: environments are stepped here, or by
            actors that run freely in processes of this machine, or nobody acts.
        make_rounds: makes the rounds of a run on the device.
    """
    settings, spec = experiment.settings, experiment.spec
    if make_source is None and settings.environment.asynchronous_actors:
        make_source = asynchronous(ProcessActors)
    elif make_source is None and settings.is_offline:
        make_source = restored_data
    evaluated = described_for_evaluation(spec, settings.evaluation)
    trial = try_out(spec)
    evaluated_trial = trial if evaluated is spec else try_out(evaluated)
    check_lending(experiment, trial)
    notes = notes_on(experiment, trial)
    evaluation = settings.evaluation
    on_training = evaluation.evaluation_on == "training"
    lend = None
    # First, because it may refuse the run.
    if settings.environment.source == "device":
        stepping = on_device(experiment, make_rounds)
    else:
        stepping = make_source and on_host(make_source(experiment))
    of_several = make_rounds is not device_rounds
    players = NO_PLAYERS if of_several else _players(experiment, evaluated, evaluated_trial)
    workers = start_worker_pool(
        settings.environment,
        trial.step_seconds,
        1 if on_training or players else evaluation.evaluation_envs,
        overlap=settings.training.overlap,
        objects=objects_among(spec.env_id, (*spec.wrappers, *evaluated.wrappers)),
        trains=stepping is None,
    )
    if stepping is None:
        envs = make_vector(settings.environment, spec, experiment.seed, workers.training)
        stepping = on_host(HostSource(settings, experiment.network, experiment.seed, envs))
        lend = envs.lent if on_training and isinstance(envs, GymnasiumVector) else None
    evaluator = Evaluator(
        evaluated,
        workers.evaluation,
        evaluation,
        lend=lend,
        keep_envs=evaluated_trial.repeats and not evaluated.running_statistics,
        restarts=settings.environment.restart_failed_envs > 0,
        players=players,
    )
    return Parts(stepping, workers, evaluator, notes)


def _players(experiment: Experiment, evaluated: EnvironmentSpec, trial: Trial) -> Players:
    """Processes that play episodes of evaluations, where that is possible and worth it."""
    settings = experiment.settings
    evaluation, environment = settings.evaluation, settings.environment
    policy = make_policy(settings.training.acting, experiment.network)
    if (
        not isinstance(policy, HostPolicy)
        or not trial.repeats
        or evaluated.running_statistics
        or is_functional(evaluated)
        or evaluation.evaluation_on == "training"
        or evaluation.final_evaluation_episodes is None
        or environment.worker_processes is not None
        or environment.restart_failed_envs
        or objects_among(evaluated.env_id, evaluated.wrappers)
    ):
        return NO_PLAYERS
    most_steps = evaluation.evaluation_max_episode_steps
    return start_players(
        PlayerPlan(evaluated, experiment.network, most_steps),
        trial.step_seconds,
        settings.budget,
        evaluation.evaluation_envs,
    )
