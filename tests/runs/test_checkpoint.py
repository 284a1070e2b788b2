import hashlib
import json
import os

import numpy as np
import pytest

from frankrl.core.errors import DamagedError, RunFolderError
from frankrl.runs import (
    checkpoint,
    list_checkpoints,
    load_checkpoint,
    load_newest,
    remove_checkpoints,
    save_checkpoint,
    set_aside,
    tidy_checkpoints,
)
from frankrl.runs.checkpoint import FORMAT, copy_checkpoint

INFO = {"env_steps": 10, "solved": None, "name": "ε", "seconds": 0.1}


def arrays():
    random = np.random.default_rng(0)
    return {
        "weights": {
            "[0].weight": random.normal(size=(3, 4)).astype(np.float32),
            "transposed": random.normal(size=(3, 4)).T,
            "odd": np.float32([np.nan, np.inf, -0.0, 5e-45]),
        },
        "buffer": {
            "counter": np.array(7, np.uint32),
            "actions": np.arange(5, dtype=np.uint16),
            "flags": np.array([[True, False]]),
            "bytes": np.arange(6, dtype=np.uint8).reshape(1, 2, 3),
            "empty": np.zeros((0, 6), np.float32),
            "long": np.array([-(2**62)]),
        },
    }


MOST = {"weights": 1_000, "buffer": 1_000}


def load(path, *names):
    found = load_checkpoint(path, {name: MOST[name] for name in names or MOST})
    return found.tensors, found.info


def newest(folder):
    return load_newest(folder, {})[0].path


def save(folder, env_steps=10, tensors=None):
    return save_checkpoint(folder, env_steps, tensors or arrays(), INFO)


def test_every_array_comes_back_to_the_bit(tmp_path):
    tensors, info = load(save(tmp_path))
    assert info == {"format": FORMAT, **INFO}
    for name, expected in arrays().items():
        assert tensors[name].keys() == expected.keys()
        for key, array in expected.items():
            found = tensors[name][key]
            assert (found.shape, found.dtype) == (array.shape, array.dtype), key
            assert found.tobytes() == array.tobytes(), key


def test_only_the_files_asked_for_are_read(tmp_path):
    path = save(tmp_path)
    (path / "buffer.safetensors").write_bytes(b"not read")
    tensors, _ = load(path, "weights")
    assert tensors.keys() == {"weights"}


def test_the_same_arrays_give_the_same_files(tmp_path):
    first, second = save(tmp_path / "a"), save(tmp_path / "b")
    for file in first.iterdir():
        assert file.read_bytes() == (second / file.name).read_bytes()


@pytest.mark.parametrize("bit", [0, 3, 7])
@pytest.mark.parametrize(
    "name", ["weights.safetensors", "buffer.safetensors", "state.json", "manifest.json"]
)
def test_a_flipped_bit_anywhere_is_detected(tmp_path, name, bit):
    path = save(tmp_path)
    content = (path / name).read_bytes()
    for position in range(0, len(content), 7):
        damaged = bytearray(content)
        damaged[position] ^= 1 << bit
        (path / name).write_bytes(damaged)
        with pytest.raises(RunFolderError, match=r"damaged|cannot be read"):
            load(path)


@pytest.mark.parametrize("name", ["weights.safetensors", "state.json", "manifest.json"])
@pytest.mark.parametrize("length", [0, 10])
def test_a_cut_off_file_is_detected(tmp_path, name, length):
    path = save(tmp_path)
    (path / name).write_bytes((path / name).read_bytes()[:length])
    with pytest.raises(RunFolderError, match="damaged"):
        load(path)


@pytest.mark.parametrize("name", ["weights.safetensors", "state.json", "manifest.json"])
def test_a_missing_file_is_named(tmp_path, name):
    path = save(tmp_path)
    (path / name).unlink()
    with pytest.raises(RunFolderError, match=name):
        load(path)


@pytest.mark.parametrize("manifest", ["[]", '{"sha256": 3}', '{"sha256": []}', "null", "{}"])
def test_a_manifest_of_another_kind_is_detected(tmp_path, manifest):
    path = save(tmp_path)
    (path / "manifest.json").write_text(manifest)
    with pytest.raises(RunFolderError):
        load(path, "weights")


def test_checkpoints_are_listed_oldest_first_and_removed_but_for_the_newest(tmp_path):
    for env_steps in (5, 100, 20, 3_000, 1_000_000):
        save(tmp_path, env_steps)
    found = list_checkpoints(tmp_path)
    assert [int(path.name) for path in found] == [5, 20, 100, 3_000, 1_000_000]
    assert newest(tmp_path) == found[-1]
    remove_checkpoints(tmp_path, keep=2)
    assert sorted(tmp_path.iterdir()) == found[-2:]
    remove_checkpoints(tmp_path, keep=3)
    assert sorted(tmp_path.iterdir()) == found[-2:]
    remove_checkpoints(tmp_path, keep=0)
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_of_another_format_is_refused_by_its_number(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "FORMAT", 1)
    path = save(tmp_path)
    monkeypatch.undo()
    with pytest.raises(RunFolderError, match=rf"format 1, .*reads {FORMAT}: use the version"):
        load(path, "weights")


def test_a_checkpoint_of_the_same_step_is_replaced(tmp_path):
    save(tmp_path)
    path = save(tmp_path, tensors={"weights": {"w": np.ones(1)}})
    assert sorted(f.name for f in path.iterdir()) == [
        "manifest.json",
        "state.json",
        "weights.safetensors",
    ]
    assert load(path, "weights")[0]["weights"]["w"] == 1


def test_half_written_folders_are_neither_listed_nor_in_the_way(tmp_path):
    save(tmp_path, 10)
    (tmp_path / ".000000000020.new").mkdir()
    (tmp_path / ".000000000020.new" / "weights.safetensors").write_bytes(b"half")
    assert newest(tmp_path).name == "000000000010"
    assert load(save(tmp_path, 20), "weights")
    assert [int(p.name) for p in list_checkpoints(tmp_path)] == [10, 20]


def test_a_file_that_the_manifest_does_not_name_or_that_is_gone_is_damage(tmp_path):
    path = save(tmp_path)
    (path / "buffer.safetensors").rename(path / "buffet.safetensors")
    with pytest.raises(DamagedError, match=r"buffer\.safetensors, buffet\.safetensors"):
        load(path, "weights")


def test_the_newest_that_is_intact_is_loaded_and_each_damaged_one_named(tmp_path):
    for env_steps in (10, 20, 30, 40):
        save(tmp_path, env_steps)
    (tmp_path / "000000000030" / "buffer.safetensors").write_bytes(b"short")
    (tmp_path / "000000000040" / "manifest.json").unlink()
    loaded, damaged = load_newest(tmp_path, MOST)
    assert loaded.path.name == "000000000020"
    assert [error.checkpoint.name for error in damaged] == ["000000000040", "000000000030"]
    assert "manifest.json" in str(damaged[0])
    assert "buffer.safetensors is damaged: 5 bytes" in str(damaged[1])
    set_aside(error.checkpoint for error in damaged)
    assert [int(p.name) for p in list_checkpoints(tmp_path)] == [10, 20]
    assert (tmp_path / ".000000000030.damaged" / "weights.safetensors").is_file()


def test_if_none_is_intact_the_newest_is_named(tmp_path):
    for env_steps in (10, 20):
        (save(tmp_path, env_steps) / "state.json").write_bytes(b"{}")
    with pytest.raises(
        DamagedError, match=r"020/state\.json is damaged.*nor is any of the 1 before"
    ):
        load_newest(tmp_path, MOST)


def test_what_a_killed_process_has_left_is_put_right(tmp_path):
    save(tmp_path, 10)
    save(tmp_path, 20).rename(tmp_path / ".000000000020.old")
    save(tmp_path, 30).rename(tmp_path / ".000000000030.gone")
    (tmp_path / ".000000000040.new").mkdir()
    tidy_checkpoints(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["000000000010", "000000000020"]
    assert load(tmp_path / "000000000020")


def test_a_file_larger_than_it_can_be_is_not_even_read(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "_MAX_HEADER_BYTES", 100)
    path = save(tmp_path)
    with pytest.raises(DamagedError, match=r"weights\.safetensors is damaged: it has .* at most"):
        load_checkpoint(path, {"weights": 0})


def test_what_is_no_ordinary_file_is_not_opened(tmp_path):
    path = save(tmp_path)
    content = path / "weights.safetensors"
    content.rename(tmp_path / "elsewhere")
    content.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DamagedError, match="cannot be read"):
        load(path)
    content.unlink()
    os.mkfifo(content)
    with pytest.raises(DamagedError, match="no ordinary file"):
        load(path)


def test_a_manifest_that_is_only_spelled_otherwise_is_damaged(tmp_path):
    path = save(tmp_path)
    manifest = path / "manifest.json"
    manifest.write_bytes(manifest.read_bytes().replace(b" ", b"\t", 1))
    with pytest.raises(DamagedError, match="not as Frank writes it"):
        load(path)


@pytest.mark.parametrize("name", ["state.json", "weights.safetensors"])
@pytest.mark.parametrize("content", [b"", b"[", b"null", b"\xff" * 40, b"[" * 100_000])
def test_a_file_that_its_manifest_vouches_for_is_still_not_trusted(tmp_path, name, content):
    path = save(tmp_path)
    (path / name).write_bytes(content)
    manifest = json.loads((path / "manifest.json").read_bytes())
    manifest["files"][name] = {
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    (path / "manifest.json").write_bytes(checkpoint.manifest_of(manifest["files"]))
    with pytest.raises(RunFolderError, match=name.replace(".", r"\.")):
        load(path)


def test_a_save_that_fails_leaves_the_checkpoints_before_it(tmp_path):
    save(tmp_path, 10)
    with pytest.raises(ValueError, match="JSON"):
        save_checkpoint(tmp_path, 20, arrays(), {"loss": float("nan")})
    assert [p.name for p in tmp_path.iterdir()] == ["000000000010"]


def test_a_folder_without_checkpoints_is_said_to_be_so(tmp_path):
    assert list_checkpoints(tmp_path / "none") == []
    with pytest.raises(RunFolderError, match="holds no checkpoint"):
        newest(tmp_path / "none")


def test_a_copy_is_a_checkpoint_with_other_metadata_and_without_what_is_left_out(tmp_path):
    path, copy = save(tmp_path / "from"), tmp_path / "to" / "000000000010"
    left_out = "buffer.safetensors"
    copy_checkpoint(
        path, copy, lambda info: info | {"new": 1}, leave_out=lambda name: name == left_out
    )
    assert load(copy, "weights")[1] == {**load(path)[1], "new": 1}
    assert sorted(os.listdir(copy)) == ["manifest.json", "state.json", "weights.safetensors"]
    weights = "weights.safetensors"
    assert (copy / weights).read_bytes() == (path / weights).read_bytes()


def test_a_damaged_file_is_not_copied(tmp_path):
    path = save(tmp_path / "from")
    weights = next(path.glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    with pytest.raises(DamagedError, match=weights.name):
        copy_checkpoint(path, tmp_path / "to", dict)
    with pytest.raises(DamagedError, match=r"state\.json is damaged"):
        copy_checkpoint(path, tmp_path / "to", lambda info: {"number": float("inf")})
