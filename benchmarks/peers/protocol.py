"""What an adapter is asked, how it is timed, and how it answers.

Imported in every library's own environment, so it needs Gymnasium and NumPy alone.
"""

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import gymnasium
import numpy as np

# Stands on the standard library alone.
from frankrl.cli.clock import process_started

Act = Callable[[np.ndarray], int]
"""The greedy action for one observation."""

WARM_UP_ENV_STEPS = 2_000
LEARNING_STARTS_ENV_STEPS = 1_000
LEARNING_RATE, EPSILON, TARGET_PERIOD_UPDATES = 6.3e-4, 0.1, 250
"""Of every library where speed is measured, with γ = 0.99, one step and a mean squared error."""
_STEPS_PER_ROUND = 4
"""As in RL Zoo's LunarLander settings: four env steps, then the updates due; with more than four
environments, one step of each."""
FIRST_EVALUATION_ENV_STEPS, EVALUATION_EVERY_ENV_STEPS = 20_000, 5_000
EVALUATION_EPISODES, SOLVED_CHECK_EPISODES, HOPELESS_EPISODES = 5, 100, 25


@dataclass(frozen=True)
class Job:
    """What is measured."""

    task: str
    """`speed`, `solve`, `startup`, or `bare`."""
    env_id: str
    seed: int
    seconds: float
    """`speed`: how long to measure after the warm-up; `solve`: when to give up."""
    widths: tuple[int, ...] = (64, 64)
    batch_size: int = 64
    replay_ratio: float = 1.0
    """Updates per env step."""
    num_envs: int = 1
    """`speed`: environments stepped together."""
    capacity: int = 50_000
    """`speed`: transitions in the replay buffer."""
    env_steps: int = 100_000
    """`bare`: how many are timed."""

    @classmethod
    def given(cls) -> "Job":
        """The job on the command line."""
        told = json.loads(sys.argv[1])
        return cls(**(told | {"widths": tuple(told.get("widths", (64, 64)))}))

    @property
    def vector_steps_per_round(self) -> int:
        """Steps of all environments between updates."""
        return max(1, _STEPS_PER_ROUND // self.num_envs)

    @property
    def updates_per_round(self) -> int:
        """Updates after so many steps of all environments."""
        return round(self.vector_steps_per_round * self.num_envs * self.replay_ratio)

    @property
    def target_period_env_steps(self) -> int:
        """`TARGET_PERIOD_UPDATES`, counted in env steps."""
        return round(TARGET_PERIOD_UPDATES / self.replay_ratio)


def made(env_id: str) -> gymnasium.Env:
    """An environment, as `gymnasium.make` makes it; MinAtar's games are registered first."""
    if env_id.startswith("MinAtar/") and env_id not in gymnasium.registry:
        import minatar.gym

        minatar.gym.register_envs()
    return gymnasium.make(env_id)


@dataclass
class Speed:
    """Env steps per second once learning runs."""

    seconds: float
    startup_seconds: float | None = None
    enough: bool = False
    """Whether it has been measured long enough."""
    _begun: tuple[float, int] | None = None
    _last: tuple[float, int] | None = None

    def done(self, env_steps: int) -> bool:
        """Note where training stands; whether that is enough."""
        now = time.perf_counter()
        if self.startup_seconds is None:
            self.startup_seconds = now - process_started()
        if self._begun is None:
            if env_steps >= WARM_UP_ENV_STEPS:
                self._begun = now, env_steps
            return False
        self._last = now, env_steps
        self.enough = now - self._begun[0] >= self.seconds
        return self.enough

    def result(self) -> dict[str, Any]:
        """What was measured."""
        assert self._begun is not None
        assert self._last is not None
        steps, seconds = self._last[1] - self._begun[1], self._last[0] - self._begun[0]
        return {
            "env_steps_per_second": steps / seconds,
            "startup_seconds": self.startup_seconds,
        }


@dataclass
class StartUp:
    """Seconds from the start of the process to the end of the first round that learns.

    An adapter tells of a step before it learns from it, so the round is over at the next step.
    """

    startup_seconds: float | None = None
    _told: int = 0

    def done(self) -> bool:
        """Note that a step of all environments was made; whether a round is over."""
        self._told += 1
        if self._told < 2:
            return False
        self.startup_seconds = time.perf_counter() - process_started()
        return True

    def result(self) -> dict[str, Any]:
        """What was measured."""
        return {"startup_seconds": self.startup_seconds}


@dataclass
class Solving:
    """When a policy first reaches a mean return of the threshold over 100 fresh greedy episodes.

    Much as in Frank's preset, whose evaluations begin at 30,000: from 20,000 env steps on an
    evaluation of five episodes every 5,000 and, if it reaches the threshold, the solved check,
    which ends after 25 episodes if their mean is below the threshold. All of it counts as time.
    """

    env_id: str
    seed: int
    limit_seconds: float
    evaluations: list[tuple[float, int, float]] = field(default_factory=list)
    solved_seconds: float | None = None
    _next: int = FIRST_EVALUATION_ENV_STEPS

    def done(self, env_steps: int, act: Act) -> bool:
        """Note where training stands; whether it is solved, or the time is over."""
        if env_steps < self._next:
            return self._seconds() > self.limit_seconds
        self._next += EVALUATION_EVERY_ENV_STEPS
        spec = gymnasium.spec(self.env_id)
        assert spec.reward_threshold is not None
        env = gymnasium.make(self.env_id)
        first = 1_000_000 + 1_000 * self.seed + env_steps
        mean = float(np.mean(self._returns(env, act, first, EVALUATION_EPISODES)))
        self.evaluations.append((self._seconds(), env_steps, mean))
        if mean >= spec.reward_threshold:
            first += 500_000_000
            returns = self._returns(env, act, first, HOPELESS_EPISODES)
            if np.mean(returns) >= spec.reward_threshold:
                left = SOLVED_CHECK_EPISODES - HOPELESS_EPISODES
                returns += self._returns(env, act, first + HOPELESS_EPISODES, left)
            if len(returns) == SOLVED_CHECK_EPISODES and np.mean(returns) >= spec.reward_threshold:
                self.solved_seconds = self._seconds()
        env.close()
        return self.solved_seconds is not None or self._seconds() > self.limit_seconds

    def result(self) -> dict[str, Any]:
        """What was measured."""
        return {"solved_seconds": self.solved_seconds, "evaluations": self.evaluations}

    @staticmethod
    def _seconds() -> float:
        return time.perf_counter() - process_started()

    @staticmethod
    def _returns(env: gymnasium.Env, act: Act, first_seed: int, episodes: int) -> list[float]:
        returns = []
        for seed in range(first_seed, first_seed + episodes):
            observation, _ = env.reset(seed=seed)
            total, over = 0.0, False
            while not over:
                observation, reward, terminated, truncated, _ = env.step(act(observation))
                total += float(reward)
                over = terminated or truncated
            returns.append(total)
        return returns


Meter = Speed | StartUp | Solving


def meter(job: Job) -> Meter:
    """What measures the job."""
    if job.task == "speed":
        return Speed(job.seconds)
    if job.task == "startup":
        return StartUp()
    return Solving(job.env_id, job.seed, job.seconds)


def is_done(meter: Meter, env_steps: int, act: Act) -> bool:
    """Tell a meter where training stands; whether it has seen enough."""
    if isinstance(meter, Speed):
        return meter.done(env_steps)
    if isinstance(meter, StartUp):
        return meter.done()
    return meter.done(env_steps, act)


def answer(meter: Meter) -> None:
    """Print the result."""
    print(json.dumps(meter.result()), flush=True)
