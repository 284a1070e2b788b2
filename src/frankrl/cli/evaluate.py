"""`frank evaluate`: the returns of a trained agent."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro

from frankrl.cli.output import print_result
from frankrl.cli.parsing import parse
from frankrl.core.errors import SettingError
from frankrl.core.figures import counted


@dataclass(frozen=True)
class EvaluateOptions:
    """Options of `frank evaluate`."""

    run: tyro.conf.Positional[str]
    """Run folder, or the folder of the runs of several seeds, which are evaluated one after the
    other."""
    episodes: int = 100
    """Number of greedy episodes. [episodes]"""
    seed: int = 0
    """Decides the reset seeds of the episodes; training never uses them."""
    best: bool = False
    """Use the agent with the best evaluation during training instead of the newest."""
    env: str = ""
    """Name of the run's environment, to import its module although somebody else wrote the run."""
    allow_code: bool = False
    """Import whatever module the run names, although somebody else wrote the run."""
    fqe: bool = False
    """Play nothing: estimate the discounted return of the agent from a data set, by fitted Q
    evaluation."""
    dataset: str = ""
    """With --fqe: the data set, by its folder or its name in Minari's folder."""
    updates: int | None = None
    """With --fqe: number of updates of the fit; by default 20,000. [updates]"""
    json: bool = False
    """Print one JSON object on standard output instead of a table."""


def run(arguments: Sequence[str]) -> int:
    """Run the command; returns its exit status."""
    description = "Play greedy episodes in fresh environments and report their returns."
    options = parse(EvaluateOptions, arguments, "evaluate", description)
    _check(options)
    if options.fqe:
        return _estimated(options)

    from frankrl.api import evaluate
    from frankrl.opening import open_agent, open_run
    from frankrl.seeds.from_python import names_group

    if names_group(options.run):
        return _several(options)
    folder = open_run(options.run, options.env, options.allow_code, {})
    agent, info = open_agent(folder, best=options.best)
    evaluation = evaluate(agent, episodes=options.episodes, seed=options.seed)
    summary = evaluation.summary()
    if options.json:
        head = {"env_id": agent.spec.env_id, "env_steps": info["env_steps"], "seed": options.seed}
        head["clock"] = folder.description.settings.clock
        print_result(json.dumps(head | summary, allow_nan=False))
        return 0

    from frankrl.training.in_words import evaluation_lines

    print_result(f"{options.run}: {agent.spec.env_id}, trained for {agent.trained_for()}")
    for line in evaluation_lines(summary, agent.spec.reward_threshold):
        print_result(f"  {line}")
    return 0


def _check(options: EvaluateOptions) -> None:
    """Refuse options that belong to the other way to evaluate."""
    if options.fqe and not options.dataset:
        raise SettingError("--fqe estimates from a data set: name one with --dataset")
    if not options.fqe and (options.dataset or options.updates is not None):
        given = "--dataset" if options.dataset else "--updates"
        raise SettingError(f"{given} belongs to an estimate from a data set: give --fqe with it")
    if options.fqe and options.episodes != EvaluateOptions.episodes:
        raise SettingError("--fqe plays no episodes: leave --episodes out")


def _estimated(options: EvaluateOptions) -> int:
    """Estimate what an agent is worth, from a data set."""
    from frankrl.api import estimate
    from frankrl.seeds.from_python import names_group
    from frankrl.training.estimate import ESTIMATE_UPDATES

    if names_group(options.run):
        raise SettingError(
            f"{options.run} holds the runs of several seeds, and --fqe estimates one: name the "
            "folder of a run in it"
        )
    found = estimate(
        options.run,
        options.dataset,
        updates=ESTIMATE_UPDATES if options.updates is None else options.updates,
        seed=options.seed,
        best=options.best,
        env=options.env or None,
        allow_code=options.allow_code,
    )
    if options.json:
        print_result(json.dumps({"seed": options.seed} | found.summary(), allow_nan=False))
        return 0
    for line in (f"{options.run}:", *found.lines()):
        print_result(line)
    return 0


def _several(options: EvaluateOptions) -> int:
    """Evaluate the agents of several seeds."""
    from frankrl.api import evaluate
    from frankrl.runs.group import RunGroup

    env_id = RunGroup.open(Path(options.run)).description.env_id
    result = evaluate(
        options.run,
        episodes=options.episodes,
        seed=options.seed,
        best=options.best,
        env=options.env or None,
        allow_code=options.allow_code,
    )
    if options.json:
        head = {"env_id": env_id, "seed": options.seed}
        print_result(json.dumps(head | result.summary(), allow_nan=False))
    else:
        print_result(f"{options.run}: {env_id}, {counted(options.episodes, 'episode')} each")
        print_result(repr(result))
    return 0
