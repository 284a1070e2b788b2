"""State dicts of PyTorch: read as PyTorch reads them, and nothing in them is run."""

import importlib.util
import io
import os
import pickle
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis_profile import examples
from torch_archives import (
    DICT,
    TENSOR,
    number,
    numbers,
    program,
    q_network,
    storage,
    tensor,
    text,
    torch_archive,
    zipped,
)

from frankrl.core.errors import SettingError
from frankrl.networks.foreign.state_dict import read_state_dict
from frankrl.networks.foreign.torch_archive import open_archive, read_entry, read_torch_archive

ARRAYS = q_network(4, 3, 2)
WHOLE = torch_archive(ARRAYS)
FEW = tensor("0", 6, 0, (2, 3))


def assert_same(found, expected):
    assert list(found) == list(expected)
    for name, array in expected.items():
        assert found[name].dtype == np.float32
        np.testing.assert_array_equal(found[name], array)


def test_an_archive_made_by_hand_is_read():
    assert_same(read_torch_archive(WHOLE), ARRAYS)


BY_PYTORCH = """
import sys, numpy, torch
both = torch.arange(12.0)
layers = torch.nn.Linear(2, 70_000), torch.nn.ReLU(), torch.nn.Linear(7, 2)
tensors = dict(torch.nn.Sequential(*layers).state_dict())
tensors |= {"part": both[4:10].reshape(2, 3), "whole": both, "scalar": torch.tensor(2.5)}
torch.save(tensors, "saved.pth")
numpy.savez("saved.npz", **{name: one.numpy() for name, one in tensors.items()})
loaded = torch.load("by_hand.pth", weights_only=True)
numpy.savez("loaded.npz", **{name: one.numpy() for name, one in loaded.items()})
"""


def test_archives_of_pytorch_are_read_and_those_made_by_hand_are_right(tmp_path):
    if importlib.util.find_spec("torch") is None:
        pytest.skip("PyTorch is not installed")
    (tmp_path / "by_hand.pth").write_bytes(WHOLE)
    # In a process of its own: see `sb3_agents`.
    subprocess.run([sys.executable, "-c", BY_PYTORCH], check=True, cwd=tmp_path)
    assert_same(
        read_torch_archive((tmp_path / "saved.pth").read_bytes()), np.load(tmp_path / "saved.npz")
    )
    assert_same(np.load(tmp_path / "loaded.npz"), ARRAYS)


class Evil:
    def __init__(self, call, *arguments):
        self.made_by = call, arguments

    def __reduce__(self):
        return self.made_by


HOSTILE = {
    "REDUCE of os.system": (None, r"names '(posix|nt) system'.*nothing is imported"),
    "GLOBAL eval": (program(text("a") + b"cbuiltins\neval\n"), "names 'builtins eval'"),
    "GLOBAL without end": (b"\x80\x02cbuiltins" + b"x" * 5_000, "a name without an end"),
    "REDUCE of a known name": (program(text("a") + DICT + number(1) + b"\x85R"), "REDUCE for"),
    "REDUCE of a text": (program(text("a") + text("b") + b")R"), "REDUCE for something"),
    "STACK_GLOBAL": (program(text("os") + text("system") + b"\x93"), "STACK_GLOBAL.*not run"),
    "INST": (program(b"(ios\nsystem\n"), "instruction INST"),
    "OBJ": (program(b"(o"), "instruction OBJ"),
    "NEWOBJ": (program(DICT + b")\x81"), "instruction NEWOBJ"),
    "EXT1": (program(b"\x82\x01"), "instruction EXT1"),
    "PERSID": (program(b"Pabc\n"), "instruction PERSID"),
    "BUILD of a tensor": (program(text("a") + FEW + b"}b"), "BUILD, which is not run"),
    "BUILD with a name": (program(text("a") + b"}" + DICT + b"b"), "BUILD, which is not run"),
    "unknown": (b"\x80\x02\xff.", "instruction 0xff"),
    "BINGET": (b"\x80\x02h\x07.", "reads value 7, which it never saved"),
    "LONG_BINGET": (b"\x80\x02j\xff\xff\xff\xff.", "reads value 4,294,967,295"),
    "protocol 4": (b"\x80\x04}.", "protocol 4"),
    "long text": (b"\x80\x02X\xff\xff\xff\xffabc", "a text of 4,294,967,295 bytes"),
    "long number": (b"\x80\x02\x8a\xff" + b"\x01" * 255 + b".", "a number of 255 bytes"),
    "no UTF-8": (b"\x80\x02X\x01\0\0\0\xff.", "not UTF-8"),
    "no mark": (b"\x80\x02t.", "a mark that it never set"),
    "empty stack": (b"\x80\x02\x85.", "takes a value where there is none"),
    "below the mark": (b"\x80\x02}(\x85.", "takes a value where there is none"),
    "two values": (b"\x80\x02}}.", "does not end with one value"),
    "open mark": (b"\x80\x02}(.", "does not end with one value"),
    "no dictionary": (b"\x80\x02).", "makes no state dict"),
    "no tensor": (program(text("a") + b"}"), "entry 'a' is no tensor"),
    "odd entries": (program(text("a")), "sets entries of something else"),
    "number as name": (program(number(1) + FEW), "sets entries of something else"),
    "entries of a tensor": (
        b"\x80\x02" + FEW + text("a") + number(1) + b"s.",
        "sets entries of something else",
    ),
    "other numbers": (program(text("a") + storage("0", 6, b"ctorch\nLongStorage\n")), "LongStor"),
    "no storage": (program(text("a") + number(1) + b"Q"), "something else than stored numbers"),
    "negative size": (program(text("a") + tensor("0", 6, 0, (2, -3))), "not valid"),
    "no size": (program(text("a") + tensor("0", 6, 0, (0, 2**31 - 1))), "not valid"),
    "negative offset": (program(text("a") + tensor("0", 6, -1, (2, 3))), "not valid"),
    "nine axes": (program(text("a") + tensor("0", 6, 0, (1,) * 9)), "not valid"),
    "gigantic": (program(text("a") + tensor("0", 6, 0, (2**31 - 1,))), "too few"),
    "beyond the end": (program(text("a") + tensor("0", 6, 1, (2, 3))), "too few"),
    "transposed": (program(text("a") + tensor("0", 6, 0, (2, 3), (1, 2))), "row-major"),
    "no tensor's arguments": (program(text("a") + TENSOR + numbers((1, 2)) + b"R"), "not valid"),
    "itself": (b"\x80\x02}q\x00" + text("a") + b"h\x00s.", "entry 'a' is no tensor"),
    "deep": (b"\x80\x02)" + b"\x85" * 50_000 + b".", "makes no state dict"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_program_that_is_no_state_dict_is_refused(name, tmp_path):
    hostile, message = HOSTILE[name]
    canary = tmp_path / "canary"
    if hostile is None:
        hostile = pickle.dumps({"a": Evil(os.system, f"touch {canary}")}, protocol=2)
    with pytest.raises(SettingError, match=message):
        read_state_dict(hostile)
    with pytest.raises(SettingError):
        read_torch_archive(zipped({"archive/data.pkl": hostile, "archive/data/0": bytes(24)}))
    assert not canary.exists()


@examples(150)
@given(st.data())
def test_whatever_the_bytes_there_is_a_state_dict_or_a_refusal(data):
    whole = bytearray(program(text("a") + FEW + text("b") + FEW))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = read_state_dict(bytes(whole[: data.draw(st.integers(0, len(whole)))]))
    except SettingError:
        return
    for one in found.values():
        assert one.offset + np.prod(one.shape, dtype=object) <= one.storage_size


@pytest.mark.parametrize("end", [0, 1, 10, 100, len(WHOLE) // 2, len(WHOLE) - 1])
def test_a_part_of_an_archive_is_refused(end):
    with pytest.raises(SettingError):
        read_torch_archive(WHOLE[:end])


def test_a_changed_byte_of_the_numbers_is_noticed():
    at = WHOLE.index(ARRAYS["q_net.q_net.0.weight"].tobytes())
    changed = WHOLE[:at] + bytes([WHOLE[at] ^ 1]) + WHOLE[at + 1 :]
    with pytest.raises(SettingError, match="data/0 is damaged: Bad CRC-32"):
        read_torch_archive(changed)


def test_a_storage_of_another_size_is_refused():
    one = {"archive/data.pkl": program(text("a") + FEW), "archive/data/0": bytes(20)}
    with pytest.raises(SettingError, match=r"has 20 bytes and should have 6 numbers of 4"):
        read_torch_archive(zipped(one))
    two = program(text("a") + FEW + text("b") + tensor("0", 5, 0, (5,)))
    with pytest.raises(SettingError, match="two sizes"):
        read_torch_archive(zipped({"archive/data.pkl": two, "archive/data/0": bytes(24)}))


@pytest.mark.parametrize("key", ["../../canary", "/etc/passwd", "", "²", "a"])
def test_a_storage_is_named_by_a_number(key, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    entries = {"archive/data.pkl": program(text("a") + tensor(key, 6, 0, (2, 3)))}
    with pytest.raises(SettingError, match="is no number"):
        read_torch_archive(zipped(entries | {f"archive/data/{key}": bytes(24)}))
    assert not list(tmp_path.iterdir())


def test_an_archive_without_a_program_or_with_two_is_refused():
    for names in ([], ["data.pkl"], ["a/data.pkl", "b/data.pkl"], ["../x/data.pkl"]):
        with pytest.raises(SettingError, match=r"no state dict in the form of PyTorch 1\.6"):
            read_torch_archive(zipped(dict.fromkeys(names, b"")))


def test_numbers_in_another_byte_order_are_refused():
    with pytest.raises(SettingError, match="byte order"):
        read_torch_archive(zipped({"a/data.pkl": program(b""), "a/byteorder": b"big"}))


def test_an_entry_that_unpacks_to_far_more_is_refused_before_it_is_unpacked():
    bomb = zipped({"policy.pth": bytes(1 << 24)}, zipfile.ZIP_DEFLATED)
    assert len(bomb) < 1 << 15
    with pytest.raises(
        SettingError, match=r"unpacks 16,3.. bytes to 16,777,216, at most 4,194,304"
    ):
        read_entry(open_archive(bomb), "policy.pth", 1 << 30)


def test_an_entry_larger_than_its_table_says_is_refused():
    content = bytearray(zipped({"a": bytes(3_000)}, zipfile.ZIP_DEFLATED))
    table = content.index(b"PK\x01\x02")
    content[table + 24 : table + 28] = (100).to_bytes(4, "little")
    with pytest.raises(SettingError, match="is damaged"):
        read_entry(open_archive(bytes(content)), "a", 1_000)


def test_entries_that_share_their_bytes_take_no_more_than_the_file():
    """Each of 50 storages says that it lies where the first one does."""
    count, size = 50, 100_000
    names = [f"a/data/{index}" for index in range(count)]
    entries = b"".join(text(name) + tensor(name[7:], size, 0, (size,)) for name in names)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a/data.pkl", program(entries))
        archive.writestr("a/data/0", bytes(4 * size))
        (first,) = (entry for entry in archive.filelist if entry.filename == "a/data/0")
        for name in names[1:]:
            twin = zipfile.ZipInfo(name)
            twin.header_offset, twin.CRC = first.header_offset, first.CRC
            twin.file_size = twin.compress_size = first.file_size
            archive.filelist.append(twin)
            archive.NameToInfo[name] = twin
        archive._didModify = True
    with pytest.raises(SettingError, match=r"at most [\d,]+ can be right|damaged"):
        read_torch_archive(file.getvalue())


def test_a_table_of_too_many_entries_is_refused_before_it_is_read():
    with pytest.raises(SettingError, match="more than 20,000 entries"):
        open_archive(b"PK\x01\x02" * 20_001)


def test_an_entry_with_a_password_or_another_compression_is_refused():
    content = bytearray(zipped({"a": b"secret"}))
    table = content.index(b"PK\x01\x02")
    content[table + 8] |= 1
    content[6] |= 1
    with pytest.raises(SettingError, match="password required"):
        read_entry(open_archive(bytes(content)), "a", 1_000)
    with pytest.raises(SettingError, match="another way than `deflate`"):
        read_entry(open_archive(zipped({"a": b"x" * 99}, zipfile.ZIP_BZIP2)), "a", 1_000)
