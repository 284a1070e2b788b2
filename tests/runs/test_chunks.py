"""The files of chunks: written once, shared by links, trusted no further than their manifest."""

import hashlib
import json
import os
import shutil

import numpy as np
import pytest
import zstandard
from safetensors.numpy import save as save_safetensors

from frankrl.core.errors import DamagedError
from frankrl.runs import (
    HeldChunks,
    list_checkpoints,
    load_checkpoint,
    read_newest,
    remove_checkpoints,
    save_checkpoint,
    tidy_checkpoints,
)
from frankrl.runs.checkpoint import manifest_of

NAME = "steps-000000000004.zst"
MOST = 10_000


def chunk(seed=0):
    return {"numbers": np.random.default_rng(seed).normal(size=(4, 3))}


def never():
    raise AssertionError("a chunk that is held was asked for")


def save(folder, env_steps, held, chunks=None):
    chunks = {NAME: chunk} if chunks is None else chunks
    rest = {"rest": {"counter": np.array(env_steps)}}
    return save_checkpoint(folder, env_steps, rest, {}, chunks, held)


def read(checkpoint, most=MOST):
    loaded = load_checkpoint(checkpoint, {"rest": 100})
    return {name: loaded.chunk(name, most) for name in loaded.chunks}


def restored(folder):
    """What a new process would hold after a resume."""
    loaded = load_checkpoint(list_checkpoints(folder)[-1], {})
    held = HeldChunks()
    held.hold(loaded.path, loaded.chunks)
    return held


@pytest.fixture
def held():
    return HeldChunks()


def test_a_chunk_comes_back_to_the_bit_and_is_written_once(tmp_path, held):
    first = save(tmp_path, 10, held)
    second = save(tmp_path, 20, held, {NAME: never, "steps-000000000008.zst": lambda: chunk(1)})
    third = save(tmp_path, 30, restored(tmp_path), {NAME: never})
    inodes = {(path / NAME).stat().st_ino for path in (first, second, third)}
    assert len(inodes) == 1
    assert [sorted(read(path)) for path in (first, third)] == [[NAME], [NAME]]
    assert sorted(read(second)) == [NAME, "steps-000000000008.zst"]
    for path in (first, second, third):
        assert read(path)[NAME]["numbers"].tobytes() == chunk()["numbers"].tobytes()


def test_a_chunk_outlives_the_checkpoint_that_wrote_it(tmp_path, held):
    save(tmp_path, 10, held)
    newest = save(tmp_path, 20, held, {NAME: never})
    remove_checkpoints(tmp_path, keep=1)
    assert list_checkpoints(tmp_path) == [newest]
    assert (newest / NAME).stat().st_nlink == 1
    assert read(newest).keys() == {NAME}
    assert read(save(tmp_path, 30, held, {NAME: never})).keys() == {NAME}


def test_a_checkpoint_of_the_same_step_shares_with_the_one_that_it_replaces(tmp_path, held):
    before = (save(tmp_path, 10, held) / NAME).stat().st_ino
    after = save(tmp_path, 10, held, {NAME: never})
    assert (after / NAME).stat().st_ino == before
    assert [path.name for path in tmp_path.iterdir()] == [after.name]


def test_where_no_link_can_be_made_a_chunk_is_copied(tmp_path, held, monkeypatch):
    def refuse(*given):
        raise OSError(1, "Operation not permitted")

    first = save(tmp_path, 10, held)
    monkeypatch.setattr(os, "link", refuse)
    second = save(tmp_path, 20, held, {NAME: never})
    assert (first / NAME).stat().st_ino != (second / NAME).stat().st_ino
    assert read(second)[NAME]["numbers"].tobytes() == chunk()["numbers"].tobytes()


def test_a_chunk_that_is_no_longer_what_its_manifest_says_is_not_copied(
    tmp_path, held, monkeypatch
):
    def refuse(*given):
        raise OSError(1, "Operation not permitted")

    file = save(tmp_path, 10, held) / NAME
    content, changed = file.read_bytes(), file.stat().st_mtime_ns
    file.write_bytes(bytes(len(content)))
    os.utime(file, ns=(changed, changed))
    monkeypatch.setattr(os, "link", refuse)
    assert (save(tmp_path, 20, held) / NAME).read_bytes() == content


@pytest.mark.parametrize("how", ["gone", "changed", "shorter", "a link"])
def test_a_chunk_that_is_not_as_it_was_is_written_anew(tmp_path, held, how):
    first = save(tmp_path / "checkpoints", 10, held)
    file = first / NAME
    content = file.read_bytes()
    if how == "gone":
        shutil.rmtree(first)
    elif how == "changed":
        file.write_bytes(bytes(len(content)))
        os.utime(file, ns=(0, 0))
    elif how == "shorter":
        changed = file.stat().st_mtime_ns
        file.write_bytes(content[:-1])
        os.utime(file, ns=(changed, changed))
    else:
        file.unlink()
        file.symlink_to(tmp_path / "elsewhere")
    second = save(tmp_path / "checkpoints", 20, held)
    assert (second / NAME).read_bytes() == content
    assert read(second).keys() == {NAME}


def test_a_save_that_fails_leaves_the_chunks_that_the_next_one_shares(tmp_path, held):
    first = save(tmp_path, 10, held)
    with pytest.raises(AssertionError, match="was asked for"):
        save(tmp_path, 20, held, {NAME: never, "steps-000000000008.zst": never})
    tidy_checkpoints(tmp_path)
    assert list(tmp_path.iterdir()) == [first]
    assert (first / NAME).stat().st_nlink == 1
    assert (save(tmp_path, 20, held, {NAME: never}) / NAME).stat().st_nlink == 2


def replaced(checkpoint, content):
    """Another file in this checkpoint alone."""
    (checkpoint / NAME).unlink()
    (checkpoint / NAME).write_bytes(content)


def vouched_for(checkpoint, content):
    """Likewise, and the manifest says that it is right."""
    replaced(checkpoint, content)
    manifest = json.loads((checkpoint / "manifest.json").read_bytes())
    entry = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    manifest["files"][NAME] = entry
    (checkpoint / "manifest.json").write_bytes(manifest_of(manifest["files"]))


DAMAGE = {
    "damaged": (lambda whole: bytes([whole[0]]) + bytes(len(whole) - 1), "SHA-256"),
    "truncated": (lambda whole: whole[:-1], "the manifest says"),
    "too large": (lambda whole: bytes(MOST + 2**21), "at most .* can be right"),
}


@pytest.mark.parametrize("how", DAMAGE)
def test_damage_to_a_chunk_of_the_newest_checkpoint_leads_to_the_one_before(tmp_path, held, how):
    altered, words = DAMAGE[how]
    before, newest = save(tmp_path, 10, held), save(tmp_path, 20, held)
    replaced(newest, altered((newest / NAME).read_bytes()))
    found, (error,) = read_newest(tmp_path, lambda path: (path, read(path)))
    assert found[0] == before
    assert error.checkpoint == newest
    with pytest.raises(DamagedError, match=rf"0020/{NAME} .*{words}"):
        read(newest)


def test_chunks_that_are_exchanged_or_missing_are_noticed(tmp_path, held):
    other = "steps-000000000008.zst"
    path = save(tmp_path, 10, held, {NAME: chunk, other: lambda: chunk(1)})
    one, two = (path / NAME).read_bytes(), (path / other).read_bytes()
    (path / NAME).write_bytes(two)
    (path / other).write_bytes(one)
    with pytest.raises(DamagedError, match=rf"{NAME} is damaged"):
        read(path)
    (path / NAME).unlink()
    with pytest.raises(DamagedError, match=rf"differ in {NAME}"):
        load_checkpoint(path, {})


def test_a_chunk_that_would_become_too_large_is_refused_before_memory_is_taken(tmp_path, held):
    path = save(tmp_path, 10, held)
    bomb = zstandard.ZstdCompressor().compress(bytes(1 << 28))
    assert len(bomb) < MOST
    vouched_for(path, bomb)
    words = "would decompress to more than the .* bytes that can be right"
    with pytest.raises(DamagedError, match=words):
        read(path)


CONTENT = save_safetensors({"numbers": np.zeros(3)})
WHOLE = zstandard.ZstdCompressor().compress(CONTENT)
MADE_UP = {
    "nothing": (b"", "is damaged"),
    "no compressed file": (b"x" * 50, "Unknown frame descriptor"),
    "no whole one": (WHOLE[:-4], "is damaged"),
    "more behind it": (WHOLE + b"x", "unused data"),
    "no size": (
        zstandard.ZstdCompressor(write_content_size=False).compress(CONTENT),
        "would decompress to more than",
    ),
    "no arrays": (zstandard.ZstdCompressor().compress(b"[1, 2]"), "is damaged"),
}


@pytest.mark.parametrize("what", MADE_UP)
def test_a_chunk_that_its_manifest_vouches_for_is_still_not_trusted(tmp_path, held, what):
    content, words = MADE_UP[what]
    path = save(tmp_path, 10, held)
    vouched_for(path, content)
    with pytest.raises(DamagedError, match=words):
        read(path)


def test_what_needs_no_chunk_reads_none(tmp_path, held):
    path = save(tmp_path, 10, held)
    replaced(path, b"not read")
    assert load_checkpoint(path, {"rest": 100}).tensors["rest"]["counter"] == 10
