"""Conditions on runs and orders of lists, against plain Python on the settings themselves."""

import pytest
from dashboard_runs import make_run, write_metrics

import frankrl
from frankrl.core.errors import SettingError
from frankrl.listing.conditions import condition, ordered
from frankrl.listing.selection import Selection, selected

CHOICES = (
    {"learning_rate": 1e-3, "hidden_widths": (8,), "double": True},
    {"learning_rate": 3e-4, "max_gradient_norm": None, "n_step": 3, "double": False},
    {"learning_rate": 1e-4, "replay_sampling": "prioritised", "priority_exponent": 0.5},
    {"distribution": "qr", "num_quantiles": 20, "epsilon_decay_env_steps": 500},
)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    for seed, chosen in enumerate(CHOICES):
        run = make_run(root / f"r{seed}", seed=seed, total_env_steps=1_000, **chosen)
        if seed:
            steps = {"env_steps": [seed * 100], "mean_return_100": [-3.0 * seed]}
            write_metrics(run, training=steps)
    (root / "odd").mkdir()
    (root / "odd" / "config.toml").write_text("odd = ")
    return list(frankrl.list_runs(root))


def names(runs):
    return [run.name for run in runs]


HOLD = {
    "learning_rate>0.0003": lambda run: run.settings.learning.learning_rate > 0.0003,
    "learning_rate >= 3e-4": lambda run: run.settings.learning.learning_rate >= 3e-4,
    "learning-rate=1e-3": lambda run: run.settings.learning.learning_rate == 1e-3,
    "learning_rate==1e-3": lambda run: run.settings.learning.learning_rate == 1e-3,
    "learning_rate!=1e-3": lambda run: run.settings.learning.learning_rate != 1e-3,
    "n_step<3": lambda run: run.settings.replay.n_step < 3,
    "n_step<=3.0": lambda run: run.settings.replay.n_step <= 3,
    "double=true": lambda run: run.settings.learning.double is True,
    "hidden_widths=[8]": lambda run: run.settings.network.hidden_widths == (8,),
    "hidden_widths!=[8]": lambda run: run.settings.network.hidden_widths != (8,),
    "replay_sampling=prioritised": lambda run: run.settings.replay.replay_sampling != "uniform",
    "max_gradient_norm=none": lambda run: run.settings.learning.max_gradient_norm is None,
    "max_gradient_norm>0": lambda run: run.settings.learning.max_gradient_norm is not None,
    "seed>1": lambda run: run.seed > 1,
    "env_steps<150": lambda run: run.env_steps < 150,
    "mean_return<-3": lambda run: run.mean_return is not None and run.mean_return < -3,
    "size>0": lambda run: True,
}


@pytest.mark.parametrize(("text", "expected"), HOLD.items(), ids=HOLD)
def test_a_condition_holds_where_python_says_so(runs, text, expected):
    readable = [run for run in runs if run.settings is not None]
    held = [run for run in readable if condition(text).holds(run)]
    assert names(held) == names(filter(expected, readable))


def test_of_an_idle_setting_no_condition_holds(runs):
    for text in ("priority_exponent=0.5", "priority_exponent!=0.5", "priority_exponent>=0"):
        held = [run.name for run in runs if condition(text).holds(run)]
        assert set(held) <= {"r2"}
    # The default of an idle setting is not a value that the run has.
    assert not any(condition("num_quantiles=200").holds(run) for run in runs)


def test_of_a_run_that_cannot_be_read_no_setting_is_known(runs):
    (odd,) = [run for run in runs if run.name == "odd"]
    assert not condition("learning_rate!=7").holds(odd)


MISTAKES = {
    "gama>0.9": "nothing of a run called gama; did you mean 'gamma'",
    "final>3": "nothing of a run called final.*results: seed, env_steps",
    "learning_rate": "a condition is a name, one of = != < <= > >= and a value",
    "learning_rate>": "a condition is a name",
    ">3": "a condition is a name",
    "": "a condition is a name",
    "a b=3": "a condition is a name",
    "learning_rate>high": "learning_rate is compared with a number, got 'high'",
    "learning_rate>nan": "learning_rate is compared with a number",
    "learning_rate=-1": "learning_rate must be greater than 0",
    "n_step=1.5": "n_step must be a whole number",
    "double>0": "double is no number, so it can be compared by = and != only",
    "double=maybe": "double must be true or false",
    "replay_sampling=prioritized": "did you mean 'prioritised'",
    "hidden_widths=[8": "hidden_widths must be a list of whole numbers",
    "learning_rate>__import__('os').getpid()": "compared with a number",
    "__class__=3": "nothing of a run called __class__",
}


@pytest.mark.parametrize(("text", "words"), MISTAKES.items(), ids=MISTAKES)
def test_a_condition_that_is_none_says_what_one_is(text, words):
    with pytest.raises(SettingError, match=words):
        condition(text)


def test_texts_are_ordered_by_the_alphabet_and_numbers_from_the_largest(runs):
    assert names(ordered(runs, "run")) == ["odd", "r0", "r1", "r2", "r3"]
    assert names(ordered(runs, "run", reverse=True)) == ["r3", "r2", "r1", "r0", "odd"]
    assert names(ordered(runs, "learning_rate"))[:1] == ["r0"]
    assert names(ordered(runs, "learning-rate", reverse=True))[0] == "r2"
    assert names(ordered(runs, "env_steps"))[:3] == ["r3", "r2", "r1"]
    assert names(ordered(runs, "state"))[-1] == "odd"


@pytest.mark.parametrize("reverse", [True, False])
def test_runs_without_a_value_come_last(runs, reverse):
    order = names(ordered(runs, "mean_return", reverse=reverse))
    assert order[:3] == (["r3", "r2", "r1"] if reverse else ["r1", "r2", "r3"])
    assert set(order[3:]) == {"r0", "odd"}


def test_an_order_that_there_is_not_is_named_with_the_nearest():
    with pytest.raises(SettingError, match="final_retrun; did you mean 'final_return'"):
        ordered([], "final_retrun")


def test_what_is_wanted_is_selected_by_all_that_is_said(runs):
    assert names(selected(runs, Selection(seeds=[1, 3]))) == ["r1", "r3"]
    assert names(selected(runs, Selection(states=["unreadable"]))) == ["odd"]
    both = Selection(seeds=[1, 3], conditions=[condition("n_step=3")])
    assert names(selected(runs, both)) == ["r1"]
    assert len(selected(runs, Selection(envs=["CartPole-v1"], presets=["default"]))) == 4
    # Known names that no run has are no mistake.
    assert selected(runs, Selection(envs=["LunarLander-v3"])) == []
    assert selected(runs, Selection(presets=["rainbow"])) == []


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (Selection(envs=["CartPol-v1"]), "no environment 'CartPol-v1' here; did you mean 'CartP"),
        (Selection(presets=["defualt"]), "no preset 'defualt' here; did you mean 'default'"),
        (Selection(states=["runing"]), "no state 'runing' here; did you mean 'running'"),
    ],
)
def test_a_name_that_there_is_not_is_refused_with_the_nearest(runs, wanted, words):
    with pytest.raises(SettingError, match=words):
        selected(runs, wanted)
