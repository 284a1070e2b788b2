"""Where the environments of a run are stepped, from what a user asks for."""

from typing import TYPE_CHECKING

from frankrl.core.errors import SettingError, check_type
from frankrl.core.wording import option

if TYPE_CHECKING:
    from frankrl.training.remote import MakeSource


def source_in_actors(actors: int | None, ray: str | None) -> "MakeSource | None":
    """How to make the source of a run; None: its environments are stepped in this process.

    Args:
        actors: number of actors; None: there are none.
        ray: address of the Ray cluster that they are on; None: they are processes of this machine.

    Raises:
        SettingError: the arguments contradict each other.
    """
    if actors is None:
        if ray is not None:
            raise SettingError(
                f"{option('ray')} says where the actors of a run are, and there are none: give "
                f"their number with {option('actors')}"
            )
        return None
    is_whole = isinstance(actors, int) and not isinstance(actors, bool)
    if not is_whole or actors < 1:
        raise SettingError(
            f"{option('actors')} must be a whole number from 1, got {actors!r}: leave it out to "
            "step the environments in this process"
        )

    from frankrl.training.remote import remote

    if ray is None:
        from frankrl.experience.remote.processes import ProcessActors

        return remote(ProcessActors, actors)
    check_type(ray, option("ray"), str, "the address of a Ray cluster, HOST:PORT or auto")

    from frankrl.cluster.ray_actors import RayActors

    return remote(lambda: RayActors(ray), actors)
