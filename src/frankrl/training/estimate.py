"""The estimate of a policy's return from a data set alone, by fitted Q evaluation."""

import dataclasses
import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from frankrl.config import LearningSettings, Settings
from frankrl.core.errors import DivergedError, FrankError, SettingError, warn
from frankrl.core.figures import counted, figure
from frankrl.core.normalisation import Scales
from frankrl.core.numerics import own_numerics
from frankrl.core.types import Params, Transition
from frankrl.core.wording import option
from frankrl.datasets import DataSet
from frankrl.learning import (
    GreedyPolicy,
    LearnerState,
    evaluation_updates,
    init_learner,
    learning_rate_at,
)
from frankrl.networks import FeedForwardNetwork
from frankrl.replay import ReplayBuffer, ReplayState, SampleRequest
from frankrl.runs import RunFolder
from frankrl.training.data import origin_of, read_data
from frankrl.training.evaluation import interval_of_mean
from frankrl.training.opened import open_network
from frankrl.training.state import Experiment

ESTIMATE_UPDATES = 20_000
"""Updates of an estimate, unless another number is asked for."""
MAX_ESTIMATE_UPDATES = 100_000_000
UPDATES_PER_CALL = 50
"""So few that a stop is not waited for, with a large network either."""
_FITTED: dict[str, Any] = {
    "algorithm": "dqn",
    "distribution": "mean",
    "double": False,
    "munchausen": False,
    "value_rescaling": False,
    "cql_weight": 0.0,
    "noisy": False,
    "loss": "mse",
    "n_step": 1,
    "replay_sampling": "uniform",
    "batch_size": 128,
    "optimiser": "adam",
    "learning_rate": 1e-3,
    "learning_rate_end": 1e-5,
    "polyak_window_updates": None,
    "max_gradient_norm": 10.0,
    # γ to the power of the number of copies is left of the first guess, which knows nothing.
    "target_period_updates": 20,
    "tau": 1.0,
}
"""How Q of the policy is learned; the layers, γ and `bootstrap_on` are the run's."""
_MAX_LEFT = 0.01
"""Share of the first guess from which on people are told that it is left."""
_TABLE_RATE = 0.1
"""Learning rate of a Q-table, each of whose entries moves by about so much in an update."""


class EstimateStoppedError(FrankError):
    """An estimate was ended before it had its updates."""


@dataclass(frozen=True, repr=False)
class Estimate:
    """What a greedy policy is worth by fitted Q evaluation: an estimate, nothing was played.

    The interval tells how the estimated values differ from one first state to the next. It does
    not tell how wrong they are: where the data lack what the policy does, all may be.
    """

    dataset: str
    """Name of the data set."""
    values: Float[np.ndarray, " episode"]
    """Estimated Q(s, π(s)) at the first state of each episode of the data: discounted returns, of
    the environment's own rewards. [reward]"""
    data_returns: Float[np.ndarray, " episode"]
    """The discounted return of each of these episodes itself. [reward]"""
    gamma: float
    updates: int

    @property
    def left_of_first_guess(self) -> float:
        """About how much of each value is still what the network said before its first update: γ to
        the power of the number of copies of the target network."""
        return self.gamma ** (self.updates // _FITTED["target_period_updates"])

    @property
    def mean_value(self) -> float:
        """The estimated discounted return: the mean of `values`."""
        return float(np.mean(self.values))

    def summary(self) -> dict[str, Any]:
        """The estimate as JSON data, with a 95 % bootstrap interval over the first states."""
        low, high = interval_of_mean(self.values)
        return {
            "estimated_by": "fitted Q evaluation",
            "dataset": self.dataset,
            "estimated_discounted_return": self.mean_value,
            "interval_95_over_first_states": [low, high],
            "discounted_return_of_the_data": float(np.mean(self.data_returns)),
            "gamma": self.gamma,
            "episodes": len(self.values),
            "updates": self.updates,
            "left_of_first_guess": self.left_of_first_guess,
        }

    def __repr__(self) -> str:
        return "\n".join(self.lines())

    def lines(self) -> list[str]:
        """The estimate as lines of text."""
        low, high = interval_of_mean(self.values)
        shown = functools.partial(figure, spread=(high - low) / 2)
        lines = [
            f"Estimate by fitted Q evaluation on {self.dataset}, nothing was played: discounted "
            f"return {shown(self.mean_value)} (γ = {self.gamma:g}; 95 % interval over "
            f"{counted(len(self.values), 'first state')} {shown(low)} … {shown(high)})",
            f"  the data's own discounted return is {shown(float(np.mean(self.data_returns)))}; "
            "the interval holds no error of the fit, and none of what the data lack",
        ]
        left = self.left_of_first_guess
        if left > _MAX_LEFT:
            lines.append(
                f"  the fit is not done: {100 * left:.0f} % of its first guess, which knows "
                f"nothing, is left after {counted(self.updates, 'update')}: give more"
            )
        return lines


@own_numerics()
def fitted_q_evaluation(
    experiment: Experiment,
    params: Params,
    scales: Scales | None,
    dataset: DataSet,
    *,
    updates: int = ESTIMATE_UPDATES,
    seed: int = 0,
    on_update: Callable[[int, int], object] = lambda done, of: None,
) -> Estimate:
    """Estimate the discounted return of a greedy policy from a data set.

    A network with the layers of the policy's learns Q of the policy. No action is taken in any
    environment.

    Args:
        experiment: of the run that the policy is from.
        params: the policy's parameters, for greedy acting.
        scales: how observations are normalised before they get into a network; None: they are not.
        dataset: of the same observations and actions.
        updates: number of updates.
        seed: decides initial parameters and batches.
        on_update: called with the number of updates done and to do; true ends the estimate.

    Raises:
        EstimateStoppedError: `on_update` has ended it.
        SettingError: the data set does not fit, or the policy has a memory.
        MachineError: the data set does not fit into memory.
        DivergedError: the Q-values grew without bound.

    Source: Le et al. (2019), Algorithm 3, https://arxiv.org/abs/1903.08738; with a target network
    as in Voloshin et al. (2021), https://arxiv.org/abs/1911.06854.
    """
    evaluated = experiment.network
    if not isinstance(evaluated, FeedForwardNetwork):
        raise SettingError(
            "fitted Q evaluation learns the value of single states, and this agent's actions "
            "depend on what it remembers: only playing it tells what it is worth, in a run that "
            "began with the name of its environment"
        )
    fitted = _experiment(experiment, dataset, updates, seed)
    content = read_data(dataset, fitted)
    state = content.make_state(fitted)
    learning, network, replay = fitted.settings.learning, fitted.network, fitted.replay
    assert isinstance(network, FeedForwardNetwork), "it has the layers of the policy's"
    policy = GreedyPolicy(evaluated, jax.tree.map(jnp.asarray, params))
    own_rewards = None if scales is None else scales._replace(reward=None)
    learn = functools.partial(_learn, learning, network, replay, policy.network)
    learner = init_learner(learning, network, network.init(seed))
    for first in range(0, updates, UPDATES_PER_CALL):
        count = min(UPDATES_PER_CALL, updates - first)
        request = SampleRequest(first, count, 0, dataset.num_steps, 0, first)
        rate = np.float32(learning_rate_at(learning, first))
        draws = replay.sampler.draws(seed, request)
        learner, metrics = learn(policy.params, learner, state.replay, draws, own_rewards, rate)
        if not np.isfinite(np.asarray(metrics)).all():
            raise DivergedError(
                f"the estimate diverged after {counted(first, 'update')}: the data lack what the "
                "policy does, so its Q-values grow without bound"
            )
        if on_update(first + count, updates) and first + count < updates:
            raise EstimateStoppedError(f"it was stopped after {counted(first + count, 'update')}")
    ends = np.flatnonzero(content.episodes.is_last)
    starts = np.concatenate([[0], ends[:-1] + 1]).astype(np.uint32)
    assert state.replay is not None, "an offline run has its data in the buffer"
    begun = replay.read(state.replay, jnp.asarray(starts), own_rewards)
    values = network.q_values(network.layout.unflatten(learner.params), begun.observation)
    taken = policy.network.q_values(policy.params, begun.observation, begun.mask).argmax(axis=1)
    return Estimate(
        dataset=dataset.name,
        values=np.asarray(values)[np.arange(len(starts)), np.asarray(taken)],
        data_returns=_discounted(content.episodes.reward, ends, learning.gamma),
        gamma=learning.gamma,
        updates=updates,
    )


@functools.partial(jax.jit, static_argnums=(0, 1, 2, 3))
def _learn(
    settings: LearningSettings,
    network: FeedForwardNetwork,
    replay: ReplayBuffer,
    policy: FeedForwardNetwork,
    policy_params: Params,
    learner: LearnerState,
    stored: ReplayState,
    draws: Any,
    scales: Scales | None,
    learning_rate: Float[Any, ""],
) -> tuple[LearnerState, Float[Array, "update metric"]]:
    """Some updates, on batches out of the buffer; the learner after them, and their metrics."""
    _, batches = replay.sample(stored, draws, scales)
    assert isinstance(batches, Transition), "a policy with memory is refused"
    evaluated = GreedyPolicy(policy, policy_params)
    learner, output = evaluation_updates(
        settings, network, evaluated, learner, batches, learning_rate
    )
    return learner, output.metrics


def _experiment(experiment: Experiment, dataset: DataSet, updates: int, seed: int) -> Experiment:
    """The experiment in which Q is learned: the run's layers, on the data set alone."""
    spec = experiment.spec
    own = dataclasses.replace(
        spec, preprocessing=dataclasses.replace(spec.preprocessing, clip_rewards=False)
    )
    settings = _settings(experiment.settings, dataset, updates)
    return Experiment.of(settings, own, seed, origin_of(dataset))


def _settings(run: Settings, dataset: DataSet, updates: int) -> Settings:
    """The run's settings, with those of the fit."""
    alone = run.with_changes(algorithm="dqn", dataset=str(dataset.folder), demonstration_share=0.0)
    # The updates and the data are one program.
    alone = alone.with_changes(replay_device="auto")
    values, wanted = alone.values(), _FITTED | {"total_updates": updates}
    if run.network.q_function == "table":
        wanted |= {"learning_rate": _TABLE_RATE}
    # What is idle, as the distribution under a Q-table, may not be named.
    changes = {name: value for name, value in wanted.items() if values[name] != value}
    return alone.with_changes(**changes).with_changes(learning_rate_decay_updates=updates)


def _discounted(
    reward: Float[np.ndarray, " step"], ends: np.ndarray, gamma: float
) -> Float[np.ndarray, " episode"]:
    """Σ γᵗ r of each episode."""
    parts = np.split(reward.astype(np.float64), ends[:-1] + 1)
    return np.array([np.polynomial.polynomial.polyval(gamma, part) for part in parts])


def estimate_of(
    folder: RunFolder, dataset: DataSet | None, on_update: Callable[[int, int], bool]
) -> dict[str, Any] | None:
    """What a run without an environment is worth on its own data.

    Args:
        folder: the run.
        dataset: the run's data set, as this command named it. What the run folder names may be
            somebody else's word, so it is not opened.
        on_update: as for `fitted_q_evaluation`.

    Returns:
        The estimate. None, with a warning, where the data set was not named, or says nothing of the
        policy; None, too, where no estimate is wanted.
    """
    updates = folder.description.settings.evaluation.final_estimate_updates
    if updates is None:
        return None
    try:
        if dataset is None:
            raise SettingError(
                f"this command does not name its data set: give {option('dataset')} as well"
            )
        opened = open_network(folder)
        return fitted_q_evaluation(
            opened.experiment,
            opened.params,
            opened.scales,
            dataset,
            updates=updates,
            on_update=on_update,
        ).summary()
    except FrankError as error:
        warn(f"the run is not estimated from its data: {error}")
        return None
