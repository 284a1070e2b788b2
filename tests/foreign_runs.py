"""Run folders as somebody else may have made them: right in everything but what they name."""

import hashlib
import json
import shutil
from pathlib import Path

from frankrl.config import Settings
from frankrl.runs.checkpoint import INFO, MANIFEST, manifest_of
from frankrl.runs.folder import RunFolder
from frankrl.runs.layout import CONFIG

CANARY = "canary"
CODE = f"import pathlib, os; pathlib.Path(os.environ['FRANK_{CANARY.upper()}']).touch()\n"
"""A module that leaves a file behind once it is imported."""


def foreign_copy(run: Path, path: Path, env_id: str, **env_kwargs: object) -> Path:
    """A copy of a run that names another environment everywhere, with checkpoints that are right.

    It keeps the mark of the original, which is the most that somebody else can know.
    """
    shutil.copytree(run, path)
    description = RunFolder.open(run).description
    config = (path / CONFIG).read_text()
    config = config.replace(f'env_id = "{description.env_id}"', f"env_id = {json.dumps(env_id)}")
    if env_kwargs:
        tables = Settings().with_changes(env_kwargs=env_kwargs).environment.env_kwargs
        text = json.dumps(json.dumps(tables))
        config = config.replace('env_kwargs = "{}"', f"env_kwargs = {text}")
    (path / CONFIG).write_text(config)
    for info in path.glob(f"*/*/{INFO}"):
        _rename_environment(info, env_id)
    opened = RunFolder.open(path).description
    assert (opened.env_id, opened.settings.environment.env_kwargs) == (env_id, env_kwargs)
    return path


def set_in_config(run: Path, name: str, value: object) -> None:
    """Give a setting another value in the `config.toml` of a run."""
    lines = (run / CONFIG).read_text().splitlines()
    (place,) = [number for number, line in enumerate(lines) if line.startswith(f"{name} = ")]
    lines[place] = f"{name} = {json.dumps(value)}"
    (run / CONFIG).write_text("\n".join(lines) + "\n")


def _rename_environment(info: Path, env_id: str) -> None:
    content = json.dumps(json.loads(info.read_text()) | {"env_id": env_id}).encode()
    manifest = info.with_name(MANIFEST)
    files = json.loads(manifest.read_text())["files"]
    files[INFO] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    info.write_bytes(content)
    manifest.write_bytes(manifest_of(files))
