"""The games that a name may mean which does not exist, such as `PongNoFrameskip-v4`."""

import difflib
import importlib.util
import re

import gymnasium

from frankrl.config.families import ATARI, FAMILIES, Family
from frankrl.core.errors import FrankError
from frankrl.environments.extras import imported
from frankrl.environments.minatar import register_minatar

_VERSION = re.compile(r"-v\d+$")
_VARIANT = re.compile(r"(-ram)?(noframeskip|deterministic)?$")
"""Ends of names in old versions of Gym, which stood for settings."""
_ALIKE = 0.65


def similar_games(env_id: str) -> list[str]:
    """Names of games that a name may mean, the likeliest first.

    Only games whose package is installed are named. Upper and lower case, the version and the ends
    of Gym's old names do not count.
    """
    module, _, name = env_id.rpartition(":")
    namespace, _, game = name.rpartition("/")
    found = []
    for family in FAMILIES:
        of_family = namespace.lower() == family.prefix[:-1].lower()
        if module not in ("", family.module) or not (of_family or namespace == ""):
            continue
        games: dict[str, list[str]] = {}
        for known in _games(family, env_id):
            games.setdefault(_folded(known.removeprefix(family.prefix)), []).append(known)
        words = [_folded(game)] if _folded(game) in games else []
        if not words and of_family:
            words = difflib.get_close_matches(_folded(game), games, n=1, cutoff=_ALIKE)
        for word in words:
            version = _VERSION.search(game)
            ends = version.group() if version else ""
            found += sorted(games[word], key=lambda known: (known.endswith(ends), known))[::-1]
    return found


def is_old_name_without_package(env_id: str) -> bool:
    """Whether a name is one that old versions of Gym gave an Atari game, such as
    `PongNoFrameskip-v4`, and the package with the games is missing."""
    ending = _VARIANT.search(_VERSION.sub("", env_id.lower()))
    return bool(ending and ending.group()) and importlib.util.find_spec(ATARI.module) is None


def _games(family: Family, env_id: str) -> list[str]:
    """The names of a family's games; none if its package is missing or cannot be imported."""
    if importlib.util.find_spec(family.module) is None:
        return []
    try:
        if family is ATARI:
            imported(family.module, env_id, "ale-py", family.preset)
        else:
            register_minatar(env_id)
    except FrankError:
        return []
    return [known for known in gymnasium.registry if known.startswith(family.prefix)]


def _folded(name: str) -> str:
    """A game's name without what the comparison leaves out."""
    return re.sub("[_-]", "", _VARIANT.sub("", _VERSION.sub("", name.lower())))
