"""A data set may come from anyone: nothing that it names is run, and each fault is one sentence."""

import contextlib
import io
import json
import re
import sys
import zlib
from pathlib import Path

import h5py
import numpy as np
import pytest
from data_sets import MIXED, NAME, described, made, random_episodes, set_metadata
from foreign_runs import CANARY, CODE
from gymnasium import spaces
from hypothesis import given
from hypothesis import strategies as st
from hypothesis_profile import examples
from PIL import Image

from frankrl.core.errors import SettingError
from frankrl.datasets import arrays, open_dataset, packing, write_dataset
from frankrl.datasets.spaces import space_to_data


def file_of(data):
    return h5py.File(data / "main_data.hdf5", "r+")


def in_place_of(folder, name, **how):
    """Put another array in the place of one of the second episode."""
    with file_of(folder) as file:
        del file[f"episode_1/{name}"]
        file["episode_1"].create_dataset(name, **how)


def steps_of(data):
    with file_of(data) as file:
        return file["episode_1/actions"].shape[0]


def refused(data, message):
    with pytest.raises(SettingError) as caught:
        open_dataset(data)
    text = str(caught.value)
    assert re.search(message, text), text
    assert "\n" not in text
    assert len(text) < 500
    assert text.startswith(("the data set", "there is no data set", str(data)))
    assert "up-v3/data " not in text, "the folder that people name lies above"


@pytest.fixture
def data(tmp_path):
    return made(tmp_path)


def test_nothing_that_a_data_set_names_is_imported_or_made(data, tmp_path, monkeypatch):
    (tmp_path / "evil_data.py").write_text(CODE + "Env = Wrapper = dict\n")
    monkeypatch.setenv(f"FRANK_{CANARY.upper()}", str(tmp_path / CANARY))
    monkeypatch.syspath_prepend(tmp_path)
    wrapper = {"name": "Evil", "entry_point": "evil_data:Wrapper", "kwargs": {}}
    spec = {"id": "evil_data:Evil-v0", "entry_point": "evil_data:Env", "kwargs": {"a": 1}}
    spec |= {"additional_wrappers": [wrapper], "vector_entry_point": "evil_data:Env"}
    text = json.dumps(spec)
    set_metadata(data, env_spec=text, eval_env_spec=text, requirements=["evil_data"])
    found = open_dataset(data)
    assert len(list(found.episodes())) == found.num_episodes
    assert (found.env_id, found.env_kwargs) == ("evil_data:Evil-v0", {"a": 1})
    # Minari would make the environment to learn its spaces.
    set_metadata(data, observation_space=None)
    refused(data, "does not say its observation_space, and Frank makes no environment by a data")
    assert "evil_data" not in sys.modules
    assert not (tmp_path / CANARY).exists()


def space(**changes):
    return json.dumps(space_to_data(described().observation_space) | changes)


def bits(n):
    return json.dumps({"type": "MultiBinary", "n": n})


def pair(*parts):
    return '{"type": "Tuple", "subspaces": [' + ", ".join(parts) + "]}"


def nested(depth):
    return '{"type": "Tuple", "subspaces": [' * depth + "]}" * depth


METADATA = {
    "another version": ({"minari_version": "0.4.3"}, "is of Minari 0.4.3, and Frank reads those"),
    "a later version": ({"minari_version": "0.6.0"}, "is of Minari 0.6.0, and Frank reads those"),
    "no version": ({"minari_version": None}, "cannot use: the entry 'minari_version' is missing"),
    "another storage": ({"data_format": "arrow"}, "stored as arrow, and Frank reads hdf5"),
    "no actions": ({"action_space": None}, "does not say its action_space"),
    "continuous actions": ({"action_space": space()}, "has the action space Box.*needs a Discrete"),
    "text": (
        {"observation_space": '{"type": "Text", "max_length": 5}'},
        "cannot use: in its observation_space, a space of the kind 'Text' is not supported",
    ),
    "a large space": ({"observation_space": space(shape=[1 << 20, 1 << 10])}, "is too large"),
    "many bits": (
        {"observation_space": bits(1 << 25)},
        "shape .33554432,. is too large: more than",
    ),
    "rows of bits": ({"observation_space": bits([1 << 20] * 2)}, "is too large: more than"),
    "a negative number of bits": ({"observation_space": bits(-1)}, "-1 where a whole number"),
    "bits and truth": ({"observation_space": bits(True)}, "cannot use: "),
    "many bits together": (
        {"observation_space": pair(bits((1 << 24) - 1), bits(2))},
        "shape .2,. is too large: more than 16,777,216 numbers with all that is beside it",
    ),
    "many parts": (
        {"observation_space": pair(*[bits(1)] * 10_000)},
        "a space of more than 10,000 parts is too large",
    ),
    "many axes": (
        {"observation_space": space(shape=[1] * 999)},
        "a space of 999 axes is too large",
    ),
    "a negative shape": ({"observation_space": space(shape=[-1])}, "-1 where a whole number"),
    "other bounds": ({"observation_space": space(low=[1])}, "bounds of the shape"),
    "objects": ({"observation_space": space(dtype="object")}, "a Box of object is not supported"),
    "no dtype": ({"observation_space": space(dtype="evil")}, "cannot use: .*evil"),
    "nested": ({"observation_space": nested(99)}, "nested too deeply"),
    "deeply nested": ({"observation_space": nested(99_999)}, "cannot use: "),
    "a path as a key": (
        {"observation_space": json.dumps({"type": "Dict", "subspaces": {"../a": {}}})},
        "an entry of the name '../a' is not supported",
    ),
    "a space that is a number": ({"observation_space": "3"}, "cannot use: "),
    "a space that is no text": ({"observation_space": 3}, "cannot use: "),
    "no episodes": ({"total_episodes": 0}, "is empty: it holds no episodes"),
    "a negative number": ({"total_episodes": -1}, "total_episodes is -1"),
    "too many episodes": ({"total_episodes": 10**9}, "more than 10,000,000"),
    "other episodes": ({"total_episodes": 4}, "has 3 episodes where its metadata say 4"),
    "other steps": ({"total_steps": 1}, "has in its episode 0 . steps where its metadata leave 1"),
    "more steps": ({"total_steps": 99}, "is damaged: its metadata say 99 steps, and it holds"),
    "an environment without a name": (
        {"env_spec": "{}"},
        "in its env_spec, the entry 'id' is missing",
    ),
    "an environment that is no text": ({"env_spec": 3}, "cannot use: "),
}


@pytest.mark.parametrize("fault", METADATA)
def test_a_fault_of_the_metadata_is_one_sentence(fault, data):
    changes, message = METADATA[fault]
    set_metadata(data, **changes)
    refused(data, message)


def test_a_space_that_is_null_is_one_that_is_not_said(data):
    path = data / "metadata.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"observation_space": None}))
    refused(data, "does not say its observation_space, and Frank makes no environment by a data")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is damaged, it is not JSON"),
        (b"{", "is damaged, it is not JSON"),
        (b"\xff\xfe", "is damaged, it is not JSON"),
        (b"[" * 99_999, "is damaged, it is not JSON"),
        (b"[]", "it holds no JSON object"),
        (b'{"a": ' + b"9" * 9_999 + b"}", "is damaged, it is not JSON"),
    ],
)
def test_metadata_that_are_no_json_are_refused(content, message, data):
    (data / "metadata.json").write_bytes(content)
    with pytest.raises(SettingError, match=message):
        open_dataset(data)


def test_what_is_missing_is_named(data, tmp_path, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    for name in ("made/upp-v3", str(tmp_path / "made")):
        with pytest.raises(SettingError, match=r"there is no data set .* neither a folder"):
            open_dataset(name)
    with pytest.raises(SettingError, match=f"did you mean '{NAME}'"):
        open_dataset("made/upp-v3")
    (data / "main_data.hdf5").rename(tmp_path / "elsewhere")
    refused(data, r"is damaged: its file main_data\.hdf5 is missing")
    (data / "metadata.json").unlink()
    refused(data, "there is no data set")
    (tmp_path / "elsewhere").rename(data / "main_data.hdf5")
    for place in (data, data.parent, NAME):
        refused(place, rf"{NAME} is damaged, or .* end: its file metadata\.json is missing")
    with pytest.raises(SettingError, match="must be a path"):
        open_dataset(3)


@pytest.mark.parametrize("part", ["metadata.json", "main_data.hdf5"])
def test_what_may_not_be_read_is_said_to_be_so(part, data, monkeypatch):
    """A superuser may read everything, so the refusal of the system is made here."""
    opened = Path.open

    def refused(path, *how, **named):
        if path.name == part:
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, *how, **named)

    monkeypatch.setattr(Path, "open", refused)
    with pytest.raises(SettingError, match="cannot be read: Permission denied") as caught:
        open_dataset(data)
    assert "damaged" not in str(caught.value)


def test_a_folder_that_may_not_be_looked_into_is_no_traceback(data, monkeypatch):
    def refused(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("pathlib.Path.is_file", refused)
    with pytest.raises(SettingError, match=r"cannot be read: Permission denied: .*metadata\.json"):
        open_dataset(data)


ARRAYS = {
    "no rewards": ("rewards", None, "episode 1 no rewards"),
    "NaN": ("rewards", np.full, "episode 1 rewards that are not finite"),
    "objects": ("rewards", {"dtype": h5py.string_dtype(), "data": ["a"]}, "rewards of object"),
    "complex numbers": ("rewards", {"data": [1j]}, "rewards of complex128"),
    "one number": ("rewards", {"data": 1.0}, "rewards that are no array"),
    "nothing": ("rewards", {"data": h5py.Empty("f")}, "rewards that are no array"),
    "another length": ("rewards", {"data": np.zeros(99)}, r"rewards of the shape \(99,\) where"),
    "a claim": (
        "rewards",
        {"shape": (1 << 40,), "chunks": (9,), "dtype": "f8"},
        r"shape \(10995116",
    ),
    "a chunk": (
        "rewards",
        {"shape": (9,), "chunks": ((1 << 24) + 128,), "maxshape": (None,), "dtype": "f8"},
        r"rewards in chunks of 128\.0 MiB, and a chunk may take 128 MiB: write it again in smaller",
    ),
    "no steps": ("actions", {"data": np.zeros(0, np.int64)}, "episode 1 no steps"),
    "numbers for flags": ("terminations", {}, "terminations of float64"),
    "other flags": (
        "terminations",
        {"data": np.zeros(99, bool)},
        r"terminations of the shape \(99",
    ),
    "infinite states": ("observations", np.full, "observations that are not finite"),
    "states of text": ("observations", {"data": ["a"], "dtype": h5py.string_dtype()}, "of object"),
}


@pytest.mark.parametrize("fault", ARRAYS)
def test_a_fault_of_an_array_is_one_sentence(fault, data):
    name, how, message = ARRAYS[fault]
    if how is None:
        with file_of(data) as file:
            del file[f"episode_1/{name}"]
    elif callable(how):
        shape = (steps_of(data),) if name == "rewards" else (steps_of(data) + 1, 2)
        in_place_of(data, name, data=how(shape, np.inf if name != "rewards" else np.nan))
    else:
        given = {} if "data" in how or "shape" in how else {"data": np.zeros(steps_of(data))}
        in_place_of(data, name, **given | how)
    refused(data, message)


def test_an_array_that_nobody_wrote_is_refused_by_the_size_that_it_claims(data):
    """It takes no room in the file, and its metadata claim the same."""
    set_metadata(data, total_steps=1 << 50)
    for name, shape in (("actions", (1 << 40,)), ("observations", ((1 << 40) + 1, 2))):
        in_place_of(data, name, shape=shape, chunks=True, dtype="u1")
    refused(
        data, r"steps that take 16,384\.0 GiB, and an episode may take 4 GiB: write it again as"
    )


@pytest.mark.parametrize(
    ("place", "name"),
    [
        (0, "observations"),
        (1, "actions"),
        (2, "rewards"),
        (3, "terminations"),
        (4, "truncations"),
        (5, "action_mask"),
    ],
)
def test_every_array_is_compared_with_the_memory_before_it_is_read(
    place, name, tmp_path, monkeypatch
):
    description = described()
    (episode,) = random_episodes(description, 1, masked=True)
    data = write_dataset(NAME, tmp_path, description, [episode]) / "data"
    free = iter([1 << 20] * place + [0])
    monkeypatch.setattr(arrays, "_LARGE", 0)
    monkeypatch.setattr(arrays, "available_memory", lambda: next(free))
    refused(data, f"episode 0 {name} that take 0.0 GiB, and the memory has 0.0 GiB")


@pytest.mark.parametrize(
    ("actions", "message"),
    [
        ([1], "actions with 1, which is not in Discrete"),
        ([6], "actions with 6, which is not in Discrete"),
        ([-(2**60)], "actions with -1152921504606846976"),
        ([2.5], "actions of float64 where int64 belongs"),
        (np.array([2**64 - 1], np.uint64), "actions of uint64 with numbers that int64 lacks"),
        ([[2]], r"actions of the shape \(.*, 1\) where"),
    ],
)
def test_actions_that_the_space_lacks_are_refused(actions, message, data):
    array = np.asarray(actions)
    wide = np.broadcast_to(array, (steps_of(data), *array.shape[1:]))
    in_place_of(data, "actions", data=wide)
    refused(data, message)


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.uint64])
def test_actions_of_another_whole_dtype_are_the_same_actions(dtype, data):
    expected = open_dataset(data).digest
    with file_of(data) as file:
        actions = file["episode_1/actions"][()]
    in_place_of(data, "actions", data=actions.astype(dtype))
    assert open_dataset(data).digest == expected


def test_numbers_of_another_precision_are_rounded_to_that_of_their_space(tmp_path):
    data = made(tmp_path, space=spaces.Box(-9, 9, (2,), np.float32))
    set_metadata(data, frankrl=None)
    exact = np.full((steps_of(data) + 1, 2), 1 / 3, np.float64)
    in_place_of(data, "observations", data=exact)
    _, found, _ = open_dataset(data).episodes()
    assert found.observations.dtype == np.float32
    np.testing.assert_array_equal(found.observations, np.float32(1 / 3))
    in_place_of(data, "observations", data=np.full_like(exact, 1e300))
    refused(data, "observations that are not finite")


def test_episodes_without_an_end_or_with_several_are_refused(data):
    flags = np.zeros(steps_of(data), np.bool_)
    in_place_of(data, "terminations", data=flags)
    in_place_of(data, "truncations", data=flags)
    refused(data, "episode 1 no end: neither terminated nor truncated")
    flags[:] = True
    in_place_of(data, "truncations", data=flags)
    refused(data, "episode 1 truncations before its last step")


@pytest.mark.parametrize(
    ("masks", "message"),
    [
        (np.ones((3, 4), np.bool_), r"action_mask of the shape \(3, 4\) where"),
        (np.full((0, 4), 2), "action masks that are neither 0 nor 1"),
        (np.full((0, 4), 0.5), "action masks of float64"),
    ],
)
def test_masks_that_are_none_are_refused(masks, message, data):
    if not len(masks):
        masks = np.broadcast_to(masks.dtype.type(2), (steps_of(data) + 1, 4))
    with file_of(data) as file:
        file["episode_1/infos"].create_dataset("action_mask", data=masks)
    refused(data, message)


def link(kind):
    def put(data, elsewhere):
        with file_of(data) as file:
            del file["episode_1/rewards"]
            file["episode_1/rewards"] = {
                "external": h5py.ExternalLink(str(elsewhere), "/rewards"),
                "soft": h5py.SoftLink("/episode_0/rewards"),
            }[kind]

    return put


def bytes_of_another_file(data, elsewhere):
    size = elsewhere.stat().st_size // 8
    how = {"shape": (size,), "dtype": "f8", "external": [(str(elsewhere), 0, size * 8)]}
    in_place_of(data, "rewards", **how)


def virtual(data, elsewhere):
    layout = h5py.VirtualLayout(shape=(9,), dtype="f8")
    layout[:] = h5py.VirtualSource(str(elsewhere), "rewards", shape=(9,))
    with file_of(data) as file:
        del file["episode_1/rewards"]
        file["episode_1"].create_virtual_dataset("rewards", layout)


def a_group(data, elsewhere):
    with file_of(data) as file:
        del file["episode_1/rewards"]
        file.create_group("episode_1/rewards")


def an_array(data, elsewhere):
    with file_of(data) as file:
        del file["episode_1"]
        file["episode_1"] = np.zeros(3)


@pytest.mark.parametrize(
    ("put", "message"),
    [
        (link("external"), "a part rewards that points elsewhere"),
        (link("soft"), "a part rewards that points elsewhere"),
        (bytes_of_another_file, "rewards that stand in another file"),
        (virtual, "rewards that stand in another file"),
        (a_group, "a part rewards that is no array"),
        (an_array, "a part episode_1 that is no group"),
    ],
)
def test_what_does_not_lie_in_the_file_itself_is_not_read(put, message, data, tmp_path):
    with h5py.File(tmp_path / "elsewhere", "w") as file:
        file["rewards"] = np.zeros(9)
    put(data, tmp_path / "elsewhere")
    refused(data, message)


def test_a_filter_that_is_a_library_to_load_is_refused(data):
    plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plan.set_chunk((4,))
    # LZ4 as it is registered; an optional filter need not be there for the file to be made.
    plan.set_filter(32004, h5py.h5z.FLAG_OPTIONAL)
    with file_of(data) as file:
        del file["episode_1/rewards"]
        h5py.h5d.create(
            file["episode_1"].id,
            b"rewards",
            h5py.h5t.NATIVE_DOUBLE,
            h5py.h5s.create_simple((steps_of_open(file),)),
            plan,
        )
    refused(data, "rewards packed by the filter 32004, and Frank reads gzip and LZF")


def test_a_chunk_that_unpacks_to_more_than_its_array_is_refused(data, monkeypatch):
    """HDF5 would make room for all of it: more than a thousand times what the file takes."""
    monkeypatch.setattr(packing, "MAX_CHUNK_BYTES", 1 << 20)
    how = {"dtype": "f8", "chunks": (100,), "maxshape": (None,), "compression": "gzip"}
    in_place_of(data, "rewards", shape=(steps_of(data),), **how)
    packed = zlib.compress(bytes(1 << 21), 9)
    assert len(packed) < 100 * 8 * 4
    with file_of(data) as file:
        file["episode_1/rewards"].id.write_direct_chunk((0,), packed)
    refused(data, f"rewards with a chunk of {len(packed):,} packed bytes that may unpack to more")


@pytest.mark.parametrize("shuffle", [False, True])
def test_a_large_chunk_is_unpacked_in_parts_before_it_is_read(shuffle, tmp_path, monkeypatch):
    """Whatever the limit is: such a chunk is read, and the same but for one more row is refused."""
    monkeypatch.setattr(packing, "MAX_CHUNK_BYTES", 1 << 16)
    monkeypatch.setattr(packing, "_PART_BYTES", 1_000)
    random = np.random.default_rng(0)
    right, wrong = random.bytes(1 << 13), random.bytes((1 << 13) + 512)
    how = {"chunks": (1 << 10,), "dtype": "f8", "compression": "gzip", "shuffle": shuffle}
    with h5py.File(tmp_path / "some", "w") as file:
        for name, content in (("right", right), ("wrong", wrong)):
            stored = file.create_dataset(name, (1 << 10,), **how)
            stored.id.write_direct_chunk((0,), zlib.compress(content))
        assert arrays.array_in(file.id, "right", (1 << 10,)).shape == (1 << 10,)
        with pytest.raises(
            arrays.NotAnEpisodeError, match=r"may unpack to more than its own 8,192"
        ):
            arrays.array_in(file.id, "wrong", (1 << 10,))


def test_a_large_chunk_that_ends_too_early_is_left_to_hdf5_which_refuses_it(tmp_path, monkeypatch):
    monkeypatch.setattr(packing, "MAX_CHUNK_BYTES", 1 << 16)
    content = np.random.default_rng(0).bytes(1 << 13)
    with h5py.File(tmp_path / "some", "w") as file:
        stored = file.create_dataset("a", (1 << 13,), "u1", chunks=(1 << 13,), compression="gzip")
        stored.id.write_direct_chunk((0,), zlib.compress(content)[:-9])
        with pytest.raises(OSError, match="filter returned failure"):
            arrays.array_in(file.id, "a", (1 << 13,))


def test_a_chunk_of_lzf_is_refused_by_its_packed_size_alone(tmp_path, monkeypatch):
    noise = np.random.default_rng(0).integers(4, size=1 << 13, dtype=np.uint8)
    with h5py.File(tmp_path / "some", "w") as file:
        file.create_dataset("noise", data=noise, chunks=noise.shape, compression="lzf")
        packed = file["noise"].id.get_storage_size()
        monkeypatch.setattr(packing, "MAX_CHUNK_BYTES", packed * 88)
        np.testing.assert_array_equal(arrays.array_in(file.id, "noise", noise.shape), noise)
        monkeypatch.setattr(packing, "MAX_CHUNK_BYTES", packed * 88 - 1)
        message = rf"packed by LZF in a chunk of {packed:,} bytes, and .* up to {packed - 1:,}:"
        with pytest.raises(arrays.NotAnEpisodeError, match=message):
            arrays.array_in(file.id, "noise", noise.shape)


def test_a_chunk_that_was_left_unpacked_is_read(tmp_path, monkeypatch):
    """HDF5 leaves a chunk as it is if packing makes it longer."""
    monkeypatch.setattr(packing, "MAX_CHUNK_BYTES", 1 << 13)
    noise = np.random.default_rng(0).integers(256, size=1 << 13, dtype=np.uint8)
    with h5py.File(tmp_path / "some", "w") as file:
        how = {"chunks": noise.shape, "dtype": "u1", "compression": "gzip"}
        stored = file.create_dataset("noise", noise.shape, **how)
        stored.id.write_direct_chunk((0,), noise.tobytes(), filter_mask=1)
    with h5py.File(tmp_path / "some") as file:
        np.testing.assert_array_equal(arrays.array_in(file.id, "noise", noise.shape), noise)


@pytest.mark.parametrize(
    ("filters", "message"),
    [
        (["set_deflate", "set_deflate"], "rewards packed twice: write it again, packed by gzip"),
        (["set_shuffle", "set_fletcher32"], None),
        (["set_shuffle", "set_deflate", "set_fletcher32"], None),
        (["set_scaleoffset"], "rewards packed by the filter 6, and Frank reads gzip and LZF"),
    ],
)
def test_an_array_is_packed_once_by_a_filter_whose_growth_is_known(filters, message, data):
    plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plan.set_chunk((4,))
    given = {"set_deflate": (1,), "set_scaleoffset": (h5py.h5z.SO_FLOAT_DSCALE, 2)}
    for name in filters:
        getattr(plan, name)(*given.get(name, ()))
    with file_of(data) as file:
        rewards = file["episode_1/rewards"][()]
        del file["episode_1/rewards"]
        space = h5py.h5s.create_simple(rewards.shape)
        place = (file["episode_1"].id, b"rewards", h5py.h5t.NATIVE_DOUBLE, space, plan)
        h5py.h5d.create(*place)
        file["episode_1/rewards"][...] = rewards
    if message is None:
        assert open_dataset(data).num_episodes == 3
    else:
        refused(data, message)


def steps_of_open(file):
    return file["episode_1/actions"].shape[0]


@pytest.mark.parametrize("seed", [1.5, "a", [1, 2]])
def test_a_seed_that_is_no_number_is_refused(seed, data):
    with file_of(data) as file:
        file["episode_1"].attrs["seed"] = seed
    refused(data, "a seed that is no whole number")


def picture_set(tmp_path, jpegs):
    description = described(spaces.Box(0, 255, (40, 32, 3), np.uint8))
    (episode,) = random_episodes(description, 1)
    data = write_dataset(NAME, tmp_path, description, [episode]) / "data"
    set_metadata(data, jpeg_encoding=True, frankrl=None)
    count = len(episode.actions) + 1
    with file_of(data) as file:
        del file["episode_0/observations"]
        file["episode_0"].create_dataset("observations", (count,), h5py.vlen_dtype(np.uint8))[:] = [
            np.frombuffer(jpegs, np.uint8)
        ] * count
    return data


def encoded(form, size, mode="RGB"):
    file = io.BytesIO()
    Image.new(mode, size).save(file, form)
    return file.getvalue()


@pytest.mark.parametrize(
    ("jpegs", "message"),
    [
        (encoded("JPEG", (40, 32)), "a picture of the size"),
        (encoded("JPEG", (32, 40), "L"), "a picture of the shape"),
        (encoded("PNG", (32, 40)), "cannot identify image"),
        (encoded("JPEG", (32, 40))[:-200], "is damaged"),
        (b"", "is damaged"),
    ],
)
def test_pictures_that_are_others_are_refused(jpegs, message, tmp_path):
    assert open_dataset(picture_set(tmp_path / "good", encoded("JPEG", (32, 40)))).num_steps
    refused(picture_set(tmp_path, jpegs), message)


def test_a_longer_entry_than_a_jpeg_of_the_picture_is_refused(tmp_path):
    jpeg = encoded("JPEG", (32, 40))
    # What follows the picture is of no meaning.
    assert open_dataset(picture_set(tmp_path / "good", jpeg + bytes(9_999))).num_steps
    refused(
        picture_set(tmp_path, (jpeg + bytes(1 << 17))[: 1 << 17]),
        "observations of 131,072 bytes, longer than any JPEG",
    )


def test_pictures_are_read_one_by_one(tmp_path, monkeypatch):
    """Entries are references, and all may refer to the same bytes of the file."""
    read = h5py.Dataset.__getitem__
    asked = []
    monkeypatch.setattr(
        h5py.Dataset, "__getitem__", lambda self, place: asked.append(place) or read(self, place)
    )
    data = open_dataset(picture_set(tmp_path, encoded("JPEG", (32, 40))))
    assert asked == list(range(data.num_steps + 1))


@pytest.mark.parametrize(
    ("rows", "length", "message"),
    [(2, 9, "2 observations where"), (0, 1 << 40, "observations of 1,099,511,627,776 bytes")],
)
def test_a_table_of_pictures_has_the_size_of_pictures(rows, length, message, tmp_path):
    data = picture_set(tmp_path, encoded("JPEG", (32, 40)))
    with file_of(data) as file:
        rows = rows or len(file["episode_0/observations"])
        del file["episode_0/observations"]
        file["episode_0"].create_dataset("observations", (rows, length), "u1", chunks=True)
    refused(data, message)


def test_numbers_that_changed_since_they_were_written_are_refused(data):
    """The file is whole for HDF5; whoever means the change removes the digest."""
    with file_of(data) as file:
        file["episode_1/rewards"][0] += 0.5
    refused(data, r"is damaged: it does not hold what was written .*remove frankrl\.digest from")
    noted = json.loads((data / "metadata.json").read_text())["frankrl"]
    for digest in (3, "\n"):
        set_metadata(data, frankrl=noted | {"digest": digest})
        refused(data, "is damaged: it does not hold what was written")
    del noted["digest"]
    set_metadata(data, frankrl=noted)
    assert open_dataset(data).num_episodes == 3


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    data = made(tmp_path_factory.mktemp("damaged"), space=MIXED)
    return data, (data / "main_data.hdf5").read_bytes(), open_dataset(data).digest


@examples(60)
@given(where=st.floats(0, 1, exclude_max=True), value=st.integers(1, 255), cut=st.booleans())
def test_a_damaged_file_is_refused_or_read_whole(where, value, cut, whole):
    """Nothing else is raised, whichever byte differs or wherever the file ends."""
    data, content = whole[0], bytearray(whole[1])
    place = int(where * len(content))
    if cut:
        del content[place:]
    else:
        content[place] ^= value
    (data / "main_data.hdf5").write_bytes(content)
    with contextlib.suppress(SettingError):
        assert open_dataset(data).digest == whole[2]
