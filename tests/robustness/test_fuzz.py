import pytest

from robustness import fuzz
from robustness.outcome import assert_all_held


@pytest.mark.slow
def test_files_that_anyone_may_have_made_are_refused_in_franks_words(tmp_path):
    assert_all_held(fuzz.study(tmp_path, 200), at_least=180)
