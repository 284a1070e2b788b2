"""A run whose environments are stepped by actors elsewhere."""

from collections.abc import Callable
from dataclasses import dataclass

import jax
import numpy as np

from frankrl.config import Settings
from frankrl.core.backend import prepared, start_backend
from frankrl.core.errors import EnvironmentUnusableError, SettingError
from frankrl.core.named_code import is_object_name
from frankrl.core.numerics import own_numerics
from frankrl.environments import EnvironmentSpec, describe_for, spec_fingerprint
from frankrl.experience import HostPolicy, Source, make_policy
from frankrl.experience.remote import Actor, Actors, RemoteSource, in_words, parts_of
from frankrl.learning import network_for
from frankrl.training.state import Experiment

MakeSource = Callable[[Experiment], Source]
"""Makes the source of a run's experience, with every environment at its first episode's start."""


@dataclass(frozen=True)
class ActorPlan:
    """All that an actor is made from; another process can make the actor from it."""

    env_id: str
    settings: Settings
    """The run's resolved settings."""
    seed: int
    environment: str
    """`spec_fingerprint` of the environment."""
    part: range
    """Indices in the run of the environments that it has."""

    @own_numerics()
    def make(self) -> Actor:
        """The actor, with each environment at the beginning of its first episode.

        Raises:
            FrankError: an environment cannot be made here, is another one, or fails.
        """
        spec = self.spec()
        network = network_for(self.settings, spec)
        return Actor(self.settings, spec, network, self.seed, self.part)

    def spec(self) -> EnvironmentSpec:
        """The environment, described where the actor is.

        Raises:
            FrankError: it cannot be made here, or is another one.
        """
        with prepared():
            spec = describe_for(self.env_id, self.settings)
            start_backend(on_cpu=True)
        if spec_fingerprint(spec) != self.environment:
            raise EnvironmentUnusableError(
                f"{self.env_id} is another environment where the actor with the environments "
                f"{in_words(self.part)} is: install the same version of its package there"
            )
        return spec


def remote(make_actors: Callable[[], Actors], num_actors: int) -> MakeSource:
    """How to make the source of a run that has its environments in actors.

    Args:
        make_actors: gives where the actors are made; closed with the source.
        num_actors: number of actors.
    """

    def make(experiment: Experiment) -> RemoteSource:
        check_can_be_remote(experiment, num_actors)
        settings, spec, seed = experiment.settings, experiment.spec, experiment.seed
        known = spec_fingerprint(spec)
        return RemoteSource(
            make_actors(),
            parts_of(settings.environment.num_envs, num_actors),
            lambda part: ActorPlan(spec.env_id, settings, seed, known, part),
            settings.environment.restart_failed_envs,
            experiment.network.initial_memory(settings.environment.num_envs),
        )

    return make


def check_can_be_remote(experiment: Experiment, num_actors: int) -> None:
    """Refuse a run that cannot be spread over actors to the same bits.

    Raises:
        SettingError: it cannot.
    """
    settings, network = experiment.settings, experiment.network
    environment, num_envs = settings.environment, settings.environment.num_envs
    if not 1 <= num_actors <= num_envs:
        raise SettingError(
            f"actors must be from 1 to num_envs ({num_envs:,}), because each has environments of "
            f"its own, got {num_actors:,}: give fewer actors, or more num_envs"
        )
    for name in ("normalize_observations", "normalize_rewards"):
        if getattr(environment, name):
            raise SettingError(
                f"{name} cannot be had with actors: its statistics are of all environments after "
                "each step; leave out actors, or set it to false"
            )
    if settings.evaluation.evaluation_on == "training":
        raise SettingError(
            "evaluation_on training cannot be had with actors, which have the training "
            "environments; leave out actors, or set it to own"
        )
    on_host = isinstance(make_policy(settings.training.acting, network), HostPolicy)
    if not on_host and jax.default_backend() != "cpu":
        raise SettingError(
            "actors act on processors, and this run would act on the learner's GPU: set acting to "
            "host, or device to cpu, or leave out actors"
        )
    if network.is_own_code and num_actors > 1 and _mixes_observations(experiment):
        raise SettingError(
            "your network computes the Q-values of one observation from others of its batch, so "
            "actors, which know only their own, cannot act as one machine would: leave out actors"
        )
    named = (
        experiment.spec.env_id,
        *(n for names in settings.code_names().values() for n in names),
    )
    if objects := [name for name in named if is_object_name(name)]:
        raise SettingError(
            f"{', '.join(objects)} cannot be had with actors: another process can only make what a "
            "module defines; move it into a module, or leave out actors"
        )


def _mixes_observations(experiment: Experiment) -> bool:
    """Whether Q-values change with another observation of the batch; asked of zeros and ones."""
    settings, spec, network = experiment.settings, experiment.spec, experiment.network
    stack = spec.preprocessing.frame_stack
    in_front = (settings.environment.num_envs, *((stack,) if stack > 1 else ()))
    zeros = np.zeros((*in_front, *spec.row_shape), spec.row_dtype)
    other = zeros.copy()
    other[-1] = np.ones((), spec.row_dtype)
    policy = make_policy(settings.training.acting, network)
    policy.load(network.layout.flatten(network.init(experiment.seed)))
    memory = network.initial_memory(settings.environment.num_envs)
    before, after = (
        policy.q_values(spec.observation(rows), memory=memory).q_values[:-1]
        for rows in (zeros, other)
    )
    return before.tobytes() != after.tobytes()
