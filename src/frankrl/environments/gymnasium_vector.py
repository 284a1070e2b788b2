"""Gymnasium's environments as a vector."""

import contextlib
import copy
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from jaxtyping import Shaped

from frankrl.core.errors import EnvironmentFailedError, EnvironmentUnusableError
from frankrl.core.random import Use, reset_seed
from frankrl.core.types import FailedEpisode
from frankrl.environments.checked_env import EnvStep
from frankrl.environments.env_group import EnvGroup, Tried, Worker, WorkerDiedError
from frankrl.environments.episode_record import EnvironmentLog, EpisodeRecord
from frankrl.environments.spec import EnvironmentSpec
from frankrl.environments.vector import EnvironmentVector, EnvSteps


class GymnasiumVector(EnvironmentVector):
    """Gymnasium's environments in a plain loop, or spread over processes.

    Unlike Gymnasium's own vector classes, it is fast for environments that take a few
    microseconds per step, gives every episode a seed of its own, and knows which environment
    failed.
    """

    def __init__(
        self,
        spec: EnvironmentSpec,
        num_envs: int,
        seed: int,
        workers: Sequence[Worker] = (),
        *,
        info_metrics: Sequence[str] = (),
        most_restarts: int = 0,
        first: int = 0,
    ) -> None:
        """Make the environments and begin the first episode of each.

        Args:
            spec: the environment.
            num_envs: number of environments.
            seed: the run's seed.
            workers: processes that step some of the environments.
            info_metrics: names of the numbers wanted from the info of an episode's last step.
            most_restarts: how often an environment that fails is made anew.
            first: index in the run of the first of them.

        Raises:
            EnvironmentFailedError: an environment fails at its first reset.
            EnvironmentUnusableError: an environment cannot be made.
        """
        super().__init__(spec, num_envs, seed, first)
        self.restarts_left = most_restarts
        """How often an environment that fails is still made anew; then its error is raised."""
        try:
            self._envs = EnvGroup(spec, num_envs, workers, info_metrics, first)
        except EnvironmentUnusableError as error:
            hint = f". If only one can exist, set num_envs ({num_envs:,}) to 1"
            raise EnvironmentUnusableError(f"{error}{hint if num_envs > 1 else ''}") from error
        self._start()

    @contextlib.contextmanager
    def lent(self) -> Iterator[EnvGroup]:
        """Lend the environments; afterwards their episodes go on, restored from their logs.

        Raises:
            EnvironmentFailedError: an environment did not come back to the same state.
        """
        logs = self.logs()
        try:
            yield self._envs
        except EnvironmentFailedError:
            raise
        except BaseException:
            self._take_back(logs)
            raise
        self._take_back(logs)

    def _take_back(self, logs: list[EnvironmentLog]) -> None:
        # A run that fails here is saved as it stood before.
        before, self._records = self._records, [copy.copy(record) for record in self._records]
        try:
            different = self.restore(logs)
        except BaseException:
            self._records = before
            raise
        if different:
            self._records = before
            raise EnvironmentFailedError(
                f"environment {different[0]} ({self.spec.env_id}) did not come back to its state "
                "after an evaluation: it must depend on its seed and the actions only; set "
                "evaluation_on to own"
            )

    def _reset_envs(
        self, indices: list[int], episodes: list[int]
    ) -> Shaped[np.ndarray, "some *row"]:
        return np.stack(self._envs.reset(indices, self._seeds(indices, episodes), episodes))

    def _step_envs(self, indices: list[int], actions: list[int]) -> EnvSteps:
        return self._joined(self._envs.step(indices, actions))

    def _seeds(self, indices: list[int], episodes: list[int]) -> list[int]:
        return [
            reset_seed(self._seed, Use.TRAINING_RESET, self.first + index, episode)
            for index, episode in zip(indices, episodes, strict=True)
        ]

    def _joined(self, steps: Sequence[EnvStep]) -> EnvSteps:
        count, spec = len(steps), self.spec
        row = np.empty((count, *spec.row_shape), spec.row_dtype)
        reward, (terminated, truncated, life_lost) = np.empty(count), np.empty((3, count), np.bool_)
        final_infos = {}
        for place, step in enumerate(steps):
            row[place], reward[place] = step.row, step.reward
            terminated[place], truncated[place] = step.terminated, step.truncated
            life_lost[place] = step.life_lost
            if step.final_info is not None:
                final_infos[place] = step.final_info
        row_hashes = [step.row_hash for step in steps]
        return EnvSteps(row, reward, terminated, truncated, life_lost, row_hashes, final_infos)

    def _stepped(self, taken: list[int], env_steps: int) -> EnvSteps:
        if not self.restarts_left:
            return self._step_envs(self._all, taken)

        def tried(indices: list[int]) -> Tried[EnvStep]:
            return self._envs.try_step(indices, [taken[index] for index in indices])

        def restart(index: int, error: EnvironmentFailedError) -> None:
            self._drop_episode(index, taken, env_steps, error)

        return self._joined(_until_done(self._all, tried, restart))

    def _first_rows(
        self, indices: list[int], env_steps: int
    ) -> tuple[Shaped[np.ndarray, "some *row"], list[int]]:
        if not self.restarts_left:
            return super()._first_rows(indices, env_steps)
        episodes = {index: self._records[index].episode + 1 for index in indices}

        def tried(indices: list[int]) -> Tried[np.ndarray]:
            numbers = [episodes[index] for index in indices]
            return self._envs.try_reset(indices, self._seeds(indices, numbers), numbers)

        def restart(index: int, error: EnvironmentFailedError) -> np.ndarray:
            row, episodes[index] = self._reset_anew(index, episodes[index], env_steps, error)
            return row

        rows = _until_done(indices, tried, restart)
        return np.stack(rows), list(episodes.values())

    def _drop_episode(
        self, index: int, taken: list[int], env_steps: int, error: EnvironmentFailedError
    ) -> None:
        """Make an environment anew whose step failed, and begin its next episode.

        The action that failed is then taken in that episode: every transition is a true one, and
        the vector still takes one step of each environment.
        """
        record = self._records[index]
        inexact = ""
        if isinstance(error, WorkerDiedError):
            inexact = f"the process of environment {self.first + index} died"
        elif self.restarts_left and not self._fails_again(index, taken[index]):
            inexact = (
                f"environment {self.first + index} failed, and did not fail again with the same "
                "seed and actions"
            )
        self._use_restart(record.episode, len(record.actions), index, env_steps, error, inexact)
        row, episode = self._begun_anew(index, record.episode + 1, env_steps)
        record.begin(episode, self.spec.fingerprint(row), record.digest())
        # A copy, because the step before has given this array away.
        self.observation = self.observation.copy()
        self.observation[index] = row
        self.stack.begin([index], row[np.newaxis])
        allowed = self.spec.action_mask(row[np.newaxis])
        if allowed is not None and not allowed[0, taken[index]]:
            taken[index] = int(np.argmax(allowed[0]))

    def _fails_again(self, index: int, action: int) -> bool:
        """Whether a new environment comes to the same state, and fails there as well."""
        record = self._records[index]
        self._records[index] = again = EpisodeRecord(record.index)
        try:
            self._envs.make_anew(index)
            row = self._reset_envs([index], [record.episode])[0]
            again.begin(record.episode, self.spec.fingerprint(row), record.earlier)
            for earlier_action in record.actions:
                self._note([index], [earlier_action], self._step_envs([index], [earlier_action]))
            self._step_envs([index], [action])
        except EnvironmentFailedError:
            return again.digest() == record.digest()
        finally:
            self._records[index] = record
        return False

    def _begun_anew(self, index: int, episode: int, env_steps: int) -> tuple[np.ndarray, int]:
        """Begin an episode in a new environment; returns its first row and its number."""
        self._envs.make_anew(index)
        try:
            return self._reset_envs([index], [episode])[0], episode
        except EnvironmentFailedError as error:
            return self._reset_anew(index, episode, env_steps, error)

    def _reset_anew(
        self, index: int, episode: int, env_steps: int, error: EnvironmentFailedError
    ) -> tuple[np.ndarray, int]:
        """Begin an episode that could not begin, in a new environment; if it cannot begin there
        either, the one after it."""
        while True:
            self._use_restart(episode, 0, index, env_steps, error, "")
            which = self.first + index
            inexact = f"environment {which} failed, and did not fail again with the same seed"
            if isinstance(error, WorkerDiedError):
                inexact = f"the process of environment {which} died"
            for number in (episode, episode + 1):
                self._envs.make_anew(index)
                try:
                    row = self._reset_envs([index], [number])[0]
                except EnvironmentFailedError as again:
                    error = again
                    continue
                if number == episode:
                    self._failed[-1] = self._failed[-1]._replace(not_exact_because=inexact)
                return row, number
            episode += 1

    def _use_restart(
        self,
        episode: int,
        length: int,
        index: int,
        env_steps: int,
        error: EnvironmentFailedError,
        inexact: str,
    ) -> None:
        """Count a failure; raises its error if there were too many."""
        if not self.restarts_left:
            raise error
        self.restarts_left -= 1
        which = self.first + index
        at = env_steps + which + 1
        self._failed.append(FailedEpisode(at, which, episode, length, str(error), inexact))

    def close(self) -> None:
        """See `EnvironmentVector.close`."""
        self._envs.close()


def _until_done(
    indices: list[int],
    tried: Callable[[list[int]], Tried[Any]],
    restart: Callable[[int, EnvironmentFailedError], Any],
) -> list[Any]:
    """What some environments returned, in their order.

    Args:
        indices: the environments.
        tried: resets or steps some of them as far as that goes.
        restart: makes one anew; returns what it returned then, or None if it is to be tried again.
    """
    found: dict[int, Any] = {}
    left = indices
    while left:
        values, failures = tried(left)
        for index, value in zip(left, values, strict=True):
            if value is not None:
                found[index] = value
        for place in sorted(failures):
            if (value := restart(left[place], failures[place])) is not None:
                found[left[place]] = value
        left = [index for index in left if index not in found]
    return [found[index] for index in indices]
