"""Whether two descriptions are of the same run."""

from frankrl.core.text import shown
from frankrl.runs.folder import RunDescription

_AUTO = "auto"
_CHOSEN = ("source", "symmetry")
"""Settings that can be `auto`, for which a run stores what it has chosen when it began."""


def unlike(wanted: RunDescription, there: RunDescription) -> list[str]:
    """What distinguishes a run from the one that is wanted, in words; empty if it is the same.

    What they call their settings does not count, nor what one has chosen where the other says
    `auto`.
    """
    # Objects have the names under which a run stores them.
    wanted = RunDescription.from_toml(wanted.to_toml())
    ours = {"environment": wanted.env_id, "seed": wanted.seed, **wanted.settings.values()}
    theirs = {"environment": there.env_id, "seed": there.seed, **there.settings.values()}
    for name in _CHOSEN:
        if _AUTO in (ours[name], theirs[name]):
            ours[name] = theirs[name]
    return [
        f"its {name} is {shown(theirs[name])} (given {shown(value)})"
        for name, value in ours.items()
        if theirs[name] != value
    ]
