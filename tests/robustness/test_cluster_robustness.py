import pytest

from robustness import cluster
from robustness.outcome import assert_all_held

pytest.importorskip("ray")
pytestmark = pytest.mark.slow


def test_a_sweep_on_a_cluster_that_loses_a_node_has_one_history_of_the_same_bits(tmp_path):
    assert_all_held(cluster.node_kills(tmp_path, 1))
