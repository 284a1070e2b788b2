"""Claims about deep Q-learning, from the notes and elsewhere, and the arms that test each."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from frankrl.config import Settings
from frankrl.config.presets import load_preset
from frankrl.experiments.family import members


@dataclass(frozen=True)
class Arm:
    """One of the compared ways to train."""

    name: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    """Settings that differ from those shared by all arms."""


@dataclass(frozen=True)
class Experiment:
    """A claim, and arms that differ only in what the claim is about."""

    claim: str
    arms: tuple[Arm, ...]
    env_ids: tuple[str, ...] = ("CartPole-v1", "LunarLander-v3")
    """Environments of the experiment, unless others are asked for."""
    changes: Mapping[str, Any] = field(default_factory=dict)
    """Settings of all arms that differ from those of the other experiments."""
    budgets: Mapping[str, int] = field(default_factory=dict)
    """Env steps of a run by environment, where they differ from those of the other experiments."""

    @property
    def environments(self) -> tuple[str, ...]:
        """The environments that it can be tested on: PQN has functional ones alone."""
        has_pqn = any(arm.changes.get("algorithm") == "pqn" for arm in self.arms)
        return tuple(FUNCTIONAL) if has_pqn else ENVIRONMENTS


_PQN: dict[str, Any] = {
    "algorithm": "pqn",
    "trace_decay": 0.95,
    "epochs_per_round": 4,
    "minibatches": 16,
    "optimiser": "radam",
    "vector_steps_per_round": 32,
}

EXPERIMENTS: dict[str, Experiment] = {
    "replay": Experiment(
        "Learning from random rows of a replay buffer is more stable than learning from "
        "consecutive transitions in order.",
        (
            Arm("random rows of the buffer"),
            Arm("the newest, in order", {"replay_sampling": "newest"}),
        ),
    ),
    "target": Experiment(
        "A target network that stands still between copies makes learning stable.",
        (
            Arm("copied every update", {"target_period_updates": 1}),
            Arm("every 100", {"target_period_updates": 100}),
            Arm("every 1,000", {"target_period_updates": 1_000}),
            Arm("every 10,000", {"target_period_updates": 10_000}),
            Arm("follows slowly, τ = 0.005", {"target_period_updates": 1, "tau": 0.005}),
        ),
    ),
    "epsilon": Experiment(
        "ε should be high at the beginning and decay.",
        (
            Arm("ε falls from 1 to 0.05"),
            Arm("ε = 1 always", {"epsilon_start": 1.0, "epsilon_end": 1.0}),
            Arm("ε = 0.1 always", {"epsilon_start": 0.1, "epsilon_end": 0.1}),
            Arm("ε = 0 always", {"epsilon_start": 0.0, "epsilon_end": 0.0}),
        ),
    ),
    "reuse": Experiment(
        "Each transition can be learned from many times, so more is learned from the same "
        "experience.",
        (
            Arm("1 update per 4 env steps", {"replay_ratio": 0.25}),
            Arm("1 update per env step, buffer of 100,000"),
            Arm("4 updates per env step", {"replay_ratio": 4.0}),
            Arm("buffer of 1,000", {"replay_capacity": 1_000}),
            Arm("buffer of 10,000", {"replay_capacity": 10_000}),
        ),
    ),
    "ends": Experiment(
        "After a termination the future counts zero; after a time limit it still counts. "
        "(The notes leave the end of an episode out.)",
        (
            Arm("termination only"),
            Arm("a time limit, too", {"bootstrap_on": "never"}),
            Arm("no end at all", {"bootstrap_on": "always"}),
        ),
    ),
    "props": Experiment(
        "Deep Q-learning needs its two props, the replay buffer and the target network. (PQN has "
        "neither: with LayerNorm and λ-returns it is said to do without; Gallici et al. 2024.)",
        (
            Arm("both props"),
            Arm("both props and LayerNorm", {"layer_norm": True}),
            Arm("neither, PQN", {**_PQN, "layer_norm": True}),
            Arm("neither, PQN without LayerNorm", _PQN),
            Arm("neither, and no λ-returns", {**_PQN, "layer_norm": True, "trace_decay": 0.0}),
        ),
        ("frankrl/CartPole-functional-v0",),
        {"num_envs": 16},
    ),
    "lag": Experiment(
        "Priorities that are set after the last of several updates serve as well as those that "
        "are set after each.",
        tuple(
            Arm(
                f"{words}, {steps} in a call",
                {"replay_sampling": sampling, "vector_steps_per_round": steps},
            )
            for words, sampling in (("any rows", "uniform"), ("by priority", "prioritised"))
            for steps in (1, 4, 16)
        ),
        budgets={"CartPole-v1": 40_000, "LunarLander-v3": 120_000},
    ),
    "family": Experiment(
        "Each improvement on DQN makes it better, and Rainbow misses each of its parts.",
        (Arm("the notes' algorithm"), *(Arm(name, changes) for name, changes in members())),
        ("CartPole-v1", "Acrobot-v1", "MountainCar-v0", "LunarLander-v3"),
        {"num_envs": 8, "vector_steps_per_round": 1, "replay_ratio": 0.5},
        {
            "CartPole-v1": 30_000,
            "Acrobot-v1": 30_000,
            "MountainCar-v0": 80_000,
            "LunarLander-v3": 100_000,
        },
    ),
}

_SHARED: dict[str, Any] = {
    "hidden_widths": (64, 64),
    "learning_rate": 1e-3,
    "target_period_updates": 100,
    "replay_capacity": 100_000,
    "learning_starts_env_steps": 1_000,
    "vector_steps_per_round": 4,
    "evaluation_episodes": 10,
    "final_evaluation_episodes": 50,
    "worker_processes": 0,
    "device": "cpu",
    "keep_checkpoints": 1,
    "log_every_env_steps": 1_000,
}
_OWN: dict[str, dict[str, Any]] = {
    "CartPole-v1": {
        "total_env_steps": 50_000,
        "epsilon_decay_env_steps": 10_000,
        "evaluate_every_env_steps": 2_500,
        "checkpoint_every_env_steps": 50_000,
    },
    "Acrobot-v1": {
        "total_env_steps": 40_000,
        "epsilon_decay_env_steps": 10_000,
        "evaluate_every_env_steps": 5_000,
        "checkpoint_every_env_steps": 40_000,
    },
    "MountainCar-v0": {
        "scale_observation": True,
        "target_period_updates": 250,
        "total_env_steps": 120_000,
        "epsilon_decay_env_steps": 25_000,
        "evaluate_every_env_steps": 10_000,
        "checkpoint_every_env_steps": 120_000,
    },
    "LunarLander-v3": {
        "total_env_steps": 200_000,
        "epsilon_decay_env_steps": 50_000,
        "evaluate_every_env_steps": 10_000,
        "checkpoint_every_env_steps": 100_000,
    },
    "frankrl/NineSquares-v0": {
        "total_env_steps": 10_000,
        "epsilon_decay_env_steps": 2_500,
        "evaluate_every_env_steps": 500,
        "checkpoint_every_env_steps": 10_000,
    },
}
FUNCTIONAL: dict[str, str] = {
    "frankrl/CartPole-functional-v0": "CartPole-v1",
    "frankrl/Acrobot-functional-v0": "Acrobot-v1",
    "frankrl/MountainCar-functional-v0": "MountainCar-v0",
    "frankrl/NineSquares-functional-v0": "frankrl/NineSquares-v0",
}
"""Environments that are functions, and the ordinary ones whose settings they share but for
`_OF_FUNCTIONAL`. All seeds of an arm are one program there."""
_OF_FUNCTIONAL: dict[str, Any] = {"hidden_widths": (32, 32), "batch_size": 32}
"""So that a hundred seeds of an arm take minutes on one core: a third of the time of 64 × 64 units
and batches of 64."""
_RETURNS: dict[str, dict[str, float]] = {
    "CartPole-v1": {"value_min": 0.0, "value_max": 100.0},
    "Acrobot-v1": {"value_min": -100.0, "value_max": 0.0},
    "MountainCar-v0": {"value_min": -100.0, "value_max": 0.0},
    "LunarLander-v3": {"value_min": -300.0, "value_max": 300.0},
    "frankrl/NineSquares-v0": {"value_min": -5.0, "value_max": 1.0},
}
"""Where C51's fixed returns lie."""
ENVIRONMENTS: tuple[str, ...] = (*_OWN, *FUNCTIONAL)


def settings_of(experiment: Experiment, arm: Arm, env_id: str) -> Settings:
    """The settings of an arm on one of `ENVIRONMENTS`.

    They are the preset `classic`, the notes' algorithm, with the arm's changes. Network and run
    are smaller, so that a run takes seconds or a minute, and the target network is copied as
    often as is best in such a short run.
    """
    smaller = _OF_FUNCTIONAL if env_id in FUNCTIONAL else {}
    env_id = FUNCTIONAL.get(env_id, env_id)
    budget = experiment.budgets.get(env_id)
    changes = dict(experiment.changes) | ({"total_env_steps": budget} if budget else {})
    shared = load_preset("classic").with_changes(**_SHARED | smaller | _OWN[env_id] | changes)
    own = dict(arm.changes)
    if own.get("distribution") == "c51":
        own |= _RETURNS[env_id]
    return shared.with_changes(**own).resolved()
