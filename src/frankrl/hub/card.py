"""The model card of a run: the page of its repository, with the metadata that leaderboards read."""

from typing import Any

from frankrl.config import Clock
from frankrl.core.figures import counted, figure
from frankrl.core.named_code import is_object_name, module_of
from frankrl.hub.results import Result
from frankrl.runs import RunDescription
from frankrl.training.in_words import spread_of

_LIBRARY = "frankrl"
_TASK = "deep-reinforcement-learning"


def card(repository: str, description: RunDescription, result: Result, *, filmed: bool) -> str:
    """The text of a repository's `README.md`.

    Args:
        repository: its name, USER/NAME.
        description: the run's description, as others may read it.
        result: the evaluation of its agent.
        filmed: whether there is a film.
    """
    env_id = description.env_id.rpartition(":")[2]
    parts = [
        f"---\n{_metadata(env_id, result).strip()}\n---",
        f"# {_kind(description)} that plays **{env_id}**",
        f"Trained by Frank (the Python package `{_LIBRARY}`) with the preset "
        f"`{description.preset}` and seed {description.seed}, for "
        f"{counted(result.env_steps, result.clock.unit)}. Mean return over "
        f"{counted(result.summary['episodes'], 'greedy episode')}: **{result.mean_reward}**.",
        f"`replay.mp4` shows an episode with {_shown(description)}." if filmed else "",
        _use(repository, description, result.agent),
        _memory(description),
        _evaluation(result),
        _training(description, result),
        _settings(description),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _kind(description: RunDescription) -> str:
    """What kind of agent it is."""
    if description.settings.learning.algorithm == "bc":
        return "A cloned agent (behaviour cloning: its outputs are logits, no Q-values)"
    return "A DQN agent"


def _shown(description: RunDescription) -> str:
    """What a film shows of every action."""
    if description.settings.learning.algorithm == "bc":
        return "the logit of every action"
    return "the Q-value of every action"


def _metadata(env_id: str, result: Result) -> str:
    from huggingface_hub import EvalResult, ModelCardData

    evaluation = EvalResult(
        task_type="reinforcement-learning",
        task_name="reinforcement-learning",
        dataset_type=env_id,
        dataset_name=env_id,
        metric_type="mean_reward",
        metric_name="mean_reward",
        metric_value=result.mean_reward,
        verified=False,
    )
    data = ModelCardData(
        library_name=_LIBRARY,
        tags=[env_id, _TASK, "reinforcement-learning", "dqn", _LIBRARY],
        model_name="DQN",
        eval_results=[evaluation],
    )
    return data.to_yaml()


def _use(repository: str, description: RunDescription, agent: str) -> str:
    flags, to_load, to_evaluate, needs = _permission(description)
    best, best_flag = (", best=True", " --best") if agent == "best" else ("", "")
    return f"""## Use it

```console
pip install '{_LIBRARY}[hub]'
frank hub pull {repository} --out runs/pulled
frank evaluate runs/pulled{best_flag}{flags}
frank film runs/pulled{best_flag}{flags}
```

```python
import frankrl

agent = frankrl.load(frankrl.hub.pull("{repository}"){best}{to_load})
print(frankrl.evaluate(agent, episodes=10{to_evaluate}).mean_return)
```{needs}"""


def _permission(description: RunDescription) -> tuple[str, str, str, str]:
    """What others must say so that the run's own code is imported, and what that code is.

    Returns:
        The flags, the arguments in Python of `load` and of `evaluate`, and a sentence; empty if the
        run names no code.
    """
    env_id, settings = description.env_id, description.settings.code_names()
    named = [name for names in settings.values() for name in names]
    objects = {name: None for name in (env_id, *named) if is_object_name(name)}
    if objects:
        words = ", ".join(f"`{name}`" for name in objects)
        return "", "", "", f"\n\nThe run was made from {words}: Python objects of its author's own."
    modules = {module_of(name): None for name in (env_id, *named) if module_of(name)}
    if not modules:
        return "", "", "", ""
    words = ", ".join(f"`{module}`" for module in modules)
    needs = f"\n\nThe run needs {words}, which you must have; to import it runs its code."
    allowed = ", allow_code=True"
    if named:
        to_load = allowed if {"network", "torso"} & settings.keys() else ""
        return " --allow-code", to_load, allowed, needs
    return f" --env {env_id}", "", f", env={env_id!r}", needs


def _memory(description: RunDescription) -> str:
    """How an agent with a memory is asked; empty without one."""
    network = description.settings.network
    if network.memory == "none":
        return ""
    return f"""The agent has a memory of {counted(network.memory_units, "number")}: what it does
depends on what it has seen in the episode. Evaluations and films carry the memory. Who asks the
agent step by step gives each state back:

```python
action, state = agent.predict(observation, state, episode_start)
```"""


def _evaluation(result: Result) -> str:
    summary = result.summary
    low, high = summary["interval_95"]
    spread = spread_of(summary)
    rows = {
        "agent": f"{result.agent}, after {counted(result.env_steps, result.clock.unit)}",
        "episodes": f"{summary['episodes']:,}, greedy, played {result.played}",
        "seed of the episodes": str(result.seed),
        "mean return ± standard deviation": result.mean_reward.replace("+/-", "±"),
        "95 % interval of the mean": f"{figure(low, spread)} … {figure(high, spread)}",
        "worst, median, best": ", ".join(
            figure(summary[f"{name}_return"], spread) for name in ("min", "median", "max")
        ),
        "mean length": f"{figure(summary['mean_length'])} steps",
    }
    return f"## Evaluation\n\n{_table(rows)}"


def _training(description: RunDescription, result: Result) -> str:
    newest = result.newest
    rows = {
        result.clock.value: f"{newest['env_steps']:,}",
        "updates": f"{newest['updates']:,}",
        "episodes": f"{newest['episodes']:,}",
        "seed": str(description.seed),
    }
    if solved := newest.get("solved"):
        rows["solved"] = f"at {result.clock.at(solved['env_steps'])}"
    rows |= {name: str(value) for name, value in description.versions.items()}
    rows |= {name: str(value) for name, value in description.machine.items() if value != ""}
    return f"## Training\n\n{_table(rows)}\n\n{_exactness(newest, result.clock)}"


def _exactness(newest: dict[str, Any], clock: Clock) -> str:
    marks = newest.get("not_reproducible") or []
    if not marks:
        return (
            "The run is reproducible: the same command with these versions gives the same bits on "
            "a machine of this kind."
        )
    lines = [f"- from {clock.at(mark['env_steps'])}: {mark['reason']}" for mark in marks]
    return "The run may differ in its bits from an uninterrupted one:\n\n" + "\n".join(lines)


def _settings(description: RunDescription) -> str:
    # The tables of the settings stand between that of the run and those of the machine.
    text = description.to_toml().partition("\n\n")[2].partition("\n[versions]")[0].strip()
    return f"## Settings\n\n```toml\n{text}\n```"


def _table(rows: dict[str, str]) -> str:
    lines = [f"| {name} | {value.replace('|', '/')} |" for name, value in rows.items()]
    return "\n".join(["| | |", "|---|---|", *lines])
