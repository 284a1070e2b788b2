"""Configs, manifests and headers of arrays that anyone may have made: refused in Frank's words."""

import hashlib
import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from frankrl.core.errors import FrankError
from frankrl.environments import describe
from frankrl.runs import RunFolder, list_checkpoints, load_checkpoint
from frankrl.runs.checkpoint import manifest_of
from frankrl.training import Experiment
from frankrl.training.checkpoint_metadata import CheckpointMetadata
from frankrl.training.codec import BEST_FILE, from_checkpoint, most_bytes
from robustness.outcome import Outcome
from robustness.runs import Case, small_chunks, train

_CASE = Case("CartPole-v1", 2, True, 0, total_env_steps=160)
_MEMORY_BYTES = 256 << 20
_WORDS = st.sampled_from(
    [
        *("nan", "inf", "-1", "1e999", "9" * 400, "true", "null", "[]", "{}", '""', "0", "-0.0"),
        *("[[" * 3000, "'''", '"../../etc/passwd"', "\x00", "\ud7ff", "1979-05-27", "0x10", "F64"),
    ]
)


def study(work: Path, examples: int) -> Outcome:
    """Give Frank files that are nearly right, or not at all.

    Args:
        work: a folder for the run whose files are altered.
        examples: how many in all.
    """
    outcome = Outcome("fuzz", "fuzzed configs, manifests, states and headers: only Frank's errors")
    with small_chunks():
        _study(outcome, work, examples)
    return outcome


def _study(outcome: Outcome, work: Path, examples: int) -> None:
    run = work / "fuzzed"
    train(_CASE, run)
    folder = RunFolder.open(run)
    newest = list_checkpoints(folder.checkpoints)[-1]
    chosen = folder.description.settings
    experiment = Experiment.of(chosen, describe(_CASE.env_id, {}), 0)
    most = most_bytes(experiment, chosen.training.total_env_steps)
    config, manifest = run / "config.toml", newest / "manifest.json"
    whole_manifest = json.loads(manifest.read_bytes())

    def read_config(content: bytes) -> None:
        config.write_bytes(content)
        RunFolder.open(run)

    def read_all() -> None:
        loaded = load_checkpoint(newest, most, optional=(BEST_FILE,))
        metadata = CheckpointMetadata.from_info(loaded.info, chosen)
        from_checkpoint(loaded, experiment, metadata.env_steps, metadata.updates)

    def read_manifest(content: bytes) -> None:
        manifest.write_bytes(content)
        read_all()

    def read_vouched_for(name: str) -> Callable[[bytes], None]:
        def read(content: bytes) -> None:
            (newest / name).write_bytes(content)
            entry = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            files = whole_manifest["files"] | {name: entry}
            manifest.write_bytes(manifest_of(files))
            read_all()

        return read

    targets: list[tuple[Path, Callable[[bytes], None]]] = [
        (config, read_config),
        (manifest, read_manifest),
        *(
            (newest / name, read_vouched_for(name))
            for name in (
                *("state.json", "collection.safetensors", "q_network.safetensors"),
                next(newest.glob("steps-*.zst")).name,
            )
        ),
    ]
    before = _peak_bytes()
    for path, read in targets:
        whole = path.read_bytes()
        _fuzz(outcome, path.name, whole, read, examples // len(targets))
        path.write_bytes(whole)
        manifest.write_bytes(manifest_of(whole_manifest["files"]))
    grown = _peak_bytes() - before
    outcome.notes["memory grew by, MiB"] = grown >> 20
    if grown > _MEMORY_BYTES:
        outcome.note(False, f"memory grew by {grown >> 20} MiB")


def _fuzz(
    outcome: Outcome, name: str, whole: bytes, read: Callable[[bytes], None], examples: int
) -> None:
    @seed(0)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(_altered(whole))
    def one(content: bytes) -> None:
        try:
            read(content)
        except FrankError:
            outcome.note(True, "")
        except Exception as error:
            outcome.note(False, f"{name}: {type(error).__name__}: {error}: {content[:200]!r}")
        else:
            outcome.count("valid after all")
            outcome.note(True, "")

    one()


@st.composite
def _altered(draw: Any, whole: bytes) -> bytes:
    """The content with a few changes: bytes, words, parts taken out or said twice."""
    content = bytearray(whole)
    # Names, shapes and types stand at the front of every such file.
    front = min(len(content), 2_000)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(0, min(front, len(content)) - 1)))
        kind = draw(st.integers(0, 5))
        if kind == 0:
            content[at : at + 1] = bytes([draw(st.integers(0, 255))])
        elif kind == 1:
            content[at:at] = draw(_WORDS).encode()
        elif kind == 2:
            content[at : at + draw(st.integers(1, 40))] = draw(_WORDS).encode()
        elif kind == 3:
            del content[at : at + draw(st.integers(1, 200))]
        elif kind == 4:
            content[at:at] = content[at : at + draw(st.integers(1, 200))]
        else:
            content[:8] = struct.pack("<Q", draw(st.integers(0, 2**64 - 1)))
    return bytes(content)


def _peak_bytes() -> int:
    import resource  # which Windows lacks

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
