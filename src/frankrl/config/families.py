"""Families of games whose names begin alike: how a name is told to belong to one."""

from typing import NamedTuple


class Family(NamedTuple):
    """Games that have a preset and rules of their own here."""

    prefix: str
    """How their names begin in Gymnasium's registry."""
    module: str
    """The package that registers them; `module:` may stand before a name, as for Gymnasium."""
    preset: str

    def has(self, env_id: str) -> bool:
        """Whether a name is that of one of these games; by another module it is none of them."""
        return self.registered(env_id).startswith(self.prefix)

    def registered(self, env_id: str) -> str:
        """A game's name in Gymnasium's registry."""
        return env_id.removeprefix(f"{self.module}:")


ATARI = Family("ALE/", "ale_py", "atari")
"""The Arcade Learning Environment."""
MINATAR = Family("MinAtar/", "minatar", "minatar")
PGX_MINATAR = "functional:pgx/minatar-"
"""Begins the names of the same games in JAX, by pgx."""
FAMILIES = (ATARI, MINATAR)
