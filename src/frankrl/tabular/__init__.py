"""States that can be counted: Q-tables, and the exact Q-values that they should come to."""

from frankrl.tabular.exact import Model, led_to, model_of, optimal_q_values
from frankrl.tabular.table import first_state, q_table, table_size

__all__ = [
    "Model",
    "first_state",
    "led_to",
    "model_of",
    "optimal_q_values",
    "q_table",
    "table_size",
]
