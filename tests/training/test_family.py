"""Every switch alone, and every pair of switches: the right Q-values, or a refusal in one sentence.

The pairs are made from the table below; whoever adds a switch adds a row. The pairs are tried
several at once: each of `TOGETHER` has as many switches as go together, and every pair is in one.
"""

import itertools

import numpy as np
import pytest
from in_memory import experiment_of, greedy_policy, round_number, rounds_of
from long_forms import some_of
from robustness.runs import killed_copy
from training import masked_mdps, probe_mdps

import frankrl
from frankrl.config import Settings
from frankrl.config.presets import load_preset
from frankrl.core.errors import SettingError
from frankrl.environments import describe
from frankrl.experiments import family
from frankrl.explaining import origins
from frankrl.explaining.narrative import narrate
from frankrl.explaining.text import as_text
from frankrl.runs import RunFolder, list_checkpoints

GAMMA = 0.5
SWITCHES = {
    "double": {"double": True},
    "huber": {"loss": "huber"},
    "n_step": {"n_step": 3},
    "munchausen": {"munchausen": True},
    "soft_target": {"tau": 0.1, "target_period_updates": 1},
    "dueling": {"dueling": True},
    "layer_norm": {"layer_norm": True},
    "noisy": {"noisy": True},
    "c51": {"distribution": "c51", "num_atoms": 21, "value_min": -4.0, "value_max": 4.0},
    "qr": {"distribution": "qr", "num_quantiles": 8, "huber_delta": 0.1},
    "iqn": {"distribution": "iqn", "iqn_samples": 8, "iqn_cosines": 16, "huber_delta": 0.1},
    "average": {"polyak_window_updates": 50},
    "prioritised": {"replay_sampling": "prioritised", "priority_beta_env_steps": 250},
}
EXCLUSIVE = ("c51", "qr", "iqn")
"""Values of one setting: no pair of them can even be written down."""
REFUSED = {
    frozenset({"double", "munchausen"}): "no best one for double to pick",
    frozenset({"munchausen", "c51"}): "c51's fixed returns",
    **{frozenset({"huber", kind}): f"loss .*because distribution is {kind}" for kind in EXCLUSIVE},
}
ALLOWED = [
    pair
    for pair in itertools.combinations(SWITCHES, 2)
    if not set(pair) <= set(EXCLUSIVE) and frozenset(pair) not in REFUSED
]
FREE = [name for name in SWITCHES if not any(name in pair for pair in REFUSED)]
"""Switches that go with every other one, but for the values of one setting."""
TOGETHER = [
    (*others, *(name for name in FREE if name not in EXCLUSIVE))
    for others in (
        *itertools.product(("double", "munchausen"), ("huber",)),
        *itertools.product(("double",), EXCLUSIVE),
        *itertools.product(("munchausen",), ("qr", "iqn")),
    )
]
PROBE_ID, PROBE = f"{probe_mdps.ProbeMDP.__name__}-v0", {"length": 2}
EXPECTED = [[1 + GAMMA] * 2, [1.0, 1.0]]
"""Two steps with reward 1, then the end."""
STATES = np.arange(2, dtype=np.float32)[:, None]
MASKED_VALUES = {3: [-0.6875, 0.125, -0.5], 1: [-0.375, 0.25, -0.5]}
"""Of the three states of the masked world, by n; with n = 3 the later actions are random ones."""
SMALL = {
    "env_kwargs": PROBE,
    "hidden_widths": (32,),
    "gamma": GAMMA,
    "learning_rate": 1e-2,
    "learning_rate_end": 1e-3,
    "target_period_updates": 20,
    "epsilon_end": 1.0,
    "batch_size": 32,
    # So that the learner is compiled once: it learns from the first round on, and what the short
    # episodes arrived at fits into the buffer as it begins. Large rounds, so that few act.
    "num_envs": 16,
    "vector_steps_per_round": 3,
    "learning_starts_env_steps": 48,
    "replay_capacity": 80,
}


def chosen(*names):
    return {setting: value for name in names for setting, value in SWITCHES[name].items()}


def learned_q_values(changes, num_rounds, states, env_id=PROBE_ID, mask=None):
    settings = Settings().with_changes(**SMALL).with_changes(**changes)
    env_steps = num_rounds * settings.round_ticks
    settings = settings.with_changes(learning_rate_decay_env_steps=env_steps)
    experiment = experiment_of(env_id, settings, seed=3)
    policy = greedy_policy(experiment, round_number(experiment, num_rounds))
    return policy.q_values(states, mask).q_values


@pytest.mark.parametrize("name", some_of(SWITCHES, [*SWITCHES][::2]))
def test_each_switch_alone_learns_the_closed_form_in_textbook_order(name):
    assert_closed_form(chosen(name) | {"overlap": False})


@pytest.mark.slow
@pytest.mark.parametrize("names", TOGETHER, ids=lambda names: "+".join(names[:2]))
def test_all_switches_that_go_together_learn_the_closed_form_with_overlap(names):
    # Averaged weights lag behind, and noise dies down slowly.
    assert_closed_form(chosen(*names) | {"overlap": True}, num_rounds=60)


@pytest.mark.parametrize("pair", [sorted(pair) for pair in REFUSED], ids="+".join)
def test_every_other_pair_of_switches_is_refused(pair):
    with pytest.raises(SettingError, match=REFUSED[frozenset(pair)]):
        Settings().with_changes(**chosen(*pair))


def assert_closed_form(changes, num_rounds=15):
    # Noise has to die down before what is left of it is small.
    found = learned_q_values(changes, max(num_rounds, 36 if changes.get("noisy") else 0), STATES)
    if changes.get("noisy"):
        # Where noise explores, an action that is no better need never be tried.
        found = np.broadcast_to(found.max(axis=1, keepdims=True), found.shape)
    np.testing.assert_allclose(found, EXPECTED, atol=0.1)


MASKED = [
    *((name,) for name in ("noisy", "c51", "iqn", "prioritised")),
    ("double", "huber", "soft_target", "dueling", "layer_norm"),
    ("munchausen", "qr", "n_step", "average"),
]


@pytest.mark.parametrize(
    "names",
    [
        pytest.param(names, marks=() if names == ("prioritised",) else pytest.mark.slow)
        for names in MASKED
    ],
    ids="+".join,
)
def test_switches_let_masks_be_and_learn_the_best_of_what_is_allowed(names):
    # With three steps the values are means over random actions, of which it takes many.
    changes = chosen(*names) | {"env_kwargs": {}, "learning_rate": 5e-3, "replay_capacity": 500}
    states, allowed = np.eye(3, 4, dtype=np.float32).reshape(3, 2, 2), masked_mdps.ALLOWED == 1
    found = learned_q_values(changes, 33, states, "MaskedMDP-v0", allowed)
    np.testing.assert_array_equal(np.isfinite(found), allowed)
    best = MASKED_VALUES[changes.get("n_step", 1)]
    np.testing.assert_allclose(found.max(axis=1), best, atol=0.1)


def test_no_pair_is_forgotten():
    together = {pair for names in TOGETHER for pair in itertools.combinations(sorted(names), 2)}
    assert together == {tuple(sorted(pair)) for pair in ALLOWED}
    assert len(ALLOWED) == len(SWITCHES) * (len(SWITCHES) - 1) // 2 - 3 - len(REFUSED)


RUN = {
    "preset": "default",
    "hidden_widths": (8,),
    "num_envs": 2,
    "n_step": 3,
    "learning_starts_env_steps": 40,
    "batch_size": 8,
    "target_period_updates": 30,
    "log_every_env_steps": 50,
    "evaluate_every_env_steps": 10_000,
    "final_evaluation_episodes": 1,
    "checkpoint_every_env_steps": 100,
    "total_env_steps": 300,
    "double": False,
}


# Each switch in some of them, in turns with `overlap` and without.
RESUMED = [
    (("double", "huber", "soft_target", "layer_norm"), True),
    (("munchausen", "qr", "dueling", "average"), False),
    (("double", "iqn", "noisy", "n_step"), True),
    (("double", "c51", "prioritised", "dueling", "noisy"), False),
]


def test_each_switch_is_resumed_and_masked():
    for several in ([names for names, _ in RESUMED], MASKED):
        assert {name for names in several for name in names} == set(SWITCHES)


@pytest.mark.as_compiled_for_users
@pytest.mark.parametrize(("names", "overlap"), some_of(RESUMED, RESUMED[:1]))
def test_switches_resume_to_the_same_bits_and_are_explained(names, overlap, tmp_path):
    changes = RUN | chosen(*names) | {"overlap": overlap}
    frankrl.train("CartPole-v1", seed=2, out=tmp_path / "whole", **changes)
    frankrl.resume(killed_copy(tmp_path / "whole", tmp_path / "killed"))
    whole, killed = (
        list_checkpoints(tmp_path / part / "checkpoints")[-1] for part in ("whole", "killed")
    )
    for file in sorted(path.name for path in whole.glob("*.safetensors")):
        assert (whole / file).read_bytes() == (killed / file).read_bytes(), file

    folder = RunFolder.open(tmp_path / "whole")
    record = frankrl.explain(folder.path, update=200)
    told = (record.transition_env_steps, record.weights, record.probabilities)
    for found, drawn in zip(told, drawn_by(folder, 200), strict=True):
        np.testing.assert_array_equal(found, drawn)
    assert np.isfinite(record.losses).all()
    assert record.next_policy.sum(axis=1) == pytest.approx(1)
    settings, spec = folder.description.settings, describe("CartPole-v1", {})
    came_from = origins(folder, settings, 2, record.transition_env_steps)
    printed = "\n".join(as_text(narrate(record, came_from, 0, spec, settings, "a test's")))
    assert f"Q(s, a) = {record.chosen_q[0]:.4g}" in printed
    if record.weights is not None:
        assert "mean of weight × loss" in printed
        assert f"with probability {record.probabilities[0]:.4g}" in printed
        weight = f"{record.weights[0]:.4g}"
        assert f"importance weight, which multiplies its loss: {weight}" in printed


def drawn_by(folder, update):
    """Transitions, weights and probabilities of an update, by the run's own rounds once more."""
    settings, seed = folder.description.settings, folder.description.seed
    before = 0
    for result in rounds_of(experiment_of("CartPole-v1", settings, seed)):
        if result.updates >= update:
            row = update - before - 1
            return tuple(
                None if field is None else np.array(field[row]) for field in result.output().sample
            )
        before = result.updates
    raise AssertionError("the rounds never end")


def test_every_switch_of_the_study_is_tried_here():
    """But those that only choose another number: both lists change the same settings."""
    here = {name for changes in SWITCHES.values() for name in changes}
    study = {name for changes in family.SWITCHES.values() for name in changes}
    only_here = {
        *("num_atoms", "value_min", "value_max", "num_quantiles", "huber_delta"),
        *("iqn_samples", "iqn_cosines", "priority_beta_env_steps"),
    }
    assert here - only_here == study


def test_the_preset_is_rainbow():
    rainbow = load_preset("default").with_changes(**family.together(family.RAINBOW))
    assert load_preset("rainbow") == rainbow.with_changes(value_min=-300.0, value_max=300.0)
