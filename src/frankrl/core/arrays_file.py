"""Arrays by name out of a safetensors file."""

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load

from frankrl.core.text import shown


def arrays_of(content: bytes) -> dict[str, np.ndarray]:
    """The arrays of a safetensors file, in the order of their names.

    The library gives them in an order that is another one at each call.

    Raises:
        ValueError: the content is no such file; the message says on one line what is wrong.
    """
    try:
        arrays = load(content)
    except (SafetensorError, ValueError, KeyError, TypeError, OverflowError) as error:
        raise ValueError(shown(error)) from error
    return dict(sorted(arrays.items()))
