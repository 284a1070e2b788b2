"""A greedy episode with a run's newest checkpoint, with pictures of every step."""

import contextlib
import importlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Float, UInt8

from frankrl.core.errors import EnvironmentUnusableError
from frankrl.core.normalisation import Scales
from frankrl.core.random import Use, reset_seed
from frankrl.core.value_scale import on_value_scale
from frankrl.environments import CheckedEnv, EnvironmentSpec, FrameStack
from frankrl.environments.preprocessing import Preprocessing
from frankrl.explaining.document import Cell
from frankrl.explaining.observations import components
from frankrl.explaining.pictures import picture_leaves, side_by_side
from frankrl.explaining.png import png
from frankrl.opening import agent_of, open_network
from frankrl.runs.code import PLAYING, check_code
from frankrl.runs.folder import RunFolder

MAX_STEPS = 1_500
"""A longer episode is cut off here."""
SEEN_FROM = MAX_STEPS + 1
"""Number of the first file with what the network sees; those before are the screen's."""
_MAX_COMPONENTS = 16
_EVERY = 20


def play(
    folder: RunFolder, seed: int, out: Path, on_progress: Callable[[int, int], None]
) -> dict[str, Any]:
    """Play the episode.

    Args:
        folder: the run.
        seed: decides the initial state; training never uses the same reset seed.
        out: folder for the pictures: the screen before each step and in the last state, and
            from the number `SEEN_FROM` on, what the network sees of it, if it sees pictures.
        on_progress: called every few steps with the steps done and the most possible.

    Returns:
        Every number of the episode; per-step values as lists.

    Raises:
        FrankError: there is no usable checkpoint, or the environment fails.
    """
    opened = open_network(folder)
    agent, info, scales = agent_of(folder, opened), opened.info, opened.scales
    check_code(folder, PLAYING)
    spec, learning = agent.evaluation_spec, folder.description.settings.learning
    gamma, rescaled = learning.gamma, learning.value_rescaling
    reset = reset_seed(seed, Use.FILM_RESET, 0, 0)
    per_step: dict[str, list] = {name: [] for name in ("q_values", "actions", "rewards", "states")}
    lost_lives: list[bool] = []
    with contextlib.closing(_make_env(spec)) as env:
        observation, stack = env.reset(reset, 0), FrameStack(spec, 1)
        stack.begin([0], observation[np.newaxis])
        drawn = _draw(env, out / "0.jpg")
        _write_seen(spec, stack, out / f"{SEEN_FROM}.png")
        ended, terminated, steps, memory = False, False, 0, None
        while not ended:
            (values,), memory = agent.batch_q_values(stack.observation, stack.mask, memory=memory)
            action = int(np.argmax(values))
            per_step["q_values"].append(_finite(values))
            per_step["actions"].append(action)
            per_step["states"].append(_state(observation, spec))
            step = env.step(action)
            observation, terminated = step.row, step.terminated
            stack.push(observation[np.newaxis])
            per_step["rewards"].append(step.reward)
            lost_lives.append(step.life_lost)
            steps += 1
            ended = terminated or step.truncated or steps >= MAX_STEPS
            drawn = drawn and _draw(env, out / f"{steps}.jpg")
            _write_seen(spec, stack, out / f"{SEEN_FROM + steps}.png")
            if steps % _EVERY == 0:
                on_progress(steps, MAX_STEPS)
        per_step["states"].append(_state(observation, spec))
        frames_per_second = env.frames_per_second
    rewards, preprocessing = np.array(per_step["rewards"], np.float64), spec.preprocessing
    followed = learned_return(rewards, lost_lives, preprocessing, gamma, scales)
    return per_step | {
        "env_id": spec.env_id,
        "env_steps": info["env_steps"],
        "clock": folder.description.settings.clock,
        "seed": seed,
        "reset_seed": reset,
        "action_names": spec.action_names,
        "output_name": agent.output_name,
        "component_names": _component_names(spec)[:_MAX_COMPONENTS],
        "num_components": len(_component_names(spec)),
        "frame_stack": spec.preprocessing.frame_stack,
        "pictures": drawn,
        "seen_from": SEEN_FROM if picture_leaves(spec) else None,
        "frames_per_second": frames_per_second,
        "gamma": gamma,
        "is_whole": terminated,
        "end": _end(terminated, steps, ended_early=steps >= MAX_STEPS),
        "predicted": max(v for v in per_step["q_values"][0] if v is not None),
        "episode_return": float(rewards.sum()),
        "discounted_return": float(on_value_scale(np.array(followed), is_rescaled=rescaled)),
        "return_is_of": _in_words(preprocessing, scales, is_rescaled=rescaled),
    }


def learned_return(
    rewards: Float[np.ndarray, " step"],
    lost_lives: Sequence[bool],
    preprocessing: Preprocessing,
    gamma: float,
    scales: Scales | None = None,
) -> float:
    """The discounted return of an episode as the learner counts it, which Q predicts. [reward]

    Args:
        rewards: the environment's own.
        lost_lives: for each step, whether it cost a life.
        preprocessing: whether the learner's rewards are clipped, and a lost life is an end for it.
        gamma: γ.
        scales: how the learner's rewards are normalised; None: they are not.
    """
    if preprocessing.life_loss_terminates and any(lost_lives):
        rewards = rewards[: lost_lives.index(True) + 1]
    if preprocessing.clip_rewards:
        rewards = np.clip(rewards, -1, 1)
    if scales is not None:
        rewards = scales.of_reward(rewards)
    return float(rewards @ gamma ** np.arange(len(rewards)))


def _in_words(preprocessing: Preprocessing, scales: Scales | None, *, is_rescaled: bool) -> str:
    """What that return is of and its scale, where it is not the environment's own of the whole
    episode."""
    words = ["with rewards clipped to -1 … 1"] if preprocessing.clip_rewards else []
    if scales is not None and scales.reward is not None:
        words.append("with normalised rewards")
    if preprocessing.life_loss_terminates:
        words.append("up to the first lost life")
    if is_rescaled:
        words.append("on the scale h of value_rescaling")
    return ", ".join(words)


def _make_env(spec: EnvironmentSpec) -> CheckedEnv:
    """The environment with pictures if it has that render mode, else without."""
    try:
        return CheckedEnv(spec, render_mode="rgb_array")
    except EnvironmentUnusableError:
        return CheckedEnv(spec)


def _end(terminated: bool, steps: int, *, ended_early: bool) -> str:
    if terminated:
        return "the episode terminated"
    if ended_early:
        return f"cut off after {steps:,} steps"
    return "truncated by the time limit"


def _component_names(spec: EnvironmentSpec) -> tuple[str, ...]:
    """The names of all components but pixels, which are shown as pictures."""
    pictures = picture_leaves(spec)
    leaves = [leaf for place, leaf in enumerate(spec.leaves) if place not in pictures]
    return tuple(name for leaf in leaves for name in spec.leaf_component_names(leaf))


def _state(observation: np.ndarray, spec: EnvironmentSpec) -> list[Cell]:
    """The first of these components; numbered ones as `frank explain` has."""
    leaves = jax.tree.leaves(spec.observation(observation[np.newaxis]))
    pictures, values = picture_leaves(spec), list[Cell]()
    for place, (leaf, state) in enumerate(zip(spec.leaves, leaves, strict=True)):
        if place in pictures:
            continue
        if leaf.num_values is not None:
            values += [component.value for component in components(leaf, state[0], spec)]
        else:
            # A large leaf has too many components to name them at every step.
            values += np.ravel(state[0])[:_MAX_COMPONENTS].tolist()
    return values[:_MAX_COMPONENTS]


def _write_seen(spec: EnvironmentSpec, stack: FrameStack, path: Path) -> None:
    """Write the pictures that the network sees side by side, the oldest first; none: nothing."""
    if not (pictures := picture_leaves(spec)):
        return
    leaves = jax.tree.leaves(stack.observation)
    seen = [one for place, shown in pictures.items() for one in shown.in_colours(leaves[place][0])]
    path.write_bytes(png(side_by_side(seen)))


def _finite(values: np.ndarray) -> list[float | None]:
    """Q-values for JSON; None where the action is not allowed."""
    return [float(value) if np.isfinite(value) else None for value in values]


def _draw(env: CheckedEnv, path: Path) -> bool:
    """Write a picture of the environment; false if it draws none."""
    try:
        picture = env.picture()
    except EnvironmentUnusableError:
        return False
    _write_picture(picture, path)
    return True


def _write_picture(picture: UInt8[np.ndarray, "height width 3"], path: Path) -> None:
    # JPEG takes a tenth of the time of PNG, and an episode can have a thousand pictures.
    pygame = importlib.import_module("pygame")
    height, width = picture.shape[:2]
    pixels = np.ascontiguousarray(picture).tobytes()
    pygame.image.save(pygame.image.frombuffer(pixels, (width, height), "RGB"), str(path))
