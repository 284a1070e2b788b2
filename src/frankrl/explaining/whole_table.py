"""The whole Q-table of an agent, as the notes draw it: a row for each state."""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from frankrl.agent import QValues
from frankrl.core.errors import SettingError, warn
from frankrl.environments import EnvironmentSpec
from frankrl.explaining.document import Block, Document, Formula, Line, Section, Table
from frankrl.tabular import first_state, led_to, model_of, optimal_q_values, q_table


class WholeTable(NamedTuple):
    """Q-values of every state and action, and what they should be where that is known."""

    q_values: Float[np.ndarray, "state action"]
    exact: Float[np.ndarray, "state action"] | None
    """By dynamic programming; none where the environment shows no model of itself, or one
    that leaves out which actions are allowed, or where they have no limit."""
    visited: Bool[np.ndarray, " state"] | None = None
    """Which states an action leads to; none: not known."""

    @property
    def error(self) -> float | None:
        """The largest difference between the two, over the states in which there is a choice
        and which an action leads to."""
        if self.exact is None:
            return None
        live = np.any(self.exact != 0, axis=1)
        if self.visited is not None:
            live &= self.visited
        return float(np.abs(self.q_values - self.exact)[live].max()) if live.any() else 0.0

    def plain(self) -> dict[str, Any]:
        """As plain data, for JSON."""
        return {
            "q_table": self.q_values.tolist(),
            "exact": None if self.exact is None else self.exact.tolist(),
            "largest_error": self.error,
        }


def whole_table(spec: EnvironmentSpec, q_values: QValues, gamma: float) -> WholeTable:
    """The table of an agent, and the exact one.

    Args:
        spec: of an environment whose states are numbered.
        q_values: of its agent, from a batch of states and no action masks.
        gamma: γ.
    """
    model = None if spec.is_masked else model_of(spec)
    values = q_table(spec, lambda states: q_values(states, None))
    if model is None:
        return WholeTable(values, None)
    try:
        return WholeTable(values, optimal_q_values(model, gamma), led_to(model))
    except SettingError as error:
        warn(f"the exact values are left out: {error}")
        return WholeTable(values, None)


def table_document(table: WholeTable, spec: EnvironmentSpec, holder: str, about: str) -> Document:
    """What `frank explain RUN` tells of a run whose states are numbered.

    Args:
        table: of its agent.
        spec: its environment's.
        holder: what the values are kept in, such as "Q-table".
        about: which run, in a line.
    """
    blocks: tuple[Block, ...] = (_rows(table.q_values, spec, "Q(s, a)"),)
    if spec.is_masked:
        blocks = (Line("what is not allowed in a state is never learned there"), *blocks)
    sections = [Section(f"The {holder}", blocks)]
    if table.exact is not None:
        exact_blocks: tuple[Block, ...] = (
            Line("found by dynamic programming, from all that can happen in this world"),
            _rows(table.exact, spec, "Q*(s, a)"),
            Formula(
                (f"largest difference between {holder} and exact values: ", table.error or 0.0)
            ),
        )
        sections.append(Section("The exact values", exact_blocks))
    return Document(f"Every state of {spec.env_id}", about, tuple(sections))


def _rows(values: Float[np.ndarray, "state action"], spec: EnvironmentSpec, caption: str) -> Table:
    names, first = spec.action_names, first_state(spec)
    if spec.is_masked:
        # Which of a state's actions may be the best one only the environment knows.
        rows = tuple((str(state), *row.tolist()) for state, row in enumerate(values, first))
        return Table(caption, ("state", *names), rows)
    rows = tuple(
        (str(state), *row.tolist(), names[int(np.argmax(row))] if np.any(row != row[0]) else "–")
        for state, row in enumerate(values, first)
    )
    return Table(caption, ("state", *names, "best"), rows)
