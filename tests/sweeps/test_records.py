"""The records of a sweep, whose files may come from anyone."""

import dataclasses
import json

import pytest

from frankrl.core.errors import DamagedError
from frankrl.sweeps.records import (
    Dimension,
    SweepDefinition,
    Trial,
    read_definition,
    read_trial,
    read_trials,
    trial_file,
    write_definition,
    write_trial,
)

DEFINITION = SweepDefinition(
    env_id="CartPole-v1",
    preset="default",
    settings={"num_envs": 2, "hidden_widths": (16, 8)},
    space={
        "learning_rate": Dimension(1e-5, 1e-2, log=True),
        "n_step": Dimension(1, 5, step=2),
        "double": Dimension(choices=(True, False)),
        "hidden_widths": Dimension(choices=((16,), (16, 8))),
    },
    objective="final_mean",
    direction="maximize",
    trials=12,
    seeds=(100, 101),
    seed=3,
    sampler="tpe",
    pruner="",
    lag=2,
    versions={"optuna": "5.0.0"},
)
TRIAL = Trial(
    number=7,
    settings={"learning_rate": 1e-3, "n_step": 3, "double": True, "hidden_widths": (16, 8)},
    state="pruned",
    value=None,
    values=(21.5, None),
    runs=("runs/0007-s100", "runs/0007-s101"),
    intermediate=(((100, 9.0), (200, 21.5)), ((100, 8.0),)),
    reason="its mean return at env step 100 is below the median",
)


def test_records_are_read_as_they_were_written(tmp_path):
    write_definition(tmp_path, DEFINITION)
    write_trial(tmp_path, TRIAL)
    running = Trial(0, {}, "running")
    write_trial(tmp_path, running)
    assert read_definition(tmp_path) == DEFINITION
    assert read_trials(tmp_path) == ((running, TRIAL), {}, True)
    assert trial_file(tmp_path, 7).name == "0007.json"
    # Types as well: 3 and 3.0, or True and 1, are equal.
    again = read_trial(trial_file(tmp_path, 7))
    assert repr(again.settings) == repr(TRIAL.settings)


def test_a_trial_is_replaced_and_no_other_file_stays(tmp_path):
    write_trial(tmp_path, Trial(7, {}, "running"))
    write_trial(tmp_path, TRIAL)
    assert [path.name for path in (tmp_path / "trials").iterdir()] == ["0007.json"]
    assert read_trials(tmp_path).trials == (TRIAL,)


WRONG = {
    "value": ("NaN", "1e999", '"much"', "[1]", "true"),
    "state": ('"done"', "[]", "null"),
    "number": ("-1", "7.0", "true", "8", "18446744073709551616"),
    "runs": ('["../7"]', '["/etc"]', '["a/../../b"]', '[""]', '["a\\\\b"]', '["a\\u0000"]', '"a"'),
    "intermediate": ("[[[1]]]", "[[[1, 2, 3]]]", "[[[-1, 2.0]]]", "[[[1, NaN]]]", "[1]"),
    "settings": ('{"a": {"b": 1}}', "[]", '{"a": [[[[[[1]]]]]]}', '{"a": Infinity}'),
    "values": ('["x"]', "[1e999]", f"[{'1,' * 1_000}1]", "{}"),
    "reason": ("7", f'"{"x" * 1_001}"'),
}


@pytest.mark.parametrize("field", WRONG)
def test_a_field_that_no_trial_can_have_is_told_by_its_file_and_hides_no_other(tmp_path, field):
    write_trial(tmp_path, Trial(0, {}, "running"))
    write_trial(tmp_path, TRIAL)
    path = trial_file(tmp_path, 7)
    plain = json.loads(path.read_text())
    for wrong in WRONG[field]:
        others = json.dumps({name: plain[name] for name in plain if name != field})
        path.write_text(f'{others[:-1]}, "{field}": {wrong}}}')
        trials = read_trials(tmp_path)
        assert [trial.number for trial in trials.trials] == [0], wrong
        assert list(trials.damaged) == ["0007.json"]
        assert f"{path} is damaged" in trials.damaged["0007.json"]


def test_a_missing_field_is_named(tmp_path):
    write_trial(tmp_path, TRIAL)
    path = trial_file(tmp_path, 7)
    for name in dataclasses.asdict(TRIAL):
        plain = TRIAL.to_json()
        del plain[name]
        path.write_text(json.dumps(plain))
        with pytest.raises(DamagedError, match=f"{name} is missing"):
            read_trial(path)


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{", b"[" * 100_000, b"\xff", b"9" * 10_000, b'{"number": 1' * 9]
)
def test_a_file_that_is_no_record_is_damaged(tmp_path, content):
    (tmp_path / "trials").mkdir()
    trial_file(tmp_path, 7).write_bytes(content)
    (tmp_path / "sweep.json").write_bytes(content)
    assert list(read_trials(tmp_path).damaged) == ["0007.json"]
    with pytest.raises(DamagedError):
        read_definition(tmp_path)


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({"low": 2, "high": 1}, "impossible range"),
        ({"low": 0, "high": 1, "log": True}, "impossible range"),
        ({"low": 0, "high": 1, "log": 1}, "log must be"),
        ({"low": 0}, "high is missing"),
        ({"choices": []}, "no choices"),
        ([], "must be a table"),
    ],
)
def test_a_space_that_no_sweep_can_have_is_damaged(tmp_path, space, message):
    plain = DEFINITION.to_json() | {"space": {"learning_rate": space}}
    (tmp_path / "sweep.json").write_text(json.dumps(plain))
    with pytest.raises(DamagedError, match=message):
        read_definition(tmp_path)


def test_links_and_large_files_are_not_read(tmp_path):
    write_trial(tmp_path, TRIAL)
    outside = tmp_path / "outside.json"
    outside.write_text(json.dumps(Trial(1, {}, "running").to_json()))
    trial_file(tmp_path, 1).symlink_to(outside)
    with trial_file(tmp_path, 2).open("wb") as file:
        file.truncate(1 << 30)
    trials = read_trials(tmp_path)
    assert trials.trials == (TRIAL,)
    assert set(trials.damaged) == {"0001.json", "0002.json"}


def test_a_folder_without_trials_has_none(tmp_path):
    assert read_trials(tmp_path) == ((), {}, True)
