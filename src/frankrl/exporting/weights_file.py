"""A trained Q-network's parameters as a safetensors file, with what is needed to use them."""

import json

import numpy as np
from jaxtyping import Float
from safetensors.numpy import save

from frankrl.core.normalisation import NORMALISATION, Scales
from frankrl.environments import spec_to_data
from frankrl.exporting.trained_network import TrainedNetwork, as_texts
from frankrl.networks import named_params

_METADATA = "__metadata__"
_SIZE_BYTES, _ALIGNMENT = 8, 8
"""Bytes of the header's size in front of it, and the multiple that the size must be."""


def weights_file(trained: TrainedNetwork) -> bytes:
    """The content of a safetensors file: float32 arrays by their dotted path in the parameters.

    If observations are normalised, the arrays `normalisation.N.mean` and `normalisation.N.factor`
    of each leaf N that is, and `normalisation.clip`, say how: see `core.normalisation`.

    Its metadata are the facts about the agent, the settings of its run (`settings`) and the
    description of its environment (`environment`), the last two as JSON.
    """
    described = {
        **trained.facts(),
        "settings": trained.folder.description.settings.to_tables(),
        "environment": spec_to_data(trained.spec),
    }
    named = {**named_params(trained.params), **_normalisation(trained.scales)}
    arrays = {name: np.ascontiguousarray(array) for name, array in named.items()}
    return _in_order(save(arrays, as_texts(described)))


def _normalisation(scales: Scales | None) -> dict[str, Float[np.ndarray, "..."]]:
    if scales is None or not scales.observation:
        return {}
    arrays = {f"{NORMALISATION}.clip": scales.observation_clip}
    for number, scale in enumerate(scales.observation):
        if scale is not None:
            arrays |= {
                f"{NORMALISATION}.{number}.{name}": array for name, array in scale._asdict().items()
            }
    return {name: np.asarray(array, np.float32) for name, array in arrays.items()}


def _in_order(content: bytes) -> bytes:
    """A safetensors file with its metadata in the order of their names.

    The library writes them in an order of chance, so the same agent would give other bytes.
    """
    end = _SIZE_BYTES + int.from_bytes(content[:_SIZE_BYTES], "little")
    header = json.loads(content[_SIZE_BYTES:end])
    header[_METADATA] = dict(sorted(header[_METADATA].items()))
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    return len(text).to_bytes(_SIZE_BYTES, "little") + text + content[end:]
