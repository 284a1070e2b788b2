"""States that can be counted: Q-tables, and the exact Q-values that they should come to."""

from frankrl.tabular.exact import Model, model_of, optimal_q_values
from frankrl.tabular.table import q_table, table_size

__all__ = ["Model", "model_of", "optimal_q_values", "q_table", "table_size"]
