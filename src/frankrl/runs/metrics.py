"""The metrics of a run: one SQLite file, written by the trainer and read by anyone.

Every table except `timing` depends only on the seed and the settings, so the same command writes
the same rows; `timing` depends on the clock. With actors that run freely, `arrivals` depends on the
clock, too, and the others depend on it.
"""

import contextlib
import itertools
import sqlite3
import stat
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from frankrl.core.errors import RunFolderError
from frankrl.runs.disk import flush_file, flush_folder, refuse_shared
from frankrl.runs.lock import instead

_TABLES = {
    "episodes": (
        "env_steps INTEGER PRIMARY KEY",
        "env_index INTEGER NOT NULL",
        "episode INTEGER NOT NULL",
        "episode_return REAL NOT NULL",
        "length INTEGER NOT NULL",
    ),
    "training": (
        "env_steps INTEGER PRIMARY KEY",
        "updates INTEGER NOT NULL",
        "episodes INTEGER NOT NULL",
        "epsilon REAL",
        "learning_rate REAL NOT NULL",
        "loss REAL",
        "mean_q REAL",
        "mean_max_q REAL",
        "mean_target REAL",
        "mean_abs_td_error REAL",
        "gradient_norm REAL",
        "td_error_min REAL",
        "td_error_p05 REAL",
        "td_error_p25 REAL",
        "td_error_p50 REAL",
        "td_error_p75 REAL",
        "td_error_p95 REAL",
        "td_error_max REAL",
        "mean_return_100 REAL",
        "mean_length_100 REAL",
    ),
    "evaluations": (
        "env_steps INTEGER NOT NULL",
        "updates INTEGER NOT NULL",
        "purpose TEXT NOT NULL",
        "episodes INTEGER NOT NULL",
        "mean_return REAL NOT NULL",
        "std_return REAL NOT NULL",
        "mean_length REAL NOT NULL",
        "success_rate REAL",
        "PRIMARY KEY (env_steps, purpose)",
    ),
    "own_metrics": (
        "env_steps INTEGER NOT NULL",
        "name TEXT NOT NULL",
        "value REAL NOT NULL",
        "PRIMARY KEY (env_steps, name)",
    ),
    "environment_restarts": (
        "env_steps INTEGER NOT NULL",
        "env_index INTEGER NOT NULL",
        "reason TEXT NOT NULL",
        "episode INTEGER NOT NULL",
        "PRIMARY KEY (env_index, episode)",
    ),
    "digests": (
        "env_steps INTEGER PRIMARY KEY",
        "env_digests TEXT NOT NULL",
    ),
    "arrivals": (
        "env_steps INTEGER PRIMARY KEY",
        "actor INTEGER NOT NULL",
        "chunk INTEGER NOT NULL",
        "updates INTEGER NOT NULL",
    ),
    "not_reproducible": (
        "env_steps INTEGER NOT NULL",
        "reason TEXT NOT NULL",
        "PRIMARY KEY (env_steps, reason)",
    ),
    "timing": (
        "env_steps INTEGER PRIMARY KEY",
        "seconds REAL NOT NULL",
        "env_steps_per_second REAL NOT NULL",
    ),
}


_WITHOUT_LOG = ("SQLITE_IOERR_SHM", "SQLITE_IOERR_LOCK", "SQLITE_PROTOCOL")
"""How SQLite's errors begin where the file system has no locks or no shared memory."""

Row = tuple[str, Sequence[Any]]
"""A table's name, and values in the order of its columns."""


def _created(table: str) -> str:
    return f"CREATE TABLE {table} ({', '.join(_TABLES[table])}) STRICT"


def _check_tables(connection: sqlite3.Connection, path: Path) -> bool:
    """Whether a file has exactly Frank's tables; false if it has no tables.

    Raises:
        RunFolderError: it has other tables.
    """
    query = "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL"
    found = {text for (text,) in connection.execute(query)}
    if found and found != {_created(table) for table in _TABLES}:
        raise RunFolderError(
            f"the metrics {path} are damaged, or another version of Frank has written them: "
            "their tables are not those of this version"
        )
    return bool(found)


def metrics_files(path: Path) -> list[Path]:
    """The files that SQLite may keep beside the metrics, and the metrics themselves."""
    return [path.with_name(f"{path.name}{ending}") for ending in ("", "-wal", "-shm", "-journal")]


def _no_log(path: Path) -> str:
    return (
        f"the file system of {path.parent.parent} cannot hold the metrics: SQLite's write-ahead "
        f"log does not work there, as on most network file systems: {instead()}"
    )


class MetricsWriter:
    """Writes the metrics of a run; there is only one writer at a time."""

    def __init__(self, path: Path) -> None:
        """Open the file, or make it.

        Raises:
            RunFolderError: it is damaged or cannot be written.
        """
        for file in metrics_files(path):
            refuse_shared(file)
        try:
            self._log = path.with_name(f"{path.name}-wal")
            self._connection = sqlite3.connect(path, isolation_level=None)
            (mode,) = self._connection.execute("PRAGMA journal_mode=WAL").fetchone()
            if mode != "wal":
                self._connection.close()
                raise RunFolderError(_no_log(path))
            self._connection.execute("PRAGMA synchronous=NORMAL")
            if not _check_tables(self._connection, path):
                with self._connection:
                    # Each would be a transaction of its own, which takes three times as long.
                    self._connection.execute("BEGIN")
                    for table in _TABLES:
                        self._connection.execute(_created(table))
            # SQLite also flushes the names of its new files, but ignores failures.
            flush_folder(path.parent)
        except (OSError, sqlite3.Error) as error:
            if getattr(error, "sqlite_errorname", "").startswith(_WITHOUT_LOG):
                raise RunFolderError(_no_log(path)) from error
            raise RunFolderError(f"the metrics {path} cannot be opened: {error}") from error

    def go_back(self, env_steps: int) -> int:
        """Remove the rows after the point from which the run continues.

        Also removes the final evaluation, because the run continues, and the rows of
        `not_reproducible`, which are restored from the checkpoint.

        Returns:
            Number of episodes left.

        Raises:
            sqlite3.Error: it cannot be written.
        """
        with self._connection:
            self._connection.execute("BEGIN")
            for table in _TABLES:
                self._connection.execute(f"DELETE FROM {table} WHERE env_steps > ?", (env_steps,))
            self._connection.execute("DELETE FROM evaluations WHERE purpose = 'final'")
            self._connection.execute("DELETE FROM not_reproducible")
        return self._connection.execute("SELECT count(*) FROM episodes").fetchone()[0]

    def write(self, rows: Iterable[Row]) -> None:
        """Add rows, all or none; existing rows are replaced.

        Args:
            rows: for each, the name of a table and values in the order of its columns.

        Raises:
            sqlite3.Error: they cannot be written.
        """
        with self._connection:
            self._connection.execute("BEGIN")
            for table, same in itertools.groupby(rows, key=lambda row: row[0]):
                values = [row for _, row in same]
                marks = ", ".join("?" * len(values[0]))
                self._connection.executemany(
                    f"INSERT OR REPLACE INTO {table} VALUES ({marks})", values
                )

    def make_durable(self) -> None:
        """Return once everything written is on the disk.

        Raises:
            OSError: the disk could not be written.
        """
        # SQLite flushes its log only when it merges it into the file, which a reader can delay.
        flush_file(self._log)

    def close(self) -> None:
        """Merge the log into the file, and close it.

        Raises:
            sqlite3.Error: the log could not be merged; it still holds the rows.
        """
        try:
            # Closing does the same, but ignores failures.
            self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        finally:
            self._connection.close()


class MetricsReader:
    """Reads the metrics of a run without changing them.

    If there is a log, SQLite may make its index, `metrics.sqlite-shm`.
    """

    def __init__(self, path: Path) -> None:
        try:
            ordinary = stat.S_ISREG(path.lstat().st_mode)
        except OSError:
            raise RunFolderError(
                f"{path.parent} holds no metrics: there is no {path.name}"
            ) from None
        if not ordinary:
            raise RunFolderError(f"the metrics {path} are no ordinary file")
        # Without a log, reading needs no side files, so it also works in a read-only folder.
        at_rest = not path.with_name(f"{path.name}-wal").exists()
        options = "mode=ro&immutable=1" if at_rest else "mode=ro"
        try:
            self._connection = sqlite3.connect(f"{path.resolve().as_uri()}?{options}", uri=True)
            self._connection.execute("PRAGMA trusted_schema=OFF")
            _check_tables(self._connection, path)
        except sqlite3.Error as error:
            raise RunFolderError(f"the metrics {path} cannot be read: {error}") from error

    def columns(self, table: str, where: str = "1") -> dict[str, np.ndarray]:
        """The columns of a table as arrays, in order of env steps."""
        names, rows = self._rows(f"SELECT * FROM {table} WHERE {where} ORDER BY env_steps")
        return {
            name: np.array([row[i] for row in rows]) if rows else np.array([])
            for i, name in enumerate(names)
        }

    def rows(self, table: str, where: str = "1") -> dict[int, tuple]:
        """The rows of a table by their env step, for tables with one row per env step."""
        _, found = self._rows(f"SELECT * FROM {table} WHERE {where} ORDER BY env_steps")
        return {row[0]: row for row in found}

    def copy_to(self, path: Path, edited: Callable[[str], str]) -> None:
        """Write a copy without a log, as it stands now.

        Args:
            path: the new file.
            edited: the text of a reason in the copy, from that of the original.

        Raises:
            RunFolderError: the copy cannot be written.
        """
        try:
            with contextlib.closing(sqlite3.connect(path)) as copy:
                copy.execute("PRAGMA synchronous=OFF")
                self._connection.backup(copy)
                copy.create_function("edited", 1, edited)
                for table in ("not_reproducible", "environment_restarts"):
                    copy.execute(f"UPDATE OR REPLACE {table} SET reason = edited(reason)")
                copy.commit()
                copy.execute("VACUUM")
                copy.execute("PRAGMA journal_mode=DELETE")
        except sqlite3.Error as error:
            raise RunFolderError(f"the metrics cannot be copied to {path}: {error}") from error

    def last_episodes(self, count: int, env_steps: int) -> list[tuple[float, int]]:
        """Return and length of the newest episodes up to an env step, oldest first."""
        _, rows = self._rows(
            "SELECT episode_return, length FROM episodes WHERE env_steps <= ? "
            "ORDER BY env_steps DESC LIMIT ?",
            env_steps,
            count,
        )
        return rows[::-1]

    def last_own(self, name: str, count: int, env_steps: int) -> list[float]:
        """The newest values of an own metric up to an env step, oldest first."""
        _, rows = self._rows(
            "SELECT value FROM own_metrics WHERE name = ? AND env_steps <= ? "
            "ORDER BY env_steps DESC LIMIT ?",
            name,
            env_steps,
            count,
        )
        return [value for (value,) in rows[::-1]]

    def _rows(self, query: str, *values: int | str) -> tuple[list[str], list[tuple]]:
        try:
            cursor = self._connection.execute(query, values)
            return [column[0] for column in cursor.description], cursor.fetchall()
        except sqlite3.DatabaseError as error:
            raise RunFolderError(f"the metrics cannot be read: {error}") from error

    def close(self) -> None:
        """Close the file."""
        self._connection.close()
