"""Environments with numbered states: Q-tables and exact Q-values."""

from frankrl.tabular.exact import Model, led_to, model_of, optimal_q_values, policy_q_values
from frankrl.tabular.table import q_table, table_size

__all__ = [
    "Model",
    "led_to",
    "model_of",
    "optimal_q_values",
    "policy_q_values",
    "q_table",
    "table_size",
]
