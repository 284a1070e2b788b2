"""One run's environments in several actors, in other processes or on other machines."""

from frankrl.experience.remote.actor import (
    Actor,
    ActorPlan,
    EpisodeState,
    Restored,
    RoundAnswer,
    RoundRequest,
    in_words,
)
from frankrl.experience.remote.free_actors import FreeActorPlan, FreeActors
from frankrl.experience.remote.handles import (
    ActorHandle,
    ActorLostError,
    Actors,
    Plan,
    Refusal,
    Wait,
    answered,
    taken,
)
from frankrl.experience.remote.source import RemoteSource, check_can_be_remote
from frankrl.experience.remote.together import parts_of, together

__all__ = [
    "Actor",
    "ActorHandle",
    "ActorLostError",
    "ActorPlan",
    "Actors",
    "EpisodeState",
    "FreeActorPlan",
    "FreeActors",
    "Plan",
    "Refusal",
    "RemoteSource",
    "Restored",
    "RoundAnswer",
    "RoundRequest",
    "Wait",
    "answered",
    "check_can_be_remote",
    "in_words",
    "parts_of",
    "taken",
    "together",
]
