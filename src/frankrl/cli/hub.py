"""`frank hub`: push a run to the Hub, and pull one from there."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

import tyro

from frankrl.cli.output import print_result
from frankrl.cli.parsing import parse, say
from frankrl.core.errors import FrankError, nearest
from frankrl.core.figures import figure

SUBCOMMANDS = {
    "push": "push a run to the Hub: its agent, a model card, its results and a film",
    "pull": "pull a run from the Hub into a run folder",
}
"""What `frank hub` does, in words."""


@dataclass(frozen=True)
class PushOptions:
    """Options of `frank hub push`."""

    run: tyro.conf.Positional[str]
    """Run folder."""
    repository: tyro.conf.Positional[str]
    """USER/NAME on the Hub; made if it does not exist."""
    best: bool = False
    """Evaluate and film the agent with the best evaluation during training, not the newest."""
    episodes: int = 0
    """Greedy episodes to play for the card. 0: the run's final evaluation, or 100 episodes if it
    has none. [episodes]"""
    film: bool = True
    """Film an episode, if the environment can be filmed."""
    with_replay: bool = False
    """Push the replay buffer too, so that others can continue the run exactly."""
    with_paths: bool = False
    """Push settings although they name local paths."""
    private: bool = False
    """Make the repository private."""
    revision: str = ""
    """Branch to push to, made if it does not exist; empty: the main one."""
    message: str = ""
    """The commit's message; empty: one with the env steps and the mean return."""
    out: str = ""
    """Write the repository to this folder and upload nothing."""
    env: str = ""
    """Name of the run's environment, to import its module although somebody else wrote the run."""
    allow_code: bool = False
    """Import whatever module the run names, although somebody else wrote the run."""


@dataclass(frozen=True)
class PullOptions:
    """Options of `frank hub pull`."""

    repository: tyro.conf.Positional[str]
    """USER/NAME on the Hub."""
    out: str = ""
    """Run folder to make; empty: runs/USER/NAME."""
    revision: str = ""
    """Branch, tag or commit; empty: the newest commit of the main branch."""
    overwrite: bool = False
    """Replace a run that is there."""


def run(arguments: Sequence[str]) -> int:
    """Run the command; returns its exit status."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print_result(_help())
        return 0
    command, rest = arguments[0], arguments[1:]
    if command not in SUBCOMMANDS:
        raise FrankError(
            f"there is no command 'hub {command}'{nearest(command, SUBCOMMANDS)} "
            f"(commands: {', '.join(f'hub {name}' for name in SUBCOMMANDS)})"
        )
    return _push(rest) if command == "push" else _pull(rest)


def _help() -> str:
    lines = [f"  frank hub {name}  {text}" for name, text in SUBCOMMANDS.items()]
    return "\n".join([*lines, "", "`frank hub push --help` shows every option."])


def _description(command: str) -> str:
    words = SUBCOMMANDS[command]
    return f"{words[0].upper()}{words[1:]}."


def _push(arguments: Sequence[str]) -> int:
    options = parse(PushOptions, arguments, "hub push", _description("push"))

    from frankrl.hub.upload import push

    pushed = push(
        options.run,
        options.repository,
        best=options.best,
        episodes=options.episodes or None,
        film=options.film,
        with_replay=options.with_replay,
        with_paths=options.with_paths,
        private=options.private,
        revision=options.revision or None,
        message=options.message or None,
        out=options.out or None,
        env=options.env,
        allow_code=options.allow_code,
    )
    summary = pushed.evaluation
    say(
        f"mean return {figure(summary['mean_return'])} ± {figure(summary['std_return'])} over "
        f"{summary['episodes']:,} episodes; {pushed.size / 1e6:,.1f} MB"
        f"{' with a film' if pushed.filmed else ''}"
    )
    if pushed.commit is None:
        say(f"nothing was uploaded; look at {shlex.quote(pushed.place)}/README.md")
    print_result(pushed.place)
    return 0


def _pull(arguments: Sequence[str]) -> int:
    options = parse(PullOptions, arguments, "hub pull", _description("pull"))

    from frankrl.hub.download import pull, size_of

    path = pull(
        options.repository,
        out=options.out or None,
        revision=options.revision or None,
        overwrite=options.overwrite,
    )
    say(f"{size_of(path)}, every file as its manifest says; next: frank evaluate {path}")
    print_result(str(path))
    return 0
