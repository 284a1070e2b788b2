import shutil

import pytest

from robustness import faults
from robustness.outcome import assert_all_held


@pytest.mark.parametrize(
    "most", [6, pytest.param(40, marks=pytest.mark.slow)], ids=["short", "long"]
)
def test_a_disk_that_fails_once_costs_nothing_good_and_is_told(tmp_path, most):
    assert shutil.which("cc"), "this test compiles a shim: install a C compiler (apt: gcc)"
    assert_all_held(faults.study(tmp_path, most=most), at_least=most)
