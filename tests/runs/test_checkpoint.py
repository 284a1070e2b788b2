import numpy as np
import pytest

from frankrl.errors import RunFolderError
from frankrl.runs import (
    checkpoint,
    list_checkpoints,
    load_tensors,
    newest_checkpoint,
    remove_checkpoints,
    save_checkpoint,
)
from frankrl.runs.checkpoint import FORMAT

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


def save(folder, env_steps=10, tensors=None):
    return save_checkpoint(folder, env_steps, tensors or arrays(), INFO)


def test_every_array_comes_back_to_the_bit(tmp_path):
    tensors, info = load_tensors(save(tmp_path), ("weights", "buffer"))
    assert info == {"format": FORMAT, **INFO}
    for name, expected in arrays().items():
        assert tensors[name].keys() == expected.keys()
        for key, array in expected.items():
            found = tensors[name][key]
            assert (found.shape, found.dtype) == (array.shape, array.dtype), key
            assert found.tobytes() == array.tobytes(), key


def test_only_the_files_asked_for_are_read(tmp_path):
    path = save(tmp_path)
    (path / "buffer.safetensors").unlink()
    tensors, _ = load_tensors(path, ("weights",))
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
        with pytest.raises(RunFolderError, match="damaged"):
            load_tensors(path, ("weights", "buffer"))


@pytest.mark.parametrize("name", ["weights.safetensors", "state.json", "manifest.json"])
@pytest.mark.parametrize("length", [0, 10])
def test_a_cut_off_file_is_detected(tmp_path, name, length):
    path = save(tmp_path)
    (path / name).write_bytes((path / name).read_bytes()[:length])
    with pytest.raises(RunFolderError, match="damaged"):
        load_tensors(path, ("weights", "buffer"))


@pytest.mark.parametrize("name", ["weights.safetensors", "state.json", "manifest.json"])
def test_a_missing_file_is_named(tmp_path, name):
    path = save(tmp_path)
    (path / name).unlink()
    with pytest.raises(RunFolderError, match=name):
        load_tensors(path, ("weights", "buffer"))


@pytest.mark.parametrize("manifest", ["[]", '{"sha256": 3}', '{"sha256": []}', "null", "{}"])
def test_a_manifest_of_another_kind_is_detected(tmp_path, manifest):
    path = save(tmp_path)
    (path / "manifest.json").write_text(manifest)
    with pytest.raises(RunFolderError):
        load_tensors(path, ("weights",))


def test_checkpoints_are_listed_oldest_first_and_removed_but_for_those_excepted(tmp_path):
    for env_steps in (5, 100, 20, 3_000, 1_000_000):
        save(tmp_path, env_steps)
    found = list_checkpoints(tmp_path)
    assert [int(path.name) for path in found] == [5, 20, 100, 3_000, 1_000_000]
    assert newest_checkpoint(tmp_path) == found[-1]
    remove_checkpoints(tmp_path, but=found[1:3])
    assert sorted(tmp_path.iterdir()) == found[1:3]
    remove_checkpoints(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_of_another_format_is_refused_by_its_number(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "FORMAT", 1)
    path = save(tmp_path)
    monkeypatch.undo()
    with pytest.raises(RunFolderError, match=rf"format 1, .*reads {FORMAT}: use the version"):
        load_tensors(path, ("weights",))


def test_a_checkpoint_of_the_same_step_is_replaced(tmp_path):
    save(tmp_path)
    path = save(tmp_path, tensors={"weights": {"w": np.ones(1)}})
    assert sorted(f.name for f in path.iterdir()) == [
        "manifest.json",
        "state.json",
        "weights.safetensors",
    ]
    assert load_tensors(path, ("weights",))[0]["weights"]["w"] == 1


def test_half_written_folders_are_neither_listed_nor_in_the_way(tmp_path):
    save(tmp_path, 10)
    (tmp_path / ".000000000020.new").mkdir()
    (tmp_path / ".000000000020.new" / "weights.safetensors").write_bytes(b"half")
    (tmp_path / "000000000030").mkdir()
    assert newest_checkpoint(tmp_path).name == "000000000010"
    assert load_tensors(save(tmp_path, 20), ("weights",))
    assert [int(p.name) for p in list_checkpoints(tmp_path)] == [10, 20]


def test_a_save_that_fails_leaves_the_checkpoints_before_it(tmp_path):
    save(tmp_path, 10)
    with pytest.raises(ValueError, match="JSON"):
        save_checkpoint(tmp_path, 20, arrays(), {"loss": float("nan")})
    assert [int(p.name) for p in list_checkpoints(tmp_path)] == [10]


def test_a_folder_without_checkpoints_is_said_to_be_so(tmp_path):
    assert list_checkpoints(tmp_path / "none") == []
    with pytest.raises(RunFolderError, match="holds no checkpoint"):
        newest_checkpoint(tmp_path / "none")
