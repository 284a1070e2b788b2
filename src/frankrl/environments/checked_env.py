"""One environment, with a check of everything that it returns."""

import traceback
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import gymnasium
import numpy as np
from jaxtyping import Bool, Shaped, UInt8

from frankrl.core.errors import EnvironmentFailedError, EnvironmentUnusableError
from frankrl.core.types import FinalInfo
from frankrl.environments.encoding import checked_leaf
from frankrl.environments.final_info import final_info
from frankrl.environments.known_symmetries import MirrorDraw, declared_symmetries
from frankrl.environments.leaves import MASK_FIELD
from frankrl.environments.masks import checked_mask, mask_method
from frankrl.environments.single import close_environments, make_environment
from frankrl.environments.spec import EnvironmentSpec

_LARGEST = float(np.finfo(np.float32).max)
_MAX_SHOWN, _MAX_PARTS = 80, 8
_RESET = "(observation, info)"
_STEP = "(observation, reward, terminated, truncated, info)"


class EnvStep(NamedTuple):
    """What an environment returned for an action."""

    row: Shaped[np.ndarray, "*row"]
    """The next state."""
    reward: float
    terminated: bool
    truncated: bool
    life_lost: bool
    """Whether the step cost a life of an Atari game; false for other environments."""
    row_hash: bytes
    """`EnvironmentSpec.row_hash` of the row."""
    final_info: FinalInfo | None = None
    """At the end of an episode, the numbers that were asked for."""


class CheckedEnv:
    """One of several environments; errors name its index, episode and step.

    It returns observations as rows and takes action indices from 0, which it passes on as the
    int64 numbers of the environment's action space.
    """

    def __init__(
        self,
        spec: EnvironmentSpec,
        index: int = 0,
        render_mode: str | None = None,
        info_metrics: Sequence[str] = (),
    ) -> None:
        self.spec = spec
        self.index = index
        self._info_metrics = info_metrics
        self.episode = -1
        self.length = 0
        """Env steps of the episode so far."""
        self._env: gymnasium.Env = make_environment(
            spec.env_id, spec.env_kwargs, render_mode, spec.preprocessing, spec.wrappers
        )
        self._has_lives, self._hashes_rows = spec.preprocessing.atari is not None, spec.hashes_rows
        self._mask_method = mask_method(self._env) if spec.masks_from == "method" else None

    def reset(self, seed: int | None, episode: int) -> Shaped[np.ndarray, "*row"]:
        """Begin an episode and return its first state.

        Args:
            seed: seed of the environment's random draws; None: those of its generator go on.
            episode: number of the episode, for errors.

        Raises:
            EnvironmentFailedError: the environment raised, or returned something impossible.
        """
        self.episode, self.length = episode, 0
        try:
            returned = self._env.reset(seed=seed)
        except (Exception, SystemExit) as error:
            raise self._raised(error) from error
        if not _is_tuple(returned, 2) or not isinstance(returned[1], Mapping | None):
            raise self._returned("reset", _form(returned), _RESET)
        observation, info = returned
        return self._row(observation, info, ended=False)

    def step(self, action: int) -> EnvStep:
        """Take an action, and check what the environment returns.

        Raises:
            EnvironmentFailedError: the environment raised, or returned something impossible.
        """
        self.length += 1
        try:
            returned = self._env.step(np.int64(self.spec.first_action + action))
        except (Exception, SystemExit) as error:
            if "unpack" in str(error) and _is_of_gymnasium(error):
                raise self._returned("step", f"something else ({error})", _STEP) from error
            raise self._raised(error) from error
        if not _is_tuple(returned, 5):
            raise self._returned("step", _form(returned), _STEP)
        observation, reward, terminated, truncated, info = returned
        if type(reward) is not float:
            # The most usual one besides; `_number` takes ten times as long.
            reward = float(reward) if type(reward) is np.float64 else self._number(reward)
        # Refuses rewards that are not finite as float32, in which they are stored.
        if not -_LARGEST <= reward <= _LARGEST:
            raise self._gave(f"the reward {reward}")
        try:
            terminated, truncated = bool(terminated), bool(truncated)
        except Exception as error:  # whatever a foreign type raises
            flags = f"terminated {_short(terminated)} and truncated {_short(truncated)}"
            raise self._gave(f"{flags}, wanted true or false for each") from error
        ended = terminated or truncated
        row = self._row(observation, info, ended=ended)
        life_lost = self._has_lives and self._life_lost(info)
        row_hash = self.spec.row_hash(row) if self._hashes_rows else b""
        numbers = final_info(info, self._info_metrics) if ended else None
        return EnvStep(row, reward, terminated, truncated, life_lost, row_hash, numbers)

    @property
    def mirror_draw(self) -> MirrorDraw | None:
        """What the mirror image of the environment draws; None: it does not say."""
        return declared_symmetries(self._env).mirror_draw

    def draw_from(self, generator: Any) -> None:
        """Have the environment make its random draws with this generator."""
        self._env.unwrapped.np_random = generator

    def made_anew(self) -> "CheckedEnv":
        """Another such environment, after this one has been closed.

        Raises:
            EnvironmentUnusableError: it cannot be made.
        """
        self.close()
        return CheckedEnv(self.spec, self.index, info_metrics=self._info_metrics)

    def picture(self) -> UInt8[np.ndarray, "height width 3"]:
        """The environment's picture of its current state.

        Raises:
            EnvironmentUnusableError: it renders no picture.
        """
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                picture = self._env.render()
        except Exception as error:
            raise EnvironmentUnusableError(
                f"{self.spec.env_id} cannot be filmed: its render raised {type(error).__name__} "
                f"{' '.join(str(error).split())}"
            ) from error
        if not isinstance(picture, np.ndarray):
            raise EnvironmentUnusableError(
                f"{self.spec.env_id} cannot be filmed: its render gave {type(picture).__name__}"
            )
        if picture.ndim != 3 or picture.shape[2] < 3 or picture.dtype != np.uint8:
            raise EnvironmentUnusableError(
                f"{self.spec.env_id} cannot be filmed: its picture is {picture.dtype}"
                f"{list(picture.shape)}, wanted uint8[height, width, 3]"
            )
        return picture[:, :, :3]

    @property
    def frames_per_second(self) -> int:
        """Frames per second for films of this environment."""
        return max(1, int(self._env.metadata.get("render_fps") or 30))

    def place(self) -> str:
        """Environment, episode and step, in words."""
        return (
            f"environment {self.index} ({self.spec.env_id}), episode {self.episode}, "
            f"step {self.length}"
        )

    def close(self) -> None:
        """Close the environment; errors are ignored."""
        close_envs([self])

    def _row(self, observation: Any, info: Any, *, ended: bool) -> np.ndarray:
        spec = self.spec
        parts, mask = spec.parts(observation, info, self._gave)
        if self._mask_method is not None and not ended:
            mask = self._asked_mask(self._mask_method)
        if mask is not None and not spec.is_masked:
            raise self._gave(
                "an action mask, and its first reset gave none: it must come with every state"
            )
        if (names := spec.row_dtype.names) is None:
            return checked_leaf(spec.leaves[0], parts[0], self._gave)
        row = np.empty((), spec.row_dtype)
        for name, leaf, given in zip(names, spec.leaves, parts, strict=False):
            row[name] = checked_leaf(leaf, given, self._gave)
        if spec.is_masked:
            row[MASK_FIELD] = self._allowed(mask, ended=ended)
        return row

    def _allowed(self, mask: Any, *, ended: bool) -> Bool[np.ndarray, " action"]:
        """The checked mask; at the end of an episode it may be all 0, since no action is chosen."""
        if ended and self._mask_method is not None:
            return np.ones(self.spec.num_actions, np.bool_)
        allowed = checked_mask(mask, self.spec.num_actions, self._gave)
        if not allowed.any():
            if not ended:
                raise self._gave("an action mask that allows no action while its episode goes on")
            allowed[:] = True
        return allowed

    def _asked_mask(self, method: Callable[[], Any]) -> Any:
        try:
            return method()
        except (Exception, SystemExit) as error:
            raise self._raised(error) from error

    def _life_lost(self, info: Any) -> bool:
        """Whether the step cost a life of an Atari game."""
        if not isinstance(info, Mapping) or "life_lost" not in info:
            raise self._gave(
                "an info without life_lost; a wrapper must pass on an Atari game's own"
            )
        return bool(info["life_lost"])

    def _number(self, reward: Any) -> float:
        """The reward as a float; refused unless it is one number."""
        form = ""
        try:
            shape = np.shape(reward)
            if shape == () and not isinstance(reward, str | bytes):
                return float(reward)
            form = f" of shape {shape}" if shape else ""
        except Exception:  # whatever a foreign type raises
            pass
        raise self._gave(f"the reward {_short(reward)}{form}, wanted one number")

    def _returned(self, method: str, what: str, wanted: str) -> EnvironmentFailedError:
        """The error that a method returned something of another form."""
        return EnvironmentFailedError(f"{self.place()}: {method} returned {what}, wanted {wanted}")

    def _gave(self, what: str) -> EnvironmentFailedError:
        return EnvironmentFailedError(f"{self.place()} gave {what}")

    def _raised(self, error: BaseException) -> EnvironmentFailedError:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        text = " ".join(str(error).split())
        return EnvironmentFailedError(
            f"{self.place()} raised {type(error).__name__}: {text} "
            f"({frame.filename}:{frame.lineno})"
        )


def _is_tuple(value: Any, length: int) -> bool:
    return isinstance(value, tuple) and len(value) == length


def _form(value: Any) -> str:
    """What a value is, in words."""
    if isinstance(value, tuple | list):
        kinds = ", ".join(type(part).__name__ for part in value[:_MAX_PARTS])
        more = ", …" if len(value) > _MAX_PARTS else ""
        return f"a {type(value).__name__} of {len(value)} ({kinds}{more})"
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape}"
    return f"{_short(value)}, a {type(value).__name__}"


def _short(value: Any) -> str:
    """A value on one short line."""
    try:
        text = " ".join(repr(value).split())
    except Exception:  # whatever a foreign type raises
        return f"a value of type {type(value).__name__}"
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]} …"


def _is_of_gymnasium(error: BaseException) -> bool:
    """Whether an error comes from one of Gymnasium's own wrappers, not from an environment."""
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    return frame.f_globals.get("__name__", "").startswith("gymnasium.wrappers.")


def close_envs(envs: Iterable[CheckedEnv]) -> None:
    """Close environments; errors are ignored."""
    close_environments([env._env for env in envs])
