import sqlite3

import numpy as np
import pytest

from frankrl.core.errors import RunFolderError
from frankrl.core.types import FinishedEpisode
from frankrl.runs import MetricsReader, MetricsWriter

TD_ERRORS = (-4.0, -2.0, -0.5, 0.0, 0.25, 1.5, 8.0)
TRAINING = (5, 2, 0.5, 1e-3, 0.25, 1.5, 2.5, 1.25, 0.75, 3.0, *TD_ERRORS, 20.0, 10.0)
UNTRAINED = (0, 0, 1.0, 1e-3, *[None] * 15)


def episode(env_steps):
    return FinishedEpisode(env_steps, env_steps % 3, env_steps // 3, env_steps / 4, 7)


def rows(*episodes, **tables):
    """Rows by the name of their table, one each, and episodes."""
    return [("episodes", row) for row in episodes] + list(tables.items())


@pytest.fixture
def path(tmp_path):
    return tmp_path / "metrics.sqlite"


@pytest.fixture
def writer(path):
    writer = MetricsWriter(path)
    yield writer
    writer.close()


def columns(path, table, **kwargs):
    reader = MetricsReader(path)
    try:
        return reader.columns(table, **kwargs)
    finally:
        reader.close()


def test_rows_come_back_as_they_were_written_in_the_order_of_env_steps(path, writer):
    writer.write(rows(episode(9), training=(200, *TRAINING), timing=(200, 1.5, 100.0)))
    writer.write(rows(episode(4), episode(5), training=(100, *UNTRAINED)))
    training = columns(path, "training")
    assert training["env_steps"].tolist() == [100, 200]
    assert [column[1] for column in training.values()] == [200, *TRAINING]
    assert [column[0] for column in training.values()] == [100, *UNTRAINED]
    assert columns(path, "timing")["seconds"].tolist() == [1.5]
    episodes = columns(path, "episodes")
    assert list(zip(*episodes.values(), strict=True)) == [episode(4), episode(5), episode(9)]


def test_numbers_keep_all_their_bits(path, writer):
    values = np.random.default_rng(0).normal(size=2)
    writer.write(rows(timing=(10**12, *map(float, values))))
    found = columns(path, "timing")
    assert found["env_steps"][0] == 10**12
    assert found["seconds"][0] == values[0]
    assert found["env_steps_per_second"][0] == values[1]


def test_evaluations_of_several_purposes_stand_side_by_side(path, writer):
    for purpose in ("progress", "solved", "progress"):
        writer.write(rows(evaluations=(100, 50, purpose, 10, 1.0, 0.5, 20.0)))
    assert sorted(columns(path, "evaluations")["purpose"]) == ["progress", "solved"]
    solved = columns(path, "evaluations", where="purpose = 'solved'")
    assert solved["mean_return"].tolist() == [1.0]


def test_a_row_that_is_there_is_replaced(path, writer):
    writer.write(rows(episode(3), timing=(10, 1.0, 1.0)))
    writer.write(rows(episode(3), timing=(10, 2.0, 1.0)))
    assert columns(path, "timing")["seconds"].tolist() == [2.0]
    assert len(columns(path, "episodes")["length"]) == 1


def test_going_back_removes_what_lies_beyond_in_every_table(path, writer):
    for step in (10, 20, 30):
        writer.write(
            rows(
                episode(step),
                training=(step, *TRAINING),
                timing=(step, 1.0, 1.0),
                evaluations=(step, 1, "progress", 1, 1.0, 1.0, 1.0),
            )
        )
    writer.write(rows(evaluations=(20, 1, "final", 1, 1.0, 1.0, 1.0)))
    writer.go_back(20)
    assert columns(path, "evaluations")["purpose"].tolist() == ["progress", "progress"]
    for table in ("training", "timing", "evaluations", "episodes"):
        assert columns(path, table)["env_steps"].tolist() == [10, 20]


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"timing": (20, "fast", 1.0)}, sqlite3.IntegrityError),
        ({"timing": (20, None, 1.0)}, sqlite3.IntegrityError),
        ({"timing": (20, 1.0)}, sqlite3.OperationalError),
    ],
)
def test_a_wrong_row_writes_nothing_at_all(path, writer, wrong, error):
    writer.write(rows(timing=(10, 1.0, 1.0)))
    with pytest.raises((error, sqlite3.ProgrammingError)):
        writer.write(rows(episode(20), **wrong))
    assert columns(path, "timing")["env_steps"].tolist() == [10]
    assert columns(path, "episodes")["env_steps"].tolist() == []
    writer.write(rows(episode(20), timing=(20, 1.0, 1.0)))
    assert columns(path, "episodes")["env_steps"].tolist() == [20]


def test_the_last_episodes_come_oldest_first(path, writer):
    writer.write(rows(*(episode(n) for n in (30, 10, 20))))
    reader = MetricsReader(path)
    assert reader.last_episodes(2, 30) == [(20 / 4, 7), (30 / 4, 7)]
    assert reader.last_episodes(100, 30) == [(10 / 4, 7), (20 / 4, 7), (30 / 4, 7)]
    assert reader.last_episodes(100, 29) == [(10 / 4, 7), (20 / 4, 7)]
    reader.close()


def test_a_reader_sees_rows_while_the_writer_is_still_open_and_can_write_none(path, writer):
    reader = MetricsReader(path)
    assert reader.columns("timing")["seconds"].tolist() == []
    writer.write(rows(timing=(10, 1.0, 1.0)))
    assert reader.columns("timing")["seconds"].tolist() == [1.0]
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        reader._connection.execute("DELETE FROM timing")
    reader.close()


def test_opening_the_file_again_keeps_what_is_there(path, writer):
    writer.write(rows(timing=(10, 1.0, 1.0)))
    again = MetricsWriter(path)
    again.write(rows(timing=(20, 1.0, 1.0)))
    again.close()
    assert columns(path, "timing")["env_steps"].tolist() == [10, 20]


def test_missing_and_damaged_files_are_run_folder_errors(path):
    with pytest.raises(RunFolderError, match=r"metrics\.sqlite"):
        MetricsReader(path)
    path.write_bytes(b"this is not a database, whatever its name says" * 100)
    with pytest.raises(RunFolderError, match="cannot be read"):
        columns(path, "timing")


@pytest.mark.parametrize(
    "alteration",
    [
        "CREATE VIEW more AS SELECT 1",
        "CREATE TABLE more (x)",
        "DROP TABLE timing",
        "ALTER TABLE timing ADD COLUMN more TEXT",
        "CREATE TRIGGER more AFTER INSERT ON timing BEGIN DELETE FROM episodes; END",
    ],
)
def test_a_file_with_other_tables_is_refused_by_whoever_opens_it(path, alteration):
    MetricsWriter(path).close()
    connection = sqlite3.connect(path)
    connection.execute(alteration)
    connection.close()
    for opened in (MetricsReader, MetricsWriter):
        with pytest.raises(RunFolderError, match="tables are not those"):
            opened(path)


def test_an_unknown_table_is_a_run_folder_error(path, writer):
    with pytest.raises(RunFolderError, match="no such table"):
        columns(path, "trainings")


def test_a_copy_holds_the_rows_so_far_in_one_file_while_they_are_written(path, writer, tmp_path):
    mark = (3, "of /a/b")
    writer.write(rows(episode(4), episode(9), not_reproducible=mark))
    copy = tmp_path / "copy.sqlite"
    reader = MetricsReader(path)
    reader.copy_to(copy, lambda reason: reason.replace("/a/", ""))
    reader.close()
    assert sorted(file.name for file in tmp_path.glob("copy*")) == ["copy.sqlite"]
    for table in ("episodes", "training"):
        for name, column in columns(path, table).items():
            np.testing.assert_array_equal(columns(copy, table)[name], column)
    assert list(columns(copy, "not_reproducible")["reason"]) == ["of b"]
    assert list(columns(path, "not_reproducible")["reason"]) == ["of /a/b"]
    with pytest.raises(RunFolderError, match="cannot be copied"):
        MetricsReader(copy).copy_to(tmp_path / "missing" / "x", str)
