"""Actors on the nodes of a real Ray cluster on this machine; slow, because Ray starts slowly."""

import pytest
from robustness import ray_actors
from robustness.outcome import assert_all_held

pytest.importorskip("ray")
pytestmark = pytest.mark.slow


def test_a_node_is_lost_in_the_middle_and_the_bits_stay(tmp_path):
    assert_all_held(ray_actors.study(tmp_path, ["LunarLander-v3"], total_env_steps=4_000))
