"""Exact Q-values of a small MDP, by dynamic programming."""

import contextlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from frankrl.core.errors import SettingError
from frankrl.environments import EnvironmentSpec, make_environment
from frankrl.environments.single import close_environments

_MAX_SWEEPS = 100_000
_TOLERANCE = 1e-12


class Model(NamedTuple):
    """The model of a small MDP: the possible outcomes of each action in each state."""

    probability: Float[np.ndarray, "state action outcome"]
    next_state: Int[np.ndarray, "state action outcome"]
    reward: Float[np.ndarray, "state action outcome"]
    terminated: Bool[np.ndarray, "state action outcome"]


def model_of(spec: EnvironmentSpec) -> Model | None:
    """The model in an environment's attribute `P`, as in Gymnasium's toy-text ones; else None.

    None also for a model of another form, for example if its states are not numbered from 0.
    """
    env = make_environment(spec.env_id, spec.env_kwargs, None, spec.preprocessing, spec.wrappers)
    try:
        table = getattr(env.unwrapped, "P", None)
        if not isinstance(table, Mapping) or not table:
            return None
        with contextlib.suppress(KeyError, TypeError, ValueError, IndexError):
            model = _model(table)
            shape = (len(table), spec.num_actions)
            known = sorted(table) == list(range(len(table)))
            inside = (model.next_state >= 0) & (model.next_state < len(table))
            if known and model.probability.shape[:2] == shape and inside.all():
                return model
        return None
    finally:
        close_environments([env])


def _model(table: Mapping[int, Mapping[int, list[tuple[Any, ...]]]]) -> Model:
    rows = [[list(table[state][a]) for a in sorted(table[state])] for state in sorted(table)]
    most = max(len(outcomes) for row in rows for outcomes in row)
    nothing = (0.0, 0, 0.0, True)
    filled = [[outcomes + [nothing] * (most - len(outcomes)) for outcomes in row] for row in rows]
    return Model(
        *(
            np.array([[[o[part] for o in outcomes] for outcomes in row] for row in filled], kind)
            for part, kind in enumerate((np.float64, np.int64, np.float64, np.bool_))
        )
    )


def led_to(model: Model) -> Bool[np.ndarray, " state"]:
    """The states that some action reaches from another state; an episode can only be in the
    others if it begins there."""
    state = np.arange(len(model.probability))[:, None, None]
    arrives = (model.probability > 0) & (model.next_state != state)
    found = np.zeros(len(state), np.bool_)
    found[model.next_state[arrives]] = True
    return found


def optimal_q_values(model: Model, gamma: float) -> Float[np.ndarray, "state action"]:
    """Q*, by value iteration: Q(s, a) ← Σ p (r + γ max_a' Q(s′, a')) until it converges.

    Args:
        model: the model of the MDP.
        gamma: γ.

    Raises:
        SettingError: it does not converge; with γ = 1 the Q-values can grow without bound.

    Source: Bellman (1957); Sutton & Barto (2018), eq. 4.10.
    """
    q_values = np.zeros(model.probability.shape[:2])
    for _ in range(_MAX_SWEEPS):
        future = np.where(model.terminated, 0.0, q_values.max(axis=1)[model.next_state])
        new = (model.probability * (model.reward + gamma * future)).sum(axis=2)
        if np.abs(new - q_values).max() <= _TOLERANCE:
            return new
        q_values = new
    raise SettingError(
        f"with γ = {gamma:g} the exact Q-values of this environment have not converged after "
        f"{_MAX_SWEEPS:,} sweeps"
    )


def policy_q_values(
    model: Model, policy: Int[np.ndarray, " state"], gamma: float
) -> Float[np.ndarray, "state action"]:
    """Q of a policy: the solution of Q(s, a) = Σ p (r + γ Q(s′, π(s′))).

    Args:
        model: the model of the MDP.
        policy: the action of each state.
        gamma: γ, below 1.

    Source: Bellman (1957); Sutton & Barto (2018), eq. 4.4.
    """
    number, states = len(policy), np.arange(len(policy))
    future = gamma * np.where(model.terminated, 0.0, model.probability)
    reward = (model.probability * model.reward).sum(axis=2)
    # V = r_π + γ P_π V
    arrives = np.zeros((number, number))
    for outcome in range(model.probability.shape[2]):
        arrived = model.next_state[states, policy, outcome]
        np.add.at(arrives, (states, arrived), future[states, policy, outcome])
    values = np.linalg.solve(np.eye(number) - arrives, reward[states, policy])
    return reward + (future * values[model.next_state]).sum(axis=2)
