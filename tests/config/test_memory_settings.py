"""Settings of a memory: what they make of sequences, and what they refuse."""

import pytest

from frankrl.config import Settings
from frankrl.core.errors import SettingError
from frankrl.core.types import SequenceSpec


def changed(**changes):
    return Settings().with_changes(memory="gru", **changes)


def test_sequences_are_burn_in_and_learned_steps():
    assert Settings().sequences is None
    found = changed(sequence_steps=24, burn_in_steps=8, memory_units=16)
    assert found.sequences == SequenceSpec(8, 16, memory_units=16, priority_share=0.9)
    assert (found.update_batch_size, found.update_transitions) == (64, 64 * 16)
    assert Settings().update_transitions == 64


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"burn_in_steps": 40}, r"burn_in_steps \(40\) must be below sequence_steps \(40\)"),
        ({"algorithm": "pqn"}, "memory gru needs algorithm dqn"),
        ({"num_envs": 2, "asynchronous_actors": 2}, "no sequence could go on beyond it"),
        ({"replay_sampling": "newest"}, "use replay_sampling uniform or prioritised"),
        ({"symmetry": True}, "set symmetry to false, or memory to none"),
        ({"q_function": "table"}, "q_function is table"),
        ({"network": "own:make"}, r"memory \(gru\) changes nothing because network is own:make"),
        ({"sequence_priority_share": 0.5}, "set replay_sampling to prioritised"),
        (
            {"learning_starts_env_steps": 63, "num_envs": 2, "n_step": 3},
            r"\(sequence_steps - burn_in_steps \+ n_step - 1\) × num_envs = 64, .* got 63",
        ),
        (
            {"replay_capacity": 68, "batch_size": 8, "vector_steps_per_round": 40},
            "what sequence_steps and n_step hold back",
        ),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(changes, sentence):
    with pytest.raises(SettingError, match=sentence) as refused:
        changed(**changes)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"munchausen": True},
        {"double": True, "dueling": True, "distribution": "c51", "noisy": True},
        {"distribution": "iqn", "replay_sampling": "prioritised", "n_step": 5},
        {"frame_stack": 4, "value_rescaling": True},
        {"burn_in_steps": 0, "sequence_steps": 1},
        {"symmetry": "auto"},
    ],
)
def test_what_combines_is_allowed(changes):
    assert changed(**changes).sequences is not None


def test_munchausen_and_rescaled_values_do_not_combine():
    with pytest.raises(SettingError, match="leave one of them out"):
        Settings().with_changes(munchausen=True, value_rescaling=True)
