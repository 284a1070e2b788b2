"""What a data set says of the run that it came from."""

import copy
from collections.abc import Mapping
from typing import Any

import gymnasium
from gymnasium import spaces

from frankrl.config import Clock
from frankrl.core.figures import counted
from frankrl.core.local_paths import without_paths
from frankrl.datasets import DataSetDescription
from frankrl.environments import EnvironmentSpec
from frankrl.exporting.fresh_episodes import Plan
from frankrl.exporting.trained_network import TrainedNetwork


def described(trained: TrainedNetwork, plan: Plan | None, author: str) -> DataSetDescription:
    """The description of a data set; it names no local folder.

    Args:
        trained: the run, and its Q-network.
        plan: which episodes are played; None: they are those of the replay buffer.
        author: who made it; may be empty.
    """
    spec, facts = trained.spec, without_paths(trained.facts())
    played: dict[str, Any] = {}
    if plan is not None:
        played = {"epsilon": plan.epsilon, "episodes_seed": plan.seed}
    return DataSetDescription(
        observation_space=spec.observation_space,
        action_space=spaces.Discrete(spec.num_actions, start=spec.first_action),
        env_id=spec.env_id,
        env_kwargs=facts["env_kwargs"],
        env_spec=_env_spec(spec),
        algorithm=_algorithm(facts, trained.folder.description.settings.clock, plan),
        author=author,
        text=_text(facts, spec),
        facts={"wrappers": list(spec.wrappers), **facts, **played},
    )


def _algorithm(facts: Mapping[str, Any], clock: Clock, plan: Plan | None) -> str:
    """By what the actions were chosen."""
    done = counted(facts["env_steps"], clock.unit)
    agent = f"Frank {facts['frank_version']}, preset {facts['preset']}"
    if plan is None:
        return f"{agent}, while it trained up to {done}"
    if plan.epsilon == 1:
        return "uniformly random actions"
    how = "greedy" if plan.epsilon == 0 else f"ε-greedy with ε = {plan.epsilon:g}"
    return f"{agent}, {how} after training for {done}"


def _text(facts: Mapping[str, Any], spec: EnvironmentSpec) -> str:
    prepared = [
        f"{name} {facts[name]}" for name in ("resize", "grayscale") if facts[name] not in (None, 0)
    ]
    how = f", with {', '.join(prepared)}" if prepared else ""
    return f"Whole episodes of {spec.env_id}{how}, from the run {facts['run']}."


def _env_spec(spec: EnvironmentSpec) -> str:
    """The environment in Gymnasium's JSON form, where that alone makes it; else nothing."""
    known = gymnasium.registry.get(spec.env_id)
    is_prepared = spec.preprocessing.resize is not None or spec.preprocessing.grayscale
    if known is None or spec.wrappers or is_prepared or spec.preprocessing.atari is not None:
        return ""
    known = copy.deepcopy(known)
    known.kwargs.update(spec.env_kwargs)
    try:
        text = known.to_json()
    except (TypeError, ValueError):  # made by a function, or with objects
        return ""
    return text if without_paths(text) == text else ""
