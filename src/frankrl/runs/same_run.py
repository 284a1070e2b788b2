"""Whether two descriptions are of the same run."""

from frankrl.core.text import shown
from frankrl.runs.description import RunDescription


def unlike(wanted: RunDescription, there: RunDescription, *, goes_on: bool = False) -> list[str]:
    """What distinguishes a run from the one that is wanted, in words; empty if it is the same.

    What they call their settings does not count, nor what one has chosen where the other says
    `auto`.

    Args:
        wanted: the run that is wanted.
        there: the run that is there.
        goes_on: whether one with a smaller budget is the same run.
    """
    # Objects have the names under which a run stores them.
    wanted = RunDescription.from_toml(wanted.to_toml())
    settings, stored = wanted.settings, there.settings
    settings, stored = settings.decided_as(stored), stored.decided_as(settings)
    ours = {"environment": wanted.env_id, "seed": wanted.seed, **settings.values()}
    theirs = {"environment": there.env_id, "seed": there.seed, **stored.values()}
    budget = settings.budget_name
    return [
        f"its {name} is {shown(theirs[name])} (given {shown(value)})"
        for name, value in ours.items()
        if theirs[name] != value and not (goes_on and name == budget and theirs[name] < value)
    ]
