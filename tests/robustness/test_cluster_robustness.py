import pytest

from robustness import cluster
from robustness.outcome import assert_all_held

pytest.importorskip("ray")
pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("study", "tries"),
    [(cluster.node_kills, 1), (cluster.frozen_nodes, 1)],
    ids=["nodes", "frozen"],
)
def test_a_run_on_a_cluster_has_one_history_of_the_same_bits(tmp_path, study, tries):
    assert_all_held(study(tmp_path, tries), at_least=tries)
