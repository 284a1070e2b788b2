"""State dicts as PyTorch stores them, and agents as Stable-Baselines3 saves them, without either.

The instructions are written down one by one, so that a test can change each of them.
"""

import io
import itertools
import json
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np

DICT = b"ccollections\nOrderedDict\n"
TENSOR = b"ctorch._utils\n_rebuild_tensor_v2\n"
FLOATS = b"ctorch\nFloatStorage\n"


def text(value: str) -> bytes:
    return b"X" + len(value.encode()).to_bytes(4, "little") + value.encode()


def number(value: int) -> bytes:
    return b"J" + value.to_bytes(4, "little", signed=True)


def numbers(values: tuple[int, ...]) -> bytes:
    return b"(" + b"".join(map(number, values)) + b"t"


def storage(key: str, size: int, kind: bytes = FLOATS) -> bytes:
    return b"(" + text("storage") + kind + text(key) + text("cpu") + number(size) + b"tQ"


def tensor(key: str, size: int, offset: int, shape: tuple[int, ...], strides=None) -> bytes:
    if strides is None:
        strides = tuple(int(np.prod(shape[axis + 1 :])) for axis in range(len(shape)))
    start = b"(" + storage(key, size) + number(offset) + numbers(shape) + numbers(strides)
    return TENSOR + start + b"\x89" + DICT + b")RtR"


def program(entries: bytes, end: bytes = b".") -> bytes:
    """A program that makes a dictionary of entries, each a name and a value."""
    return b"\x80\x02" + DICT + b")R(" + entries + b"u" + end


def zipped(entries: Mapping[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return file.getvalue()


def torch_archive(arrays: Mapping[str, np.ndarray]) -> bytes:
    """What `torch.save` writes for a state dict of these arrays."""
    entries, files = b"", {}
    for index, (name, array) in enumerate(arrays.items()):
        entries += text(name) + tensor(str(index), array.size, 0, array.shape)
        files[f"archive/data/{index}"] = array.astype("<f4").tobytes()
    whole = {"archive/data.pkl": program(entries), "archive/byteorder": b"little"}
    return zipped(whole | files | {"archive/version": b"3\n"})


def sb3_zip(policy: bytes | Mapping[str, np.ndarray], **data: Any) -> bytes:
    """What `DQN.save` writes for these tensors."""
    policy = policy if isinstance(policy, bytes) else torch_archive(policy)
    data = {"num_timesteps": 1_234, "policy_kwargs": {}} | data
    return zipped({"data": json.dumps(data).encode(), "policy.pth": policy})


def q_network(*widths: int, seed: int = 0) -> dict[str, np.ndarray]:
    """The tensors of an MLP's Q-network and its target network; widths include both ends."""
    random, found = np.random.default_rng(seed), {}
    for index, (inputs, outputs) in enumerate(itertools.pairwise(widths)):
        for name, shape in (("weight", (outputs, inputs)), ("bias", (outputs,))):
            array = random.normal(size=shape).astype(np.float32)
            found[f"q_net.q_net.{2 * index}.{name}"] = array
            found[f"q_net_target.q_net.{2 * index}.{name}"] = -array
    return found
