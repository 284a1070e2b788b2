"""The whole Q-table of an agent, with one row per state, as in the notes."""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from frankrl.core.absent import is_absent
from frankrl.core.errors import SettingError, warn
from frankrl.core.value_scale import on_value_scale
from frankrl.environments import EnvironmentSpec
from frankrl.experience import QValues
from frankrl.explaining.document import Block, Document, Formula, Line, Section, Table
from frankrl.explaining.observations import components
from frankrl.tabular import led_to, model_of, optimal_q_values, q_table

_EXACT_ON_H = (
    "on the scale h, too; where an action's outcome is random, a rescaled Q-value is the mean of "
    "h, which is not h of the mean"
)


class WholeTable(NamedTuple):
    """Q-values of every state and action, and the exact ones where they are known."""

    q_values: Float[np.ndarray, "state action"]
    exact: Float[np.ndarray, "state action"] | None
    """Optimal Q-values by dynamic programming. None if the run has no environment, if that has no
    model or has action masks, which the model leaves out, or if value iteration does not
    converge."""
    visited: Bool[np.ndarray, " state"] | None = None
    """Which states some action leads to; None: not known."""
    is_rescaled: bool = False
    """Whether both tables are on the scale h of `value_rescaling`."""

    @property
    def error(self) -> float | None:
        """Largest difference between the two tables.

        Terminal states and states that no action leads to do not count.
        """
        if self.exact is None:
            return None
        live = np.any(self.exact != 0, axis=1)
        if self.visited is not None:
            live &= self.visited
        return float(np.abs(self.q_values - self.exact)[live].max()) if live.any() else 0.0

    def plain(self) -> dict[str, Any]:
        """As JSON data."""
        return {
            "q_table": self.q_values.tolist(),
            "exact": None if self.exact is None else self.exact.tolist(),
            "largest_error": self.error,
        }


def whole_table(
    spec: EnvironmentSpec, q_values: QValues, gamma: float, *, is_rescaled: bool = False
) -> WholeTable:
    """The Q-table of an agent, and the exact one.

    Args:
        spec: an environment with a `Discrete` observation space, or a data set of one.
        q_values: the agent's Q-values of a batch of states, given without action masks.
        gamma: γ.
        is_rescaled: whether the agent's Q-values are on the scale h of `value_rescaling`.
    """
    model = None if spec.is_masked or is_absent(spec.env_id) else model_of(spec)
    values = q_table(spec, lambda states: q_values(states)[0])
    if model is None:
        return WholeTable(values, None, is_rescaled=is_rescaled)
    try:
        exact = on_value_scale(optimal_q_values(model, gamma), is_rescaled=is_rescaled)
        return WholeTable(values, exact, led_to(model), is_rescaled)
    except SettingError as error:
        warn(f"the exact values are left out: {error}")
        return WholeTable(values, None, is_rescaled=is_rescaled)


def table_document(table: WholeTable, spec: EnvironmentSpec, holder: str, about: str) -> Document:
    """The document of `frank explain RUN` for a run with numbered states.

    Args:
        table: the agent's table.
        spec: the run's environment.
        holder: "Q-table" or "Q-network".
        about: one line that says which run it is.
    """
    blocks: tuple[Block, ...] = (_rows(table.q_values, spec, "Q(s, a)"),)
    if spec.is_masked:
        blocks = (Line("Q-values of actions that are not allowed are never learned"), *blocks)
    if table.is_rescaled:
        blocks = (Line("Q-values are on the scale h of value_rescaling"), *blocks)
    sections = [Section(f"The {holder}", blocks)]
    if table.exact is not None:
        exact_blocks: tuple[Block, ...] = (
            Line("computed by dynamic programming from the environment's model"),
            *([Line(_EXACT_ON_H)] if table.is_rescaled else []),
            _rows(table.exact, spec, "h(Q*(s, a))" if table.is_rescaled else "Q*(s, a)"),
            Formula(
                (f"largest difference between {holder} and exact values: ", table.error or 0.0)
            ),
        )
        sections.append(Section("The exact values", exact_blocks))
    return Document(f"Every state of {spec.env_id}", about, tuple(sections))


def _rows(values: Float[np.ndarray, "state action"], spec: EnvironmentSpec, caption: str) -> Table:
    names, states = spec.action_names, _states(spec, len(values))
    if spec.is_masked:
        # The table has no masks, so it cannot say which allowed action is the best.
        rows = tuple((state, *row.tolist()) for state, row in zip(states, values, strict=True))
        return Table(caption, ("state", *names), rows)
    rows = tuple(
        (state, *row.tolist(), names[int(np.argmax(row))] if np.any(row != row[0]) else "–")
        for state, row in zip(states, values, strict=True)
    )
    return Table(caption, ("state", *names, "best"), rows)


def _states(spec: EnvironmentSpec, count: int) -> list[str]:
    """The environment's own number of each state, and what it means if that is known."""
    (leaf,) = spec.leaves
    numbers = np.arange(count)[:, np.newaxis]
    return [str(components(leaf, number, spec)[0].value) for number in numbers]
