"""Checkpoints of a replay buffer full of screens: bytes on disk, seconds, memory.

`python -m benchmarks checkpoints` fills a buffer with an Atari game played at random, saves a
checkpoint every 100,000 env steps, and restores the last one in a new process.
"""

import dataclasses
import json
import multiprocessing
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium
import jax
import numpy as np
import tyro
from gymnasium import spaces

from frankrl.config import Settings
from frankrl.core.types import Steps
from frankrl.environments import describe
from frankrl.replay import EndingRoom, ReplayState, with_ending_rows
from frankrl.runs import HeldChunks, load_checkpoint, save_checkpoint
from frankrl.training import Experiment
from frankrl.training.codec import BEST_FILE
from frankrl.training.replay_codec import REPLAY, most_replay_bytes, replay_from, replay_tensors

_ROUND_VECTOR_STEPS = 125
_SIDE = 84


@dataclass(frozen=True)
class Options:
    """What to measure."""

    game: str = "pong"
    """Game, by its name in ALE."""
    capacity: int = 1_000_000
    """Transitions that the buffer holds; it is filled. [transitions]"""
    played: int = 100_000
    """Env steps that are played; then the same ones come again. [env steps]"""
    every: int = 100_000
    """Interval between checkpoints. [env steps]"""
    num_envs: int = 8
    """Environments. [environments]"""
    life_loss: bool = False
    """A lost life ends an episode, so that there are more last observations."""
    repeat: int = 2
    """How often the last checkpoint is restored."""


class Screen(gymnasium.Env):
    """An environment only in name: what it shows is described, and never played."""

    observation_space = spaces.Box(0, 255, (_SIDE, _SIDE), np.uint8)
    action_space = spaces.Discrete(18)


gymnasium.register("Screen-v0", "benchmarks.checkpoints:Screen")


class _Played:
    """Rounds of a game played at random."""

    def __init__(self, options: Options) -> None:
        import ale_py.vector_env  # pyright: ignore[reportMissingImports]

        self._life_loss = options.life_loss
        self._envs = ale_py.vector_env.AtariVectorEnv(
            options.game, num_envs=options.num_envs, stack_num=1, repeat_action_probability=0.25
        )
        self._num_actions = int(self._envs.single_action_space.n)  # pyright: ignore
        self._random = np.random.default_rng(0)
        self._now, info = self._envs.reset(seed=0)
        self._lives = info["lives"]
        self.endings = 0

    def round(self) -> Steps:
        """The steps of one round."""
        seen, actions, rewards, ended = [self._now[:, 0]], [], [], []
        for _ in range(_ROUND_VECTOR_STEPS):
            action = self._random.integers(self._num_actions, size=len(self._now))
            self._now, reward, terminated, truncated, info = self._envs.step(action)
            lost = (info["lives"] < self._lives) & self._life_loss
            self._lives = info["lives"]
            seen.append(self._now[:, 0])
            actions.append(action)
            rewards.append(np.sign(reward).astype(np.float32))
            ended.append(terminated | truncated | lost)
        is_last = np.concatenate(ended)
        self.endings += int(is_last.sum())
        # The last observations are the newest ones of the same game; which ones does not matter.
        following = np.concatenate(seen[1:])
        order = np.argsort(~is_last, kind="stable")
        return Steps(
            observation=np.concatenate(seen),
            mask=None,
            action=np.concatenate(actions),
            reward=np.concatenate(rewards),
            is_last=is_last,
            terminated=is_last,
            last_observation=following[order],
            last_mask=None,
        )


def experiment_of(options: Options) -> Experiment:
    """A run with this buffer; its network is small, because it is not measured."""
    settings = Settings().with_changes(
        num_envs=options.num_envs,
        vector_steps_per_round=_ROUND_VECTOR_STEPS,
        replay_capacity=options.capacity,
        total_env_steps=10 * options.capacity,
        hidden_widths=(8,),
        n_step=3,
    )
    return Experiment.of(settings.resolved(), describe("Screen-v0", {}), 0)


def filled(options: Options, experiment: Experiment) -> Iterator[tuple[int, ReplayState]]:
    """The buffer, every time that a checkpoint is due, until it is full."""
    buffer, size = experiment.replay, experiment.settings.round_ticks
    state = jax.jit(experiment.empty_replay)()
    room, add = EndingRoom(buffer, state), jax.jit(buffer.add, donate_argnums=0)
    game = _Played(options)
    rounds = [game.round() for _ in range(options.played // size)]
    print(f"played {options.played:,} env steps with {game.endings:,} episode ends", flush=True)
    end = buffer.num_rows + options.every
    for number, env_steps in enumerate(range(size, end + 1, size)):
        steps = rounds[number % len(rounds)]
        if rows := room.grown_to(steps.is_last):
            state = with_ending_rows(state, rows)
        state = add(state, steps)
        if env_steps % options.every == 0:
            yield env_steps, jax.block_until_ready(state)


def save_all(options: Options, folder: Path) -> list[dict[str, Any]]:
    """Save every checkpoint that is due; keep the last two."""
    experiment, held = experiment_of(options), HeldChunks()
    found = []
    for env_steps, state in filled(options, experiment):
        before, _ = _memory()
        begun, computed = time.perf_counter(), time.process_time()
        tensors, chunks = replay_tensors(experiment, state)
        path = save_checkpoint(folder, env_steps, {REPLAY: tensors}, {}, chunks, held)
        seconds = time.perf_counter() - begun
        found.append(
            {
                "env_steps": env_steps,
                "seconds": round(seconds, 2),
                "cpu_seconds": round(time.process_time() - computed, 2),
                "mib": round(_size(path) / 2**20, 1),
                "tail_mib": round((path / f"{REPLAY}.safetensors").stat().st_size / 2**20, 1),
                "files": len(list(path.iterdir())),
                "memory_above_mib": round((_memory()[1] - before) / 2**20),
            }
        )
        print(json.dumps(found[-1]), flush=True)
    return found


def restore(options: Options, path: Path) -> dict[str, Any]:
    """Restore a checkpoint, and say how long it took and how much memory."""
    experiment = experiment_of(options)
    jax.block_until_ready(jax.numpy.zeros(1))
    before, _ = _memory()
    begun, computed = time.perf_counter(), time.process_time()
    loaded = load_checkpoint(path, {REPLAY: most_replay_bytes(experiment)}, optional=(BEST_FILE,))
    state = jax.block_until_ready(replay_from(loaded, experiment, int(path.name)))
    seconds = time.perf_counter() - begun
    buffer = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state))
    return {
        "restored_seconds": round(seconds, 2),
        "restored_cpu_seconds": round(time.process_time() - computed, 2),
        "buffer_mib": round(buffer / 2**20),
        "peak_above_buffer_mib": round((_memory()[1] - before - buffer) / 2**20),
    }


def _restored(options: Options, path: Path, queue: Any) -> None:
    queue.put(restore(options, path))


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.iterdir())


def _memory() -> tuple[int, int]:
    """Memory of this process now; and its peak since the last call. [bytes]"""
    status = Path("/proc/self/status").read_text()
    told = dict(line.split(":", 1) for line in status.splitlines())
    now, peak = (int(told[name].split()[0]) * 1024 for name in ("VmRSS", "VmHWM"))
    Path("/proc/self/clear_refs").write_text("5")
    return now, peak


def main(options: Options) -> None:
    """Measure, and print what was found."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "checkpoints"
        context = multiprocessing.get_context("spawn")
        saved = context.Queue()
        process = context.Process(target=_saved, args=(options, folder, saved))
        process.start()
        saved.get()
        process.join()
        path = max(folder.iterdir())
        for _ in range(options.repeat):
            queue = context.Queue()
            process = context.Process(target=_restored, args=(options, path, queue))
            process.start()
            print(json.dumps(dataclasses.asdict(options) | queue.get()), flush=True)
            process.join()


def _saved(options: Options, folder: Path, queue: Any) -> None:
    queue.put(save_all(options, folder))


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
