"""Where the environments of a run are stepped, from what a user asks for."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from frankrl.config import Settings
from frankrl.core.errors import SettingError, check_type
from frankrl.core.wording import option

if TYPE_CHECKING:
    from frankrl.experience.remote import Actors
    from frankrl.training.remote import MakeSource


def source_in_actors(
    settings: Settings, actors: int | None, ray: str | None
) -> "MakeSource | None":
    """How to make the source of a run; None: its environments are stepped in this process.

    Args:
        settings: the run's settings, which say whether it has actors that run freely.
        actors: number of actors; None: there are none.
        ray: address of the Ray cluster that they are on; None: they are processes of this machine.

    Raises:
        SettingError: the arguments contradict each other.
    """
    asynchronous_actors = settings.environment.asynchronous_actors
    if actors is not None and asynchronous_actors is not None:
        raise SettingError(
            f"the actors of this run run freely (asynchronous_actors {asynchronous_actors}), and "
            f"{option('actors')} is for actors that change no bit: leave one of them out"
        )
    if actors is None and asynchronous_actors is None:
        if ray is not None:
            raise SettingError(
                f"{option('ray')} says where the actors of a run are, and there are none: give "
                f"their number with {option('actors')}, or with asynchronous_actors"
            )
        return None
    is_whole = isinstance(actors, int) and not isinstance(actors, bool)
    if actors is not None and (not is_whole or actors < 1):
        raise SettingError(
            f"{option('actors')} must be a whole number from 1, got {actors!r}: leave it out to "
            "step the environments in this process"
        )

    from frankrl.training.asynchronous import asynchronous
    from frankrl.training.remote import remote

    make_actors = _made_at(ray)
    return asynchronous(make_actors) if actors is None else remote(make_actors, actors)


def _made_at(ray: str | None) -> "Callable[[], Actors]":
    if ray is None:
        from frankrl.experience.remote.processes import ProcessActors

        return ProcessActors
    check_type(ray, option("ray"), str, "the address of a Ray cluster, HOST:PORT or auto")

    from frankrl.cluster.ray_actors import RayActors

    return lambda: RayActors(ray)
