"""A run whose environments are stepped by actors that run freely."""

from collections.abc import Callable
from dataclasses import dataclass

from frankrl.core.errors import SettingError
from frankrl.core.numerics import own_numerics
from frankrl.environments import spec_fingerprint
from frankrl.experience import AsynchronousSource, FreeActor, LiveFeed
from frankrl.experience.remote import Actors, FreeActors, parts_of
from frankrl.learning import network_for
from frankrl.training.remote import ActorPlan, MakeSource, check_can_be_remote
from frankrl.training.state import Experiment


@dataclass(frozen=True)
class FreeActorPlan:
    """All that an actor which runs freely is made from."""

    plan: ActorPlan

    @property
    def part(self) -> range:
        """Indices in the run of the environments that it has."""
        return self.plan.part

    @own_numerics()
    def make(self) -> FreeActor:
        """The actor, with each environment at the beginning of its first episode.

        Raises:
            FrankError: an environment cannot be made here, is another one, or fails.
        """
        plan, spec = self.plan, self.plan.spec()
        number = self.part.start // len(self.part)
        network = network_for(plan.settings, spec)
        return FreeActor(plan.settings, network, spec, plan.seed, number)


def asynchronous(make_actors: Callable[[], Actors]) -> MakeSource:
    """How to make the source of a run with `asynchronous_actors`.

    Args:
        make_actors: gives where the actors are made; closed with the source.
    """

    def make(experiment: Experiment) -> AsynchronousSource:
        settings, spec, seed = experiment.settings, experiment.spec, experiment.seed
        count = settings.environment.asynchronous_actors
        assert count is not None
        _check(experiment, count)
        known = spec_fingerprint(spec)
        free = FreeActors(
            make_actors(),
            parts_of(settings.environment.num_envs, count),
            lambda part: FreeActorPlan(ActorPlan(spec.env_id, settings, seed, known, part)),
        )
        return AsynchronousSource(settings, LiveFeed(free, count), experiment.updates_due)

    return make


def _check(experiment: Experiment, count: int) -> None:
    """Refuse what the settings alone do not tell.

    Raises:
        SettingError: actors that run freely cannot train this.
    """
    check_can_be_remote(experiment, count)
    if (stack := experiment.spec.preprocessing.frame_stack) > 1:
        raise SettingError(
            f"{experiment.spec.env_id} is trained with frame_stack {stack}, and what "
            "asynchronous_actors send begins like an episode in the replay buffer, so no stack "
            "could reach back before it: set frame_stack to 1, or leave asynchronous_actors out"
        )
