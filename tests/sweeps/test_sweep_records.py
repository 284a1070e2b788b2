"""What those who watch a sweep read of it, whose files may come from anyone."""

import json

import pytest
from dashboard_sweeps import SPACE, add_trial, make_sweep

from frankrl.core.errors import DamagedError
from frankrl.sweeps.records import read_definition
from frankrl.sweeps.trial import Trial, read_trial, read_trials, trial_files

TRIAL = Trial(
    number=7,
    settings={"learning_rate": 1e-3, "n_step": 3, "double": True, "hidden_widths": [16, 8]},
    state="pruned",
    value=21.5,
    values=(21.5,),
    runs=("runs/0007-s100", "runs/0007-s101"),
    intermediate=(((100, 9.0), (200, 21.5)), ((100, 8.0),)),
    reason="its mean return at env step 100 is below the median",
)


def test_a_definition_is_read_as_the_sweep_wrote_it(tmp_path):
    make_sweep(tmp_path, trials=12, made=0)
    found = read_definition(tmp_path)
    assert (found.env_id, found.preset, found.fixed) == (
        "CartPole-v1",
        "default",
        {"num_envs": "2"},
    )
    assert (found.objective, found.direction) == ("final_return", "maximize")
    assert found.space == SPACE
    assert (found.seeds, found.sweep_seed, found.trials, found.lag) == ((100, 101), 100, 12, 2)


WRONG_FIELDS = {
    "env_id": (7, "x" * 1_001),
    "direction": ("upward", None),
    "seeds": ([-1], [1.5], [True], "1", [1] * 1_001),
    "trials": (-1, True, 2**64, "12"),
    "fixed": ([], {str(n): 1 for n in range(1_001)}),
    "versions": (None,),
    "space": (
        {},
        [],
        {"gamma": []},
        {"gamma": {"low": 0.9}},
        {"gamma": {"low": 0.9, "high": 0.1}},
        {"gamma": {"choices": []}},
        {"no_setting": {"low": 0, "high": 1}},
    ),
}


@pytest.mark.parametrize("name", WRONG_FIELDS)
def test_a_field_that_no_definition_can_have_is_damage(tmp_path, name):
    make_sweep(tmp_path, made=0)
    path = tmp_path / "sweep.json"
    plain = json.loads(path.read_text())
    for wrong in WRONG_FIELDS[name]:
        path.write_text(json.dumps(plain | {name: wrong}))
        with pytest.raises(DamagedError, match=r"sweep\.json is damaged"):
            read_definition(tmp_path)
    del plain[name]
    path.write_text(json.dumps(plain))
    with pytest.raises(DamagedError, match=f"{name} is missing"):
        read_definition(tmp_path)


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{", b"[" * 100_000, b"\xff", b"9" * 10_000, b'{"number": 1' * 9]
)
def test_a_file_that_is_no_record_is_damaged(tmp_path, content):
    make_sweep(tmp_path, made=1)
    (path,) = trial_files(tmp_path / "trials")
    path.write_bytes(content)
    with pytest.raises(DamagedError, match=r"0000\.json is damaged"):
        read_trial(path)
    (tmp_path / "sweep.json").write_bytes(content)
    with pytest.raises(DamagedError):
        read_definition(tmp_path)


WRONG_TRIALS = {
    "value": ("NaN", "1e999", '"much"', "[1]", "true", "null"),
    "state": ('"done"', "[]", "null"),
    "number": ("-1", "7.0", "true", "8"),
    "runs": ('["../7"]', '["/etc"]', '["runs/../../b"]', '[""]', '["a"]', '"a"', "[7]"),
    "intermediate": ("[[[1]]]", "[[[1, 2, 3]]]", "[[[1, NaN]]]", "[1]"),
    "settings": ('{"a": {"b": 1}}', "[]", '{"a": [[[[[[1]]]]]]}', '{"a": Infinity}'),
    "values": ('["x"]', "[1e999]", "{}", f"[{'9' * 400}]"),
    "reason": ("7",),
}


@pytest.mark.parametrize("name", WRONG_TRIALS)
def test_a_field_that_no_trial_can_have_is_damage(tmp_path, name):
    add_trial_in(tmp_path)
    (path,) = trial_files(tmp_path)
    plain = json.loads(path.read_text())
    for wrong in WRONG_TRIALS[name]:
        others = json.dumps({key: plain[key] for key in plain if key != name})
        path.write_text(f'{others[:-1]}, "{name}": {wrong}}}')
        with pytest.raises(DamagedError, match=r"0007\.json is damaged"):
            read_trial(path)


def add_trial_in(folder):
    from frankrl.sweeps.trial import write_trial

    write_trial(folder, TRIAL)


def test_a_trial_is_read_as_it_was_written(tmp_path):
    add_trial_in(tmp_path)
    assert read_trials(tmp_path) == {7: TRIAL}


def test_links_and_large_files_are_not_read(tmp_path):
    make_sweep(tmp_path, made=1)
    add_trial(tmp_path, TRIAL)
    outside = tmp_path / "outside.json"
    outside.write_text(json.dumps(Trial(1, {}).to_plain()))
    link, large = tmp_path / "trials" / "0001.json", tmp_path / "trials" / "0002.json"
    link.symlink_to(outside)
    with large.open("wb") as file:
        file.truncate(1 << 30)
    for path in (link, large):
        with pytest.raises(DamagedError):
            read_trial(path)
