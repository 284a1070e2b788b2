"""What two runs must have in common to be the same run."""

from frankrl.runs import MetricsReader, RunFolder, list_checkpoints


def contents(run) -> dict:
    """Everything that must not depend on when or how often a run was interrupted."""
    folder = RunFolder.open(run)
    newest = list_checkpoints(folder.checkpoints)[-1]
    found = {file.name: file.read_bytes() for file in newest.glob("*.safetensors")}
    for file in folder.best.glob("*/*.safetensors"):
        found[str(file.relative_to(folder.path))] = file.read_bytes()
    reader = MetricsReader(folder.metrics)
    for table in ("episodes", "training", "evaluations"):
        columns = reader.columns(table)
        found[table] = {name: list(values) for name, values in columns.items()}
    reader.close()
    return found
