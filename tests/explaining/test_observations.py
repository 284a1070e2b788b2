"""States as `frank explain` and the page show them: their parts by name and value."""

import numpy as np
import pytest
from gymnasium import spaces
from probe_envs import OBSERVATION_SPACES

from frankrl.core.types import Transition
from frankrl.environments import describe
from frankrl.environments.checked_env import CheckedEnv
from frankrl.explaining.document import Document, Section
from frankrl.explaining.html import as_html
from frankrl.explaining.observations import state_blocks
from frankrl.explaining.text import as_text
from frankrl.explaining.whole_table import WholeTable, table_document


def blocks(spec, state, after, ages=(5, 6)):
    """The blocks of one transition, given two observations as Frank stores them."""

    def batch(observation):
        if isinstance(observation, tuple):
            return tuple(np.asarray(part)[np.newaxis] for part in observation)
        return np.asarray(observation)[np.newaxis]

    zeros = np.zeros(1, np.float32)
    transition = Transition(batch(state), zeros, zeros, batch(after), zeros)
    return tuple(state_blocks(transition, 0, spec, ages))


def lines(spec, state, after, ages=(5, 6)):
    document = Document("", "", (Section("", blocks(spec, state, after, ages)),))
    return [line.strip() for line in as_text(document)[4:]]


STATES = {
    "blackjack": (
        ("Blackjack-v1", {}),
        ((14, 10, 0), (21, 10, 1)),
        [
            "s  = player 14, dealer 10, no ace",
            "s′ = player 21, dealer 10, usable ace",
        ],
    ),
    "multi_discrete": (
        ("FrankSpace-v0", {"observation": "multi_discrete"}),
        ([1, 2], [0, 0]),
        ["s  = s[0] 1, s[1] 2", "s′ = s[0] 0, s[1] 0"],
    ),
    "numbered_from_minus_one": (
        ("FrankSpace-v0", {"observation": "discrete"}),
        (0, 3),
        ["s = -1", "s′ = 2"],
    ),
    "nine_squares": (
        ("frankrl/NineSquares-v0", {}),
        (2, 5),
        ["s = 2 (row 0, column 2)", "s′ = 5 (row 1, column 2)"],
    ),
    "lake": (
        ("FrozenLake-v1", {"map_name": "8x8"}),
        (9, 63),
        ["s = 9 (row 1, column 1)", "s′ = 63 (row 7, column 7)"],
    ),
    "a_lake_of_ones_own": (
        ("FrozenLake-v1", {"desc": ["SF", "FF", "FF", "FF", "FF", "FF", "FF", "FG"]}),
        (9, 15),
        ["s = 9", "s′ = 15"],
    ),
    "cliff": (
        ("CliffWalking-v1", {}),
        (36, 47),
        ["s = 36 (row 3, column 0)", "s′ = 47 (row 3, column 11)"],
    ),
}


@pytest.mark.parametrize("case", STATES)
def test_a_numbered_state_is_shown_by_its_parts(case):
    (env_id, kwargs), states, expected = STATES[case]
    assert lines(describe(env_id, kwargs), *states) == expected


def test_a_deck_of_many_numbered_parts_is_listed_and_not_averaged(monkeypatch):
    deck = spaces.MultiDiscrete([5] * 40)
    monkeypatch.setitem(OBSERVATION_SPACES, "deck", deck)
    spec = describe("FrankSpace-v0", {"observation": "deck"})
    (before, _) = lines(spec, np.arange(40) % 5, np.zeros(40, int))
    assert before == "s  = " + ", ".join(f"s[{number}] {number % 5}" for number in range(40))


def test_a_taxis_state_agrees_with_its_own_decoding():
    spec = describe("Taxi-v4", {})
    env = CheckedEnv(spec)
    taxi = env._env.unwrapped
    stops = ("red", "green", "yellow", "blue")
    for number in (0, 137, 328, 499):
        row, column, passenger, goal = taxi.decode(number)
        waits = "in the taxi" if passenger == 4 else f"at {stops[passenger]}"
        expected = f"row {row}, column {column}, passenger {waits}, to {stops[goal]}"
        assert spec.value_name(spec.leaves[0], number) == expected
    env.close()


def test_a_page_names_the_parts_too():
    spec = describe("Blackjack-v1", {})
    shown = blocks(spec, (14, 10, 0), (21, 10, 1))
    page = as_html(Document("", "", (Section("", shown),)))
    for part in ("player", "dealer", ">14<", ">no ace<", ">usable ace<"):
        assert part in page


def test_the_rows_of_a_whole_table_say_where_their_state_is():
    spec = describe("frankrl/NineSquares-v0", {})
    document = table_document(WholeTable(np.zeros((9, 4)), None), spec, "Q-table", "")
    rows = as_text(document)
    assert any(row.strip().startswith("7 (row 2, column 1)") for row in rows)
