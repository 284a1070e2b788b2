"""`frank evaluate`: the returns of a trained agent."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

import tyro

from frankrl.cli.parsing import parse
from frankrl.cli.progress_bar import progress_bar
from frankrl.core.wording import counted


@dataclass(frozen=True)
class EvaluateOptions:
    """Options of `frank evaluate`."""

    run: tyro.conf.Positional[str]
    """Run folder."""
    episodes: int = 100
    """Number of greedy episodes. [episodes]"""
    seed: int = 0
    """Decides the reset seeds of the episodes; training never uses them."""
    best: bool = False
    """Use the agent with the best evaluation during training instead of the newest."""
    json: bool = False
    """Print one JSON object on standard output instead of a table."""


def run(arguments: Sequence[str]) -> int:
    """Run the command; returns its exit status."""
    description = "Play greedy episodes in fresh environments and report their returns."
    options = parse(EvaluateOptions, arguments, "evaluate", description)

    from frankrl.api import evaluate, open_agent
    from frankrl.runs import RunFolder

    agent, info = open_agent(RunFolder.open(options.run), best=options.best)
    with progress_bar("evaluating", "episodes") as show:
        evaluation = evaluate(agent, episodes=options.episodes, seed=options.seed, on_episode=show)
    summary = evaluation.summary()
    if options.json:
        head = {"env_id": agent.spec.env_id, "env_steps": info["env_steps"], "seed": options.seed}
        print(json.dumps(head | summary, allow_nan=False))
        return 0

    from frankrl.cli.results import evaluation_lines

    print(
        f"{options.run}: {agent.spec.env_id}, trained for {counted(info['env_steps'], 'env step')}"
    )
    for line in evaluation_lines(summary, agent.spec.reward_threshold):
        print(f"  {line}")
    return 0
