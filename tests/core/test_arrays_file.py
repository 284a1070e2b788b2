import numpy as np
import pytest
from safetensors.numpy import save

from frankrl.core.arrays_file import arrays_of


def test_arrays_come_in_the_order_of_their_names():
    given = {name: np.full(3, order, np.float32) for order, name in enumerate("hcbgadfe")}
    for _ in range(8):
        found = arrays_of(save(given))
        assert list(found) == list("abcdefgh")
        for name, array in given.items():
            np.testing.assert_array_equal(found[name], array)


@pytest.mark.parametrize(
    "content", [b"", b"\x08\0\0\0\0\0\0\0{}", save({"a": np.zeros(4)})[:-1], b"\xff" * 40]
)
def test_what_is_no_such_file_is_refused_on_one_line(content):
    with pytest.raises(ValueError, match=r"^[^\n]+$"):
        arrays_of(content)
