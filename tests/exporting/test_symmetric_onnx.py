"""Networks that treat mirror images alike, in onnxruntime beside the agents they were made of."""

import dataclasses

import numpy as np
import pytest
from exporting.exported_agents import spec_for
from exporting.test_onnx_file import HEADS, MIXED, VECTOR, WRAPPERS, check_alike
from gymnasium import spaces

from frankrl.environments.symmetry import symmetries_of

SWAP = [1, 0, 3, 2]
FLIP = {"components": [1, 0, 2, 3, 5, 4], "signs": [1, 1, -1, 1, -1, -1]}
TURN = [1, 2, 3, 0]
QUARTER = {"components": [4, 5, 1, 0, 2, 3], "signs": [1, 1, 1, 1, 1, 1]}
CASES = {
    "numbers": (VECTOR, [{"observation": FLIP, "actions": SWAP}], {}),
    "a group of four": (
        spaces.Box(-1, 1, (4,), np.float64),
        [{"observation": {"components": TURN}, "actions": TURN}],
        {},
    ),
    "numbered values": (
        spaces.Discrete(5, start=-2),
        [{"observation": {"values": [[4, 3, 2, 1, 0]]}, "actions": SWAP}],
        {"stack": 3},
    ),
    "several numbered values": (
        spaces.MultiDiscrete([3, 4, 3], start=[0, -2, 5]),
        [
            {
                "observation": {
                    "components": [2, 1, 0],
                    "values": [[1, 2, 0], [1, 0, 3, 2], [2, 0, 1]],
                },
                "actions": SWAP,
            }
        ],
        {"mask": "legal"},
    ),
    "mixed": (
        MIXED,
        [
            {
                "observation": {
                    "inner.bits": {"components": [4, 3, 2, 1, 0]},
                    "inner.room": {"values": [[1, 0, 3, 2]]},
                    "inner.speed": {"signs": [-1, 1]},
                    "pair.0": {"signs": [-1, -1, 1, 1]},
                },
                "actions": SWAP,
            }
        ],
        {"stack": 2},
    ),
    "pictures": (
        spaces.Box(0, 255, (9, 8, 3), np.uint8),
        [
            {
                "observation": {
                    "components": np.arange(216).reshape(9, 8, 3)[:, ::-1].ravel().tolist()
                },
                "actions": SWAP,
            }
        ],
        {},
    ),
}


def symmetric_spec(name):
    space, declared, others = CASES[name]
    spec = spec_for(space, **others)
    found = symmetries_of(declared, spec.leaves, spec.num_actions)
    return dataclasses.replace(spec, symmetries=found)


@pytest.mark.parametrize("name", CASES)
def test_the_graph_computes_the_mean_over_the_images(name):
    check_alike(symmetric_spec(name), {"symmetry": True}, 500)


@pytest.mark.parametrize("head", HEADS)
def test_the_graph_averages_the_outputs_of_every_head(head):
    changes = {"symmetry": True, **WRAPPERS["all"], **HEADS[head]}
    check_alike(symmetric_spec("numbers"), changes, 500)
