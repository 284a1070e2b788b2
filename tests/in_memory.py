"""Trainings without a folder: their rounds, and what acts after them."""

import contextlib
import itertools
from collections.abc import Iterator

from frankrl.config import Settings
from frankrl.environments import describe, make_vector
from frankrl.experience import HostPolicy, HostSource
from frankrl.training import Experiment, Round, init_train_state, rounds


def experiment_of(env_id: str, settings: Settings, seed: int) -> Experiment:
    """What a run with these settings trains."""
    settings = settings.resolved()
    return Experiment.of(settings, describe(env_id, settings.environment.env_kwargs), seed)


def source_of(experiment: Experiment) -> HostSource:
    """Environments at the beginning of a run."""
    settings, seed = experiment.settings, experiment.seed
    envs = make_vector(settings.environment, experiment.spec, seed)
    return HostSource(settings, experiment.network, seed, envs)


def rounds_of(experiment: Experiment) -> Iterator[Round]:
    """The rounds of a run from its beginning, without end."""
    with contextlib.closing(source_of(experiment)) as source:
        yield from rounds(experiment, source, init_train_state(experiment))


def round_number(experiment: Experiment, count: int) -> Round:
    """The last of so many rounds from the beginning."""
    *_, last = itertools.islice(rounds_of(experiment), count)
    return last


def greedy_policy(experiment: Experiment, result: Round) -> HostPolicy:
    """What acts greedily after a round."""
    policy = HostPolicy(experiment.network)
    policy.load(result.output().eval_params)
    return policy
