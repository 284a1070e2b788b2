"""The number of files that the runs of a program may hold open."""

import pytest

from frankrl.core.errors import MachineError
from frankrl.seeds.open_files import allow_open_files

resource = pytest.importorskip("resource", reason="Windows has no such limit")


@pytest.fixture
def limit(monkeypatch):
    """What the system allows, as a pair that `setrlimit` changes."""
    found = {"now": (256, 4_096)}

    def setrlimit(_, limits):
        found["now"] = limits

    monkeypatch.setattr(resource, "getrlimit", lambda _: found["now"])
    monkeypatch.setattr(resource, "setrlimit", setrlimit)
    return found


def test_a_limit_is_raised_as_far_as_needed_and_not_lowered(limit):
    allow_open_files(32)
    assert limit["now"] == (256, 4_096)
    allow_open_files(33)
    assert limit["now"] == (260, 4_096)
    allow_open_files(2)
    assert limit["now"] == (260, 4_096)
    limit["now"] = (256, resource.RLIM_INFINITY)
    allow_open_files(10_000)
    assert limit["now"][0] == 40_128


def test_too_many_seeds_are_refused_with_the_number_that_fits(limit, monkeypatch):
    with pytest.raises(MachineError, match=r"1,024 seeds .* may open 4,096: .* train 992 seeds"):
        allow_open_files(1_024)

    def refuses(*_):
        raise ValueError

    monkeypatch.setattr(resource, "setrlimit", refuses)
    with pytest.raises(
        MachineError, match=r"40 seeds .* hold 288 files .* may open 256: .* train 32 seeds"
    ):
        allow_open_files(40)
