import pytest

from robustness import fuzz
from robustness.outcome import assert_all_held


@pytest.mark.parametrize(
    "examples", [500, pytest.param(10_000, marks=pytest.mark.slow)], ids=["short", "long"]
)
def test_files_that_anyone_may_have_made_are_refused_in_franks_words(tmp_path, examples):
    assert_all_held(fuzz.study(tmp_path, examples), at_least=examples * 9 // 10)
