"""Runs whose checkpoints have many small chunks."""

import hashlib
import json
import re
from unittest import mock

import jax
import numpy as np
import pytest
from long_forms import some_of
from robustness.runs import contents, killed_copy
from safetensors.numpy import load

import frankrl
from frankrl.core.errors import DamagedError, FrankWarning, RunFolderError
from frankrl.dashboard.work.diagnostics import diagnose
from frankrl.explaining import reopen
from frankrl.opening import open_agent
from frankrl.replay import chunks
from frankrl.runs import RunFolder, list_checkpoints, load_checkpoint, save_checkpoint
from frankrl.runs.checkpoint import manifest_of
from frankrl.runs.chunks import compressed, decompressed
from frankrl.training import Experiment, checkpoint_writer
from frankrl.training.replay_codec import replay_from
from frankrl.training.resuming import Found, read_checkpoint, read_run, stored_spec

QUICK = {
    "preset": "default",
    "hidden_widths": (8,),
    "batch_size": 8,
    "num_envs": 2,
    "n_step": 3,
    "replay_capacity": 150,
    "learning_starts_env_steps": 60,
    "log_every_env_steps": 100,
    "evaluate_every_env_steps": None,
    "final_evaluation_episodes": None,
    "total_env_steps": 440,
    "checkpoint_every_env_steps": 100,
}
RUNS = {
    # Every step ends an episode.
    "short episodes": ("frank_easy:Easy-v0", {}),
    "prioritised, in parts": (
        "probe_envs:FrankSpace-v0",
        {
            "env_kwargs": {"observation": "nested", "max_episode_steps": 7},
            "replay_sampling": "prioritised",
        },
    ),
}


@pytest.fixture(scope="module", autouse=True)
def small_chunks():
    with mock.patch.object(chunks, "CHUNK_BYTES", 900):
        yield


@pytest.fixture(scope="module", params=some_of(RUNS, ["short episodes"]))
def whole(request, tmp_path_factory):
    env_id, changes = RUNS[request.param]
    path = tmp_path_factory.mktemp("chunks") / "whole"
    frankrl.train(env_id, out=path, **QUICK, **changes)
    return path


@pytest.fixture
def half(whole, tmp_path):
    return killed_copy(whole, tmp_path / "half")


def newest(run):
    return list_checkpoints(run / "checkpoints")[-1]


def test_each_checkpoint_shares_the_chunks_that_it_does_not_write(whole):
    before, after, last = list_checkpoints(whole / "checkpoints")
    for one, other in ((before, after), (after, last)):
        names = [{file.name for file in path.glob("*.zst")} for path in (one, other)]
        assert all(len(found) > 2 for found in names)
        shared = names[0] & names[1]
        assert shared
        assert names[1] - names[0]
        for name in shared:
            assert (one / name).stat().st_ino == (other / name).stat().st_ino
    # Of 440 env steps the buffer holds the newest 156; a chunk that has none of them is gone.
    ends = [int(file.stem.removeprefix("steps-")) for file in last.glob("steps-*.zst")]
    size = min(np.diff(sorted(ends)))
    assert 440 - 156 < min(ends) <= 440 - 156 + size
    assert 440 - 2 - size < max(ends) <= 440 - 2


def test_last_observations_are_chunks_where_episodes_are_short(whole):
    assert any(newest(whole).glob("endings-*.zst"))


def test_a_killed_run_continues_to_the_same_bits_and_goes_on_sharing(whole, half):
    before = newest(half)
    assert frankrl.resume(half).not_reproducible == []
    assert contents(half) == contents(whole)
    after = newest(half)
    shared = {file.name for file in before.glob("*.zst")} & {f.name for f in after.glob("*.zst")}
    assert shared
    assert all((before / n).stat().st_ino == (after / n).stat().st_ino for n in shared)


@pytest.mark.parametrize("kind", ["steps", "endings"])
def test_a_damaged_chunk_sends_a_resume_to_the_checkpoint_before(whole, half, kind):
    files = {
        path: set(path.glob(f"{kind}-*.zst")) for path in list_checkpoints(half / "checkpoints")
    }
    file = max(files[newest(half)])
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.warns(FrankWarning, match=rf"0400/{file.name} is damaged.*set aside"):
        result = frankrl.resume(half)
    assert result.not_reproducible == []
    assert contents(half) == contents(whole)


def vouched_for(file, content):
    """Write another chunk, and a manifest that says it is right."""
    manifest = json.loads((file.parent / "manifest.json").read_bytes())
    entry = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    manifest["files"][file.name] = entry
    file.write_bytes(content)
    (file.parent / "manifest.json").write_bytes(manifest_of(manifest["files"]))


def experiment_in(run) -> Experiment:
    folder = RunFolder.open(run)
    spec = stored_spec(folder, load_checkpoint(newest(run), {}).info)
    return Experiment.of(folder.description.settings, spec, folder.description.seed)


def found_in(run) -> Found:
    """What a resume finds."""
    return read_run(RunFolder.open(run), experiment_in(run))


def changed(run, name, change):
    """Change an array of the newest chunk of steps; the manifest says that it is right."""
    file = max(newest(run).glob("steps-*.zst"))
    arrays = dict(load(decompressed(file.read_bytes(), file, 10**6)))
    array = change(arrays.pop(name))
    file.unlink()
    vouched_for(file, compressed(arrays if array is None else arrays | {name: array}))


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        (".action", lambda a: np.full_like(a, 2**16 - 1), "holds an action that does not exist"),
        (".reward", lambda a: np.full_like(a, np.nan), "holds a reward that is not finite"),
        (".ending", lambda a: np.full_like(a, 1), r"holds an episode end|holds one episode end tw"),
    ],
)
def test_where_a_chunk_holds_what_no_run_writes_the_checkpoint_before_is_used(
    half, name, change, words
):
    before, damaged = list_checkpoints(half / "checkpoints")[-2:]
    changed(half, name, change)
    found = found_in(half)
    (error,) = found.damaged
    assert re.search(rf"0400 is damaged: its buffer ({words})", str(error))
    assert (error.checkpoint, found.loaded.path) == (damaged, before)


def test_a_chunk_that_the_buffer_does_not_have_is_damage(half):
    before, damaged = list_checkpoints(half / "checkpoints")[-2:]
    content = max(damaged.glob("steps-*.zst")).read_bytes()
    vouched_for(damaged / "steps-000000000432.zst", content)
    found = found_in(half)
    (error,) = found.damaged
    assert str(error).endswith("0400 is damaged: its buffer has no part steps-000000000432.zst")
    assert (error.checkpoint, found.loaded.path) == (damaged, before)


def test_a_checkpoint_without_a_buffer_has_no_chunk(half):
    loaded, experiment = load_checkpoint(newest(half), {}), experiment_in(half)
    with pytest.raises(DamagedError, match=r"0400 is damaged: its buffer has no part (end|steps)"):
        replay_from(loaded, experiment, 400)
    without = {name: entry for name, entry in loaded.described.items() if ".zst" not in name}
    assert replay_from(loaded._replace(described=without), experiment, 400).num_steps == 0


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        (".reward", lambda a: a[1:], r"\.reward should be float32"),
        (".action", lambda a: a[1:], "does not fit the run's settings"),
        (".action", lambda a: a.astype(np.int32), r"\.action should be uint16"),
        (".terminated", lambda a: None, r"\.terminated should be .* found nothing"),
    ],
)
def test_a_chunk_that_does_not_fit_the_settings_is_refused(half, name, change, words):
    changed(half, name, change)
    with pytest.raises(RunFolderError, match=words) as caught:
        found_in(half)
    assert not isinstance(caught.value, DamagedError)


def test_whoever_needs_weights_alone_reads_no_chunk(half):
    for file in newest(half).glob("*.zst"):
        file.write_bytes(b"not read")
    _, info = open_agent(RunFolder.open(half))
    assert info["env_steps"] == 400


def test_the_dashboards_diagnostics_see_states_of_all_ages(whole):
    with mock.patch("frankrl.dashboard.work.diagnostics._STATES", 64):
        diagnostics = diagnose(RunFolder.open(whole))
    assert 32 <= diagnostics["states"] <= 64
    assert diagnostics["transitions"] == 150


def test_an_update_is_opened_from_a_checkpoint_with_chunks_to_the_same_bits(whole):
    folder = RunFolder.open(whole)
    read = []

    def counted(*given):
        read.append(given[-1])
        return read_checkpoint(*given)

    with mock.patch("frankrl.explaining.repeated_run.read_checkpoint", counted):
        opened = reopen(folder, 330)
    assert opened.cost.first_tick == 300
    # The checkpoint that it ends at is only compared by its weights.
    assert [int(path.name) for path in read] == [300]
    description = folder.description
    experiment = Experiment.of(description.settings, opened.spec, description.seed)
    expected = read_checkpoint(folder, experiment, folder.checkpoints / "000000000400").state
    numbers = jax.tree.leaves((opened.state.learner, opened.state.replay.priorities))
    for one, other in zip(
        numbers, jax.tree.leaves((expected.learner, expected.replay.priorities)), strict=True
    ):
        assert np.asarray(one).tobytes() == np.asarray(other).tobytes()


def test_a_save_that_fails_after_a_resume_costs_no_chunk(whole, half, monkeypatch):
    calls = iter(range(100))

    def failing(*given):
        if next(calls) == 0:
            raise OSError(28, "No space left on device")
        return save_checkpoint(*given)

    monkeypatch.setattr(checkpoint_writer, "save_checkpoint", failing)
    frankrl.resume(half, checkpoint_every_env_steps=20)
    before, after = list_checkpoints(half / "checkpoints")[-2:]
    assert (int(before.name), int(after.name)) == (400, 440)
    shared = {file.name for file in before.glob("*.zst")} & {f.name for f in after.glob("*.zst")}
    assert all((before / n).stat().st_ino == (after / n).stat().st_ino for n in shared)
    assert contents(half) == contents(whole)
