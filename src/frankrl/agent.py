"""A trained agent: its Q-network, and how to ask it."""

from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.vector.utils import batch_space, iterate
from jaxtyping import Bool, Float, Int, Num

from frankrl.core.errors import SettingError
from frankrl.core.random import Use, uniforms
from frankrl.environments import EnvironmentSpec
from frankrl.environments.masks import checked_mask, joined
from frankrl.experience.exploration import epsilon_greedy
from frankrl.networks import QNetwork


class Agent:
    """Acts greedily by its Q-network.

    Every method takes one observation or a batch of them, as the environment gives
    them, and answers in kind.
    """

    def __init__(self, spec: EnvironmentSpec, network: QNetwork, epsilon: float) -> None:
        """Wrap a Q-network.

        Args:
            spec: the environment that it was trained on.
            network: with NumPy leaves.
            epsilon: probability of a random action when asked to act non-deterministically.
        """
        self.spec = spec
        self.network = network
        self.epsilon = epsilon
        self._random_actions = 0

    def q_values(
        self, observation: Any, action_mask: Any = None
    ) -> Float[np.ndarray, "*batch action"]:
        """Q(s, ·), one value per action; -∞ for actions that are not allowed.

        Args:
            observation: one or a batch.
            action_mask: which actions are allowed, one mask or a batch of them. Needed where
                the environment tells it in its info (`info["action_mask"]`), and only there.

        Raises:
            SettingError: an observation or a mask is not the environment's.
        """
        q_values, single = self._rows(observation, action_mask)
        return q_values[0] if single else q_values

    def act(self, observation: Any, action_mask: Any = None) -> Int[np.ndarray, "*batch"]:
        """The action of highest Q-value, as the environment numbers it.

        Arguments and errors are those of `q_values`.
        """
        return np.argmax(self.q_values(observation, action_mask), axis=-1) + self.spec.first_action

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = True,
        action_mask: Any = None,
    ) -> tuple[Int[np.ndarray, "*batch"], Any]:
        """What `predict` of Stable-Baselines3 returns: the action, and the state as given.

        Args:
            observation: one or a batch.
            state: passed through; the network has no memory.
            episode_start: not needed.
            deterministic: if false, each action is replaced by a random one with the
                probability that ε had at the end of training.
            action_mask: as for `q_values`.
        """
        q_values, single = self._rows(observation, action_mask)
        count = len(q_values)
        epsilon, coins, choices = np.zeros((3, count))
        if not deterministic:
            epsilon = np.full(count, self.epsilon)
            coins, choices = uniforms(0, Use.PREDICTION, self._random_actions, count, width=2).T
            self._random_actions += count
        actions = epsilon_greedy(q_values, epsilon, coins, choices) + self.spec.first_action
        return (np.asarray(actions[0]) if single else actions), state

    def _rows(
        self, observation: Any, action_mask: Any
    ) -> tuple[Float[np.ndarray, "batch action"], bool]:
        """Q-values of a batch, and whether only one observation was given."""
        states, masks, single = self._parts(observation)
        spec = self.spec
        if action_mask is not None:
            if spec.masks_from != "info":
                carried = "its observations hold it" if spec.mask_size else "it has none"
                raise SettingError(f"{spec.env_id} is asked without an action_mask: {carried}")
            many = not single and np.iterable(action_mask)
            masks = list(action_mask) if many else [action_mask]
        elif spec.masks_from == "info":
            raise SettingError(
                f"{spec.env_id} tells in its info which actions are allowed: "
                'give action_mask=info["action_mask"] as well'
            )
        if spec.mask_size:
            states = joined(states, self._allowed(masks, len(states)))
        return self.network(states), single

    def _allowed(self, masks: list[Any], count: int) -> Bool[np.ndarray, "batch action"]:
        def mistake(what: str) -> SettingError:
            return SettingError(f"{what} was given to the agent of {self.spec.env_id}")

        if len(masks) != count:
            raise mistake(f"an action mask for {len(masks):,} of {count:,} observations")
        num_actions = self.spec.num_actions
        allowed = np.array([checked_mask(mask, num_actions, mistake) for mask in masks], np.bool_)
        allowed = allowed.reshape(count, num_actions)
        if not allowed.any(axis=1).all():
            raise mistake("an action mask that allows no action")
        return allowed

    def _parts(self, observation: Any) -> tuple[Num[np.ndarray, "batch *state"], list[Any], bool]:
        """States as they are stored, the masks they came with, and whether there was only one."""
        spec = self.spec
        if spec.is_array:
            array = np.asarray(observation)
            single = array.shape == spec.state_shape
            if not single and array.shape[1:] != spec.state_shape:
                raise SettingError(
                    f"an observation of {spec.env_id} has shape {spec.state_shape} and a "
                    f"batch of them one more dimension in front, got {array.shape}"
                )
            array = array[None] if single else array
            return array.astype(spec.observation_dtype), [], single
        space = spec.observation_space
        single = space.contains(observation)
        try:
            many = [observation] if single else _each(space, observation)
            encoded = [spec.encode(one, {}) for one in many]
            if any(state.shape != spec.state_shape for state, _ in encoded):
                raise ValueError
        except (TypeError, ValueError, KeyError, IndexError) as error:
            raise SettingError(
                f"an observation of {spec.env_id} must lie in {space} or be a batch of such"
            ) from error
        states = np.stack([state for state, _ in encoded])
        return states.astype(spec.observation_dtype), [mask for _, mask in encoded], single


def _each(space: spaces.Space, batch: Any) -> list[Any]:
    return list(iterate(batch_space(space, _length(batch)), batch))


def _length(batch: Any) -> int:
    """How many observations a batch holds, whatever its structure."""
    while isinstance(batch, (dict, tuple)):
        batch = next(iter(batch.values())) if isinstance(batch, dict) else batch[0]
    return len(batch)
