"""A trained agent: its Q-network, and how to ask it."""

from typing import Any

import numpy as np
from gymnasium.vector.utils import batch_space, iterate
from jaxtyping import Float, Int, Num

from frankrl.environments import EnvironmentSpec
from frankrl.errors import SettingError
from frankrl.networks import QNetwork
from frankrl.randomness import Use, uniforms


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

    def q_values(self, observation: Any) -> Float[np.ndarray, "*batch action"]:
        """Q(s, ·), one value per action."""
        stored, single = self._stored(observation)
        q_values = self.network(stored)
        return q_values[0] if single else q_values

    def act(self, observation: Any) -> Int[np.ndarray, "*batch"]:
        """The action of highest Q-value, as the environment numbers it."""
        return np.argmax(self.q_values(observation), axis=-1) + self.spec.first_action

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = True,
    ) -> tuple[Int[np.ndarray, "*batch"], Any]:
        """What `predict` of Stable-Baselines3 returns: the action, and the state as given.

        Args:
            observation: one or a batch.
            state: passed through; the network has no memory.
            episode_start: not needed.
            deterministic: if false, each action is replaced by a random one with the
                probability that ε had at the end of training.
        """
        action = np.asarray(self.act(observation))
        if not deterministic:
            draws = uniforms(0, Use.PREDICTION, self._random_actions, action.size, width=2)
            self._random_actions += action.size
            random = (draws[:, 1] * self.spec.num_actions).astype(action.dtype)
            random = random.reshape(action.shape) + self.spec.first_action
            action = np.where((draws[:, 0] < self.epsilon).reshape(action.shape), random, action)
        return action, state

    def _stored(self, observation: Any) -> tuple[Num[np.ndarray, "batch *obs"], bool]:
        """The observations as the network takes them, and whether there was only one."""
        spec = self.spec
        if spec.is_array:
            array = np.asarray(observation)
            single = array.shape == spec.observation_shape
            if not single and array.shape[1:] != spec.observation_shape:
                raise SettingError(
                    f"an observation of {spec.env_id} has shape {spec.observation_shape} and a "
                    f"batch of them one more dimension in front, got {array.shape}"
                )
            array = array[None] if single else array
            return array.astype(spec.observation_dtype), single
        space = spec.observation_space
        if space.contains(observation):
            return spec.encode(observation)[None].astype(spec.observation_dtype), True
        try:
            items = list(iterate(batch_space(space, _length(observation)), observation))
            encoded = [spec.encode(item) for item in items]
        except (TypeError, ValueError, KeyError, IndexError) as error:
            raise SettingError(
                f"an observation of {spec.env_id} must lie in {space} or be a batch of such"
            ) from error
        return np.stack(encoded).astype(spec.observation_dtype), False


def _length(batch: Any) -> int:
    """How many observations a batch holds, whatever its structure."""
    while isinstance(batch, (dict, tuple)):
        batch = next(iter(batch.values())) if isinstance(batch, dict) else batch[0]
    return len(batch)
