"""Batches of a few short sequences, which begin and end anywhere."""

import numpy as np
from small_networks import ACTIONS, INPUTS

from frankrl.core.sequences import Sequences
from frankrl.core.types import SequenceSpec

SPEC = SequenceSpec(burn_in_steps=2, learned_steps=3, memory_units=4, priority_share=0.9)
SIZE, N_STEP, GAMMA = 5, 2, 0.9
TIME = SPEC.burn_in_steps + SPEC.learned_steps + N_STEP


def random_sequences(seed: int, *, is_masked: bool = True) -> Sequences:
    """NumPy sequences; what is not shown holds other numbers. Some end at once, others later."""
    random = np.random.default_rng(seed)
    count, after = SPEC.learned_steps, SPEC.burn_in_steps
    begin = random.integers(0, after + 1, SIZE)
    length = random.integers(1, count + N_STEP + 1, SIZE)
    length[0], begin[0], length[1] = 1, after, count + N_STEP
    step, place = np.arange(count), np.arange(TIME)
    num_steps = np.clip(length[:, None] - step, 0, N_STEP)
    belongs = num_steps > 0
    terminated = (step + num_steps == length[:, None]) & (random.random((SIZE, 1)) < 0.5)
    mask = random.random((SIZE, TIME, ACTIONS)) < 0.6
    mask[..., 0] = True
    where = belongs.astype(np.float32)
    allowed = mask[:, after : after + count] * random.random((SIZE, count, ACTIONS))
    return Sequences(
        spec=SPEC,
        observation=random.normal(size=(SIZE, TIME, INPUTS)).astype(np.float32),
        is_shown=(place >= begin[:, None]) & (place <= after + length[:, None]),
        memory=random.uniform(-1, 1, (SIZE, SPEC.memory_units)).astype(np.float32),
        mask=mask if is_masked else None,
        action=np.where(belongs, np.argmax(allowed, axis=-1), 0).astype(np.uint16),
        reward=where * random.normal(size=(SIZE, count)).astype(np.float32),
        discount=np.where(belongs & ~terminated, GAMMA**num_steps, 0).astype(np.float32),
        arrival=(after + step + num_steps).astype(np.int32),
        belongs=belongs,
    )
