"""A trained agent: Q-values and actions for observations."""

import contextlib
import dataclasses
from typing import Any, NamedTuple

import gymnasium
import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from frankrl.config import Clock, check_code_names
from frankrl.core.errors import SettingError
from frankrl.core.figures import counted
from frankrl.core.normalisation import Scales
from frankrl.core.random import Use, uniforms
from frankrl.core.text import given
from frankrl.environments import (
    EnvironmentSpec,
    for_evaluation,
    given_again,
    make_environment,
    stacked_environment,
)
from frankrl.environments.encoding import as_array, checked_leaf
from frankrl.environments.leaves import together
from frankrl.environments.masks import checked_mask
from frankrl.experience import Policy, PolicyOutput, QValues
from frankrl.experience.exploration import epsilon_greedy
from frankrl.inline.block import html_block
from frankrl.inline.curve import learning_curve
from frankrl.inline.media import newest_film
from frankrl.runs import NO_PERMISSION, PLAYING, RunFolder, check_code, permission_of


class Trained(NamedTuple):
    """A trained Q-network."""

    policy: Policy
    """Computes with it."""
    env_steps: int
    """Where the clock of its run stood then."""
    scales: Scales | None
    """How observations are normalised before they get into it; None: they are not."""
    clock: Clock
    """What `env_steps` counts."""


class Agent:
    """Acts greedily by its Q-values.

    It takes one observation or a batch, in the form of the environment that `make_env` makes, and
    returns one result or a batch.
    """

    def __init__(
        self,
        spec: EnvironmentSpec,
        q_values: QValues,
        epsilon: float,
        run: RunFolder | None = None,
        trained: Trained | None = None,
    ) -> None:
        """Make an agent from a Q-function.

        Args:
            spec: the environment of its training.
            q_values: Q-values of a batch of observations, with action masks if the environment
                has them, and what is remembered after them.
            epsilon: probability of a random action in `predict` with `deterministic=False`.
            run: the folder that names the environment; None: the caller did.
            trained: the Q-network that computes `q_values`; None: something else does.
        """
        self.run = run
        self.trained = trained
        self.spec = spec
        self.batch_q_values = q_values
        self.epsilon = epsilon
        self._random_actions = 0

    @property
    def env_steps(self) -> int | None:
        """Env steps of its training, or updates of a run that does not act; None: not known."""
        return None if self.trained is None else self.trained.env_steps

    @property
    def output_name(self) -> str:
        """What one output of the network is called: Q-value, rescaled Q-value with
        `value_rescaling`, or logit after behaviour cloning."""
        learning = None if self.run is None else self.run.description.settings.learning
        if learning is None:
            return "Q-value"
        if learning.algorithm == "bc":
            return "logit"
        return "rescaled Q-value" if learning.value_rescaling else "Q-value"

    def __repr__(self) -> str:
        trained = "" if self.env_steps is None else f", trained for {self.trained_for()}"
        place = "" if self.run is None else f": {self.run.path}"
        return f"Agent of {self.spec.env_id}{trained}{place}"

    def _repr_html_(self) -> str:
        """The agent in a notebook, with the learning curve and the newest film of its run."""
        spec = self.spec
        space = " ".join(str(spec.observation_space).split())
        rows = [("observations", space), ("actions", ", ".join(map(str, spec.action_names)))]
        if self.env_steps is not None:
            rows.insert(0, ("trained for", self.trained_for()))
        if self.run is None:
            return html_block(f"Agent of {spec.env_id}", rows)
        run = self.run.path
        pictures = learning_curve(run), newest_film(run)
        return html_block(f"Agent of {spec.env_id}", [*rows, ("run folder", str(run))], *pictures)

    def trained_for(self) -> str:
        """How long its Q-network was trained, in words."""
        assert self.trained is not None, "only a run says for how long it trained its agent"
        return counted(self.trained.env_steps, self.trained.clock.unit)

    @property
    def memory_units(self) -> int:
        """Numbers that the agent remembers of an episode; 0 without a memory."""
        return 0 if self.trained is None else self.trained.policy.network.memory_units

    def q_values(
        self, observation: Any, action_mask: Any = None, state: Any = None
    ) -> Float[np.ndarray, "*batch action"]:
        """Q(s, ·), one value per action; -∞ for actions that are not allowed.

        After behaviour cloning (`algorithm` bc) these are logits, whose softmax is the cloned
        policy. They are no returns. With `value_rescaling` these are the network's own numbers, on
        the scale h of the setting: the best action is the same, a return is compared as h(return).
        `output_name` says what they are.

        Args:
            observation: one observation or a batch.
            action_mask: which actions are allowed, one mask or a batch. Needed if the environment
                provides it in its info (`info["action_mask"]`) or by a method, and only then.
            state: what the agent remembers from before, as `predict` returned it for the
                observation before; None: the episode begins with this one. An agent without a
                memory ignores it.

        Raises:
            SettingError: an observation, a mask or a state does not fit the agent.
        """
        found, single = self._asked(observation, action_mask, state, None)
        return found.q_values[0] if single else found.q_values

    def act(
        self, observation: Any, action_mask: Any = None, state: Any = None
    ) -> Int[np.ndarray, "*batch"]:
        """The action with the highest Q-value, by the environment's own number.

        Arguments and errors as for `q_values`.
        """
        values = self.q_values(observation, action_mask, state)
        return np.argmax(values, axis=-1) + self.spec.first_action

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = True,
        action_mask: Any = None,
    ) -> tuple[Int[np.ndarray, "*batch"], Any]:
        """The interface of Stable-Baselines3's `predict`: returns the action and the state.

        The state is what the agent remembers after the observation, an array `[*batch, units]`
        (`memory_units`): give it with the next observation. Without a memory, it is returned as it
        was given.

        Args:
            observation: one observation or a batch.
            state: as for `q_values`.
            episode_start: whether an episode begins with each observation, of which nothing is
                remembered then; one truth value or one for each. None: none begins.
            deterministic: if false, each action is replaced by a random one with the
                probability ε of the end of training.
            action_mask: as for `q_values`.

        Raises:
            SettingError: as for `q_values`; or an episode_start does not fit.
        """
        found, single = self._asked(observation, action_mask, state, episode_start)
        q_values, memory = found
        count = len(q_values)
        epsilon, coins, choices = np.zeros((3, count))
        if not deterministic:
            epsilon = np.full(count, self.epsilon)
            coins, choices = uniforms(0, Use.PREDICTION, self._random_actions, count, width=2).T
            self._random_actions += count
        actions = epsilon_greedy(q_values, epsilon, coins, choices) + self.spec.first_action
        if memory is None:
            return (np.asarray(actions[0]) if single else actions), state
        return (np.asarray(actions[0]), memory[0]) if single else (actions, memory)

    def make_env(
        self,
        render_mode: str | None = None,
        *,
        env: Any = None,
        allow_code: bool = False,
        **code: Any,
    ) -> gymnasium.Env:
        """The environment of the agent's training, with observations as the agent takes them.

        Pictures are prepared and the newest observations are stacked as in training. Rewards are
        the environment's own, not clipped, and a lost life ends no episode.

        Args:
            render_mode: as for `gymnasium.make`.
            env: as for `frankrl.resume`.
            allow_code: as for `frankrl.resume`.
            **code: objects that the run was made from, by the names of their settings.

        Raises:
            FrankError: the environment cannot be made, or not with this `render_mode`.
        """
        spec = self.allowed(env, allow_code, **code).spec
        made = make_environment(
            spec.env_id, spec.env_kwargs, render_mode, spec.preprocessing, spec.wrappers
        )
        return stacked_environment(made, spec)

    @property
    def evaluation_spec(self) -> EnvironmentSpec:
        """The environment of evaluations, which may have other arguments and wrappers."""
        if self.run is None:
            return self.spec
        return for_evaluation(self.spec, self.run.description.settings.evaluation)

    def allowed(self, env: Any = None, allow_code: bool = False, **code: Any) -> "Agent":
        """The same agent, if its environment may be made: with the objects that it is made from.

        Args:
            env: as for `frankrl.resume`.
            allow_code: as for `frankrl.resume`.
            **code: objects that the run was made from, by the names of their settings.

        Raises:
            FrankError: it may not be made.
        """
        name, again = given_again(env)
        check_code_names(code)
        permission = permission_of(name, allow_code, code)
        if self.run is None:
            return self
        earlier = self.run.permission
        chosen = earlier if permission == NO_PERMISSION else permission
        # The network that the agent was loaded with stays named.
        chosen = chosen._replace(named=(*earlier.named, *chosen.named))
        run = dataclasses.replace(self.run, permission=chosen)
        run = run.with_objects(again, code)
        check_code(run, PLAYING)
        wrappers = run.description.settings.environment.wrappers
        spec = dataclasses.replace(self.spec, env_id=run.description.env_id, wrappers=wrappers)
        return Agent(spec, self.batch_q_values, self.epsilon, run, self.trained)

    def _asked(
        self, observation: Any, action_mask: Any, state: Any, episode_start: Any
    ) -> tuple[PolicyOutput, bool]:
        """Q-values of a batch and the memory after it, and whether only one observation was
        given."""
        spec = self.spec
        parts, masks = spec.parts(observation, {}, self._wrong_observation)
        leaves, single = self._leaves(parts)
        asks = spec.masks_from in ("info", "method")
        if action_mask is not None and not asks:
            reason = "its observations hold it" if spec.is_masked else "it has none"
            raise SettingError(f"{spec.env_id} takes no action_mask: {reason}")
        if action_mask is None and asks:
            give = f'info["{spec.mask_key}"]' if spec.mask_key else "env.action_masks()"
            raise SettingError(
                f"{spec.env_id} has action masks, read from {spec.mask_place}: "
                f"give action_mask={give} as well"
            )
        allowed = None
        if spec.is_masked:
            masks = masks if spec.masks_from == "observation" else action_mask
            masks = list(masks) if not single and np.iterable(masks) else [masks]
            allowed = self._allowed(masks, len(leaves[0]))
        memory = self._memory(state, episode_start, len(leaves[0]), single=single)
        batch = together(spec.structure, leaves)
        return PolicyOutput(*self.batch_q_values(batch, allowed, memory=memory)), single

    def _memory(
        self, state: Any, episode_start: Any, count: int, *, single: bool
    ) -> Float[np.ndarray, "batch unit"] | None:
        """What is remembered from before a batch of observations; None without a memory."""
        if not (units := self.memory_units):
            return None
        memory = np.zeros((count, units), np.float32)
        if state is not None:
            shape = (units,) if single else (count, units)
            memory[:] = self._numbers("state", state, (shape,))
        if episode_start is not None:
            starts = self._numbers("episode_start", episode_start, ((count,), ()))
            if not np.isin(starts, (0, 1)).all():
                raise self._wrong(
                    f"the episode_start {given(episode_start)}; each of its values must be True or "
                    "False"
                )
            memory[np.broadcast_to(starts == 1, count)] = 0
        return memory

    def _numbers(
        self, name: str, value: Any, shapes: tuple[tuple[int, ...], ...]
    ) -> Float[np.ndarray, "*shape"]:
        """An argument as an array of finite numbers, of one of these shapes."""
        what, array = given(value), None
        with contextlib.suppress(TypeError, ValueError):
            array = np.asarray(value)
        if array is not None and array.dtype.kind in "biuf":
            if array.shape in shapes and np.isfinite(array).all():
                return array.astype(np.float32)
            what = f"of shape {array.shape}"
            if array.shape in shapes:
                what = "with values that are not finite"
        raise self._wrong(
            f"the {name} {what}; it must be None or an array of finite numbers of shape "
            f"{' or '.join(map(str, shapes))}"
        )

    def _leaves(self, parts: list[Any]) -> tuple[list[Shaped[np.ndarray, "batch *leaf"]], bool]:
        """The leaves of a batch, and whether only one observation was given."""
        mistake, leaves = self._wrong_observation, self.spec.leaves
        count = self.spec.preprocessing.frame_stack
        stack = (count,) if count > 1 else ()
        arrays = [as_array(leaf, part, mistake) for leaf, part in zip(leaves, parts, strict=True)]
        lengths = set()
        for leaf, array in zip(leaves, arrays, strict=True):
            shape = (*stack, *leaf.shape)
            if array.shape not in (shape, (*array.shape[:1], *shape)):
                entry = f"the entry {leaf.name!r} of " if leaf.name else ""
                newest = f" (the newest {count}, the oldest first)" if stack else ""
                raise SettingError(
                    f"{entry}an observation of {self.spec.env_id} has shape {shape}{newest} and a "
                    f"batch of them one more dimension in front, got {array.shape}"
                )
            lengths.add(array.shape[: array.ndim - len(shape)])
        if len(lengths) > 1:
            raise mistake("an observation with entries of different lengths")
        (batch,) = lengths
        stored = [
            checked_leaf(leaf, array, mistake, (*batch, *stack))
            for leaf, array in zip(leaves, arrays, strict=True)
        ]
        return (stored, False) if batch else ([array[None] for array in stored], True)

    def _allowed(self, masks: list[Any], count: int) -> Bool[np.ndarray, "batch action"]:
        if len(masks) != count:
            raise self._wrong(f"an action mask for {len(masks):,} of {count:,} observations")
        num_actions = self.spec.num_actions
        each = [checked_mask(mask, num_actions, self._wrong) for mask in masks]
        allowed = np.array(each, np.bool_).reshape(count, num_actions)
        if not allowed.any(axis=1).all():
            raise self._wrong("an action mask that allows no action")
        return allowed

    def _wrong(self, what: str) -> SettingError:
        return SettingError(f"the agent of {self.spec.env_id} was given {what}")

    def _wrong_observation(self, what: str) -> SettingError:
        space = " ".join(str(self.spec.observation_space).split())
        return SettingError(f"{self._wrong(what)}; its observations lie in {space}")
