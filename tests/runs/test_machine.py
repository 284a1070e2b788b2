"""What is told of the machine, and what of it may change the bits."""

from frankrl.runs import differences


def test_what_differs_is_named_but_for_what_changes_no_bit():
    before = {"jax": "0.10.2", "equinox": "0.13.8", "visible_cpus": 2, "accelerator": "cpu"}
    assert differences(before, before | {"visible_cpus": 1}) == []
    assert differences(before, {"jax": "0.10.2", "accelerator": "cpu"}) == []
    assert differences(before, before | {"accelerator": "NVIDIA H200"}) == [
        "accelerator was 'cpu' and is 'NVIDIA H200'"
    ]
