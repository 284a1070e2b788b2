"""One run's environments in several actors, in other processes or on other machines."""

from frankrl.experience.remote.actor import (
    Actor,
    EpisodeState,
    RoundAnswer,
    RoundRequest,
    in_words,
)
from frankrl.experience.remote.free_actors import FreeActors
from frankrl.experience.remote.handles import (
    ActorHandle,
    ActorLostError,
    Actors,
    Plan,
    Refusal,
    Served,
    Wait,
    taken,
)
from frankrl.experience.remote.source import RemoteSource
from frankrl.experience.remote.together import parts_of, together

__all__ = [
    "Actor",
    "ActorHandle",
    "ActorLostError",
    "Actors",
    "EpisodeState",
    "FreeActors",
    "Plan",
    "Refusal",
    "RemoteSource",
    "RoundAnswer",
    "RoundRequest",
    "Served",
    "Wait",
    "in_words",
    "parts_of",
    "taken",
    "together",
]
