import pytest

from frankrl.cluster.nodes import Node, check_versions, cpu_resource, nodes_of, resource_for
from frankrl.core.errors import FrankError

EPYC, XEON = "cpu:amd-epyc-7b13", "cpu:intel-r-xeon-r-cpu-2.20ghz"


def node(name, cpus, resource=""):
    return Node(name, f"10.0.0.{name}", cpus, resource)


def test_a_cpu_model_gives_the_name_of_a_resource():
    assert cpu_resource("AMD EPYC 7B13") == EPYC
    assert cpu_resource("Intel(R) Xeon(R) CPU @ 2.20GHz") == XEON
    assert cpu_resource("") == "cpu:unknown"
    assert len(cpu_resource("x" * 500)) < 100


def test_the_nodes_are_those_that_live_with_the_resource_of_their_cpu_model():
    listed = [
        {
            "NodeID": "a",
            "NodeManagerAddress": "10.0.0.1",
            "Alive": True,
            "Resources": {"CPU": 4.0, EPYC: 1.0, "memory": 5.0},
        },
        {"NodeID": "b", "NodeManagerAddress": "10.0.0.2", "Alive": False, "Resources": {}},
        {"NodeID": "c", "NodeManagerAddress": "10.0.0.3", "Alive": True, "Resources": {}},
    ]
    assert nodes_of(listed) == [Node("a", "10.0.0.1", 4, EPYC), Node("c", "10.0.0.3", 0, "")]


def test_a_run_that_was_begun_stays_on_its_cpu_model_even_if_others_are_free():
    nodes = [node("1", 2, EPYC), node("2", 8, XEON)]
    assert resource_for(nodes, {EPYC: 2}, "AMD EPYC 7B13") == EPYC


def test_a_run_whose_cpu_model_is_gone_asks_for_it_until_it_has_waited_long_enough():
    nodes, other = [node("1", 2, EPYC), node("2", 8, XEON)], cpu_resource("Some Other Model")
    for there in (nodes, [node("1", 0)], []):
        assert resource_for(there, {}, "Some Other Model") == other
    assert resource_for(nodes, {}, "Some Other Model", other) == XEON
    # It is back.
    assert resource_for([*nodes, node("3", 1, other)], {}, "Some Other Model", other) == other


def test_new_runs_spread_over_cpu_models_by_what_is_free():
    nodes = [node("1", 2, EPYC), node("2", 3, XEON)]
    busy = {EPYC: 0, XEON: 0}
    for _ in range(5):
        busy[resource_for(nodes, busy, "")] += 1
    assert busy == {EPYC: 2, XEON: 3}


def test_nodes_without_a_resource_are_asked_for_nothing():
    assert resource_for([node("1", 0), node("2", 2)], {}, "AMD EPYC 7B13") == ""
    assert resource_for([], {}, "") == ""


@pytest.mark.parametrize(
    ("ours", "theirs", "is_right"),
    [
        ({}, {"optuna": "4.9"}, True),
        ({"optuna": "4.9"}, {"optuna": "4.9"}, True),
        ({"optuna": "4.9"}, {}, False),
        ({"optuna": "4.9"}, {"optuna": "4.8"}, False),
    ],
)
def test_optuna_counts_where_runs_are_pruned(ours, theirs, is_right):
    if is_right:
        check_versions(ours, "10.0.0.7", theirs)
        return
    with pytest.raises(FrankError, match=r"node 10\.0\.0\.7 has (no )?optuna"):
        check_versions(ours, "10.0.0.7", theirs)


def test_a_version_that_differs_is_named_with_the_node_and_both_versions():
    with pytest.raises(
        FrankError, match=r"node 10\.0\.0\.7 has jax 0\.9\.0.*work has jax 0\.10\.2"
    ):
        check_versions({"jax": "0.10.2"}, "10.0.0.7", {"jax": "0.9.0"})


def test_a_package_that_every_machine_needs_must_be_there_and_others_need_not():
    check_versions({"ale-py": "0.11"}, "10.0.0.7", {})
    check_versions({}, "10.0.0.7", {"envpool": "1.2"})
    with pytest.raises(FrankError, match=r"10\.0\.0\.7 has no optax"):
        check_versions({"optax": "0.2.8"}, "10.0.0.7", {})
    with pytest.raises(FrankError, match=r"ale-py 0\.10, .* ale-py 0\.11"):
        check_versions({"ale-py": "0.11"}, "10.0.0.7", {"ale-py": "0.10"})
