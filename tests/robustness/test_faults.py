import shutil

import pytest

from robustness import faults
from robustness.outcome import assert_all_held


@pytest.mark.slow
def test_a_disk_that_fails_once_costs_nothing_good_and_is_told(tmp_path):
    assert shutil.which("cc"), "this test compiles a shim: install a C compiler (apt: gcc)"
    assert_all_held(faults.study(tmp_path, most=4), at_least=4)
