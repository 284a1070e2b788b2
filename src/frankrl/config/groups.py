"""Every setting in its group: its name, unit, default, allowed range and the choice it belongs to.

The command line, the TOML files and the keyword arguments of `frankrl.train` are all made from
these dataclasses. Names are unique across groups, so a setting has the same short name
everywhere. A choice is declared before the settings that belong to it.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

from frankrl.config.choices import Choice, both, chosen, chosen_effectively, unless, worded
from frankrl.config.validation import Checked, code, number, option

_INT32 = 2**31 - 1
"""Largest number of updates that the learner can count."""
_MAX_CAPACITY = 2**30 - 1
"""The buffer counts its rows likewise, and has up to twice as many."""
MAX_EPISODES = 1_000_000
"""Largest number of episodes of an evaluation."""
MAX_EVALUATION_ENVS = 25
"""Largest number of environments in which an evaluation plays at the same time."""

TORSOS = ("auto", "flat", "minatar", "nature", "impala")
"""Frank's own torsos."""
OPTIMISERS = ("adam", "radam", "sgd")
"""Frank's own optimisers."""

_DATASET = unless("dataset", None)
_OFFLINE = both(worded(_DATASET, "without acting"), worded(chosen("demonstration_share", 0.0), ""))
_ACTING = (
    worded(chosen("dataset", None), "while acting"),
    worded(unless("demonstration_share", 0.0), "while acting"),
)


def _acting_and(*choices: Choice) -> tuple[Choice, ...]:
    """Any of these choices, in a run that acts."""
    return tuple(both(acting, choice) for choice in choices for acting in _ACTING)


_SEVERAL_FRAMES = unless("frame_skip", 1)
_NETWORK = chosen("q_function", "network")
_LAYERS = chosen_effectively("network", None)
_OWN_LEAVES = chosen_effectively("torso", *TORSOS)
_IMPALA = chosen("torso", "impala")
_GRU = chosen("memory", "gru")
_HIDDEN_LAYER = unless("hidden_widths", ())
_C51 = chosen("distribution", "c51")
_QR = chosen("distribution", "qr")
_IQN = chosen("distribution", "iqn")
_QUANTILES = chosen("distribution", "qr", "iqn")
_ASYNCHRONOUS = unless("asynchronous_actors", None)
_SYNCHRONOUS = chosen("asynchronous_actors", None)
_DQN = chosen("algorithm", "dqn")
_PQN = chosen("algorithm", "pqn")
_REPLAY = chosen("algorithm", "dqn", "bc")
_MEAN_Q = both(chosen("distribution", "mean"), chosen("algorithm", "dqn", "pqn"))
_EPSILON_GREEDY = _acting_and(both(chosen("noisy", False), _SYNCHRONOUS))
_ACTING_DQN = _acting_and(_DQN)
_PRIORITISED = chosen("replay_sampling", "prioritised")
_PRIORITISED_SEQUENCES = both(_PRIORITISED, _GRU)
_MUNCHAUSEN = chosen("munchausen", True)
_HUBER = chosen("loss", "huber")
_ADAM = chosen("optimiser", "adam", "radam")
_RATE_DECAYS = unless("learning_rate_end", None)
_EVALUATED = (unless("evaluate_every_env_steps", None), unless("evaluate_every_updates", None))
_EVALUATED_WHILE_ACTING = unless("evaluate_every_env_steps", None)
_NORMALIZED = chosen("normalize_observations", True)
_NORMALIZED_REWARDS = chosen("normalize_rewards", True)
_OWN_ENVS = chosen("evaluation_on", "own")


@dataclass(frozen=True)
class DataSettings(Checked):
    """What others collected before: a data set to learn from."""

    dataset: str | None = None
    """A data set of Minari's format: its folder, or its name among those on this machine. The run
    learns from it alone, without acting, and its clock counts updates. none: there is none."""
    demonstration_share: float = number(0.0, at_least=0, at_most=1, belongs_to=_DATASET)
    """Share of each batch that is drawn from the data set while the run acts and learns from its
    own steps as well (Ball et al. 2023); a whole number of transitions. 0: the run does not act.
    [ratio]"""


@dataclass(frozen=True)
class EnvironmentSettings(Checked):
    """Number of environments, and how each is made."""

    num_envs: int = number(1, at_least=1, belongs_to=_ACTING)
    """Environments stepped together; other settings keep their meaning. [environments]"""
    asynchronous_actors: int | None = number(None, at_least=1, at_most=1_024, belongs_to=_ACTING)
    """Actors that share the environments out among themselves and step them without waiting for
    the learner (Ape-X, Horgan et al. 2018). The results then depend on the order in which their
    steps arrive, which the run writes down. none: the learner waits for all environments. [actors]
    """
    env_kwargs: dict[str, Any] = field(default_factory=dict)
    """Keyword arguments for `gymnasium.make`, or for the class or function that the environment is
    made from; on the command line a JSON object."""
    wrappers: tuple[str, ...] = code(())
    """Wrappers around what `gymnasium.make` returns, `module:Wrapper`, the innermost first; in
    Python also the objects themselves. Each takes an environment and returns one."""
    action_mask: str = "auto"
    """Where the environment says which actions are allowed. auto: the entry `action_mask` or `mask`
    of a Dict observation, `info["action_mask"]`, or the method `action_masks()`; off: every action
    is always allowed; other text: the key of the entry in the observation or the info."""
    backend: Literal["gymnasium", "envpool"] = option("gymnasium", belongs_to=_ACTING)
    """Library of the training environments. EnvPool has fewer and faster ones, and needs an extra.
    Evaluations always use Gymnasium."""
    normalize_observations: bool = False
    """Whether the agent's observations are scaled to mean 0 and variance 1, by running statistics
    over all that the training has seen; of real numbers alone, not of bytes or numbered values."""
    normalize_observations_clip: float = number(10.0, above=0, belongs_to=_NORMALIZED)
    """Size to which the numbers of a normalised observation are clipped. [standard deviations]"""
    normalize_rewards: bool = False
    """Whether the learner's rewards are divided by the standard deviation of discounted returns, by
    running statistics likewise. Returns of episodes stay those of the environment."""
    normalize_rewards_clip: float = number(10.0, above=0, belongs_to=_NORMALIZED_REWARDS)
    """Size to which normalised rewards are clipped. [standard deviations]"""
    normalize_epsilon: float = number(1e-8, above=0, belongs_to=(_NORMALIZED, _NORMALIZED_REWARDS))
    """Added to the variances. [squared units]"""
    source: Literal["auto", "host", "device"] = option("auto", belongs_to=_ACTING)
    """Where the environments are stepped. device: a functional environment, in one compiled program
    with acting and learning; host: one action at a time, as all others. auto: device where the
    environment is functional and no other setting needs the host."""
    worker_processes: int | None = number(None, at_least=0, at_most=256)
    """Worker processes that step environments; they do not change results. None: chosen from the
    number of processors and the time of a step. [processes]"""
    restart_failed_envs: int = number(0, at_least=0, at_most=1_000, belongs_to=_ACTING)
    """Failures in the whole run after which a training environment is made anew and its episode
    dropped; the next failure ends the run. [failures]"""
    info_metrics: tuple[str, ...] = option((), belongs_to=_ACTING)
    """Names of numbers in the `info` of an episode's last step that are recorded, in addition to
    `is_success`."""


@dataclass(frozen=True)
class PixelSettings(Checked):
    """How pictures are prepared and stacked before the agent sees them."""

    frame_stack: int | None = number(None, at_least=1, at_most=64)
    """Newest observations of an episode that the network gets together; zeros stand before its
    first, and of numbered values the first one. The replay buffer stores each once. none: 4 for
    Atari games, 1 for others. [observations]"""
    resize: int | None = number(None, at_least=8, at_most=512)
    """Height and width to which a picture is resized by averaging over areas; none: 84 for Atari
    games, unchanged for others. Refused where an observation is not one picture. [pixels]"""
    grayscale: Literal["auto", "on", "off"] = "auto"
    """Whether a picture is turned to grey, before it is resized; auto: those of Atari games."""
    clip_rewards: Literal["auto", "on", "off"] = "auto"
    """Whether the learner's rewards are clipped to -1 … 1; returns of episodes never are. auto:
    those of Atari games (Mnih et al. 2015)."""


@dataclass(frozen=True)
class AtariSettings(Checked):
    """Atari games, `ALE/…`; the defaults follow the advice of Machado et al. (2018) on sticky
    actions, ends and actions."""

    frame_skip: int = number(4, at_least=1, at_most=64)
    """Frames that each action lasts, of 60 a second; their rewards are summed. [frames]"""
    max_pool: bool = option(True, belongs_to=_SEVERAL_FRAMES)
    """Whether an observation is the brighter of an action's last two frames, pixel by pixel: some
    games draw a thing only in every second frame."""
    sticky_actions: float = number(0.25, at_least=0, at_most=1)
    """Probability that a frame repeats the action of the frame before it, whatever is chosen.
    [probability]"""
    noop_max: int = number(0, at_least=0, at_most=1_000)
    """An episode begins with a random number of frames without action, from 0 to this one.
    [frames]"""
    fire_reset: bool = False
    """Whether an episode begins with the action FIRE in the games that use it; some wait for it."""
    life_loss_terminates: bool = False
    """Whether a lost life counts as termination for the learner; the game and its score go on."""
    full_action_set: bool = True
    """Whether all actions of the joystick can be taken, 18 in most games, or only those that the
    game uses."""
    game_time_limit: int = number(27_000, at_least=1)
    """Actions after which an episode is truncated. [env steps]"""


@dataclass(frozen=True)
class NetworkSettings(Checked):
    """The Q-network, or Q-table: observation → one Q-value per action."""

    q_function: Literal["network", "table"] = "network"
    """A Q-network, or a Q-table with a row for each state, for environments with numbered
    states."""
    network: str | None = code(None, belongs_to=_NETWORK)
    """A network of your own, `module:attribute`, or in Python the object: `init(key, spec)` and
    `apply(params, observation)`, or a function `make(spec)` that gives both; none: Frank's
    layers."""
    torso: str = code("auto", among=TORSOS, belongs_to=_LAYERS)
    """How pictures become features: `nature`, the three convolutions of Mnih et al. (2015);
    `minatar`, the single one of Young & Tian (2019); `impala`, the residual network of Espeholt et
    al. (2018); or flat, pixel by pixel. auto: by the size of the picture, nature from 36 × 36
    pixels, minatar from 8 × 8. Or one of your own, given as `network` is, from whole
    observations to features."""
    impala_width: int = number(1, at_least=1, at_most=64, belongs_to=_IMPALA)
    """Factor of the channels 16, 32 and 32 of the residual network. [ratio]"""
    memory: Literal["none", "gru"] = option("none", belongs_to=_LAYERS)
    """What the network remembers of the episode's earlier observations: nothing, or the state of a
    gated recurrent unit (GRU, Cho et al. 2014) between the torso and the hidden layers. It then
    learns from sequences (R2D2, Kapturowski et al. 2019)."""
    memory_units: int = number(128, at_least=1, belongs_to=_GRU)
    """Numbers that the network remembers of an episode. [units]"""
    hidden_widths: tuple[int, ...] = number((64, 64), at_least=1, belongs_to=_LAYERS)
    """Width of each hidden layer. [neurons]"""
    activation: Literal["relu", "tanh", "elu", "silu"] = option("relu", belongs_to=_HIDDEN_LAYER)
    """Non-linearity after each hidden layer."""
    scale_observation: bool = option(False, belongs_to=_OWN_LEAVES)
    """Scale every component of an observation with known bounds to -1 … 1."""
    layer_norm: bool = option(False, belongs_to=_HIDDEN_LAYER)
    """Normalise each hidden layer before its activation (Ba et al. 2016)."""
    dueling: bool = option(False, belongs_to=_LAYERS)
    """Estimate the state value and the advantage of each action separately (Wang et al. 2016)."""
    symmetry: Literal["auto", True, False] = option(False, belongs_to=_NETWORK)
    """Give mirror images of a state mirror images of its Q-values, by averaging over the
    symmetries that the environment declares (van der Pol et al. 2020). auto: where it declares
    any and they hold; true: a run without one that holds is refused."""
    distribution: Literal["mean", "c51", "qr", "iqn"] = option("mean", belongs_to=_NETWORK)
    """What is learned about the return: only its mean, or its distribution as probabilities of
    fixed returns (C51, Bellemare et al. 2017), as quantiles at fixed fractions (QR-DQN, Dabney et
    al. 2018), or as quantiles at any fraction (IQN, Dabney et al. 2018)."""
    num_atoms: int = number(51, at_least=2, belongs_to=_C51)
    """Number of fixed returns. [atoms]"""
    value_min: float = number(-10.0, at_least=-1e30, at_most=1e30, belongs_to=_C51)
    """Lowest of the fixed returns. [reward]"""
    value_max: float = number(10.0, at_least=-1e30, at_most=1e30, belongs_to=_C51)
    """Highest of the fixed returns. [reward]"""
    num_quantiles: int = number(51, at_least=1, belongs_to=_QR)
    """Number of predicted quantiles. [quantiles]"""
    iqn_cosines: int = number(64, at_least=1, belongs_to=_IQN)
    """Number of cosines that embed a fraction. [cosines]"""
    iqn_acting_fractions: int = number(32, at_least=1, at_most=1_000_000, belongs_to=_IQN)
    """Number of fractions whose quantiles are averaged for a Q-value. [fractions]"""


@dataclass(frozen=True)
class ExplorationSettings(Checked):
    """ε-greedy: with probability ε a random action, otherwise the greedy one."""

    noisy: bool = option(False, belongs_to=_LAYERS)
    """Explore by learned noise in the network's weights instead of ε, which is then 0 (Fortunato
    et al. 2018)."""
    epsilon_start: float = number(1.0, at_least=0, at_most=1, belongs_to=_EPSILON_GREEDY)
    """ε before the first env step. [probability]"""
    epsilon_end: float = number(0.05, at_least=0, at_most=1, belongs_to=_EPSILON_GREEDY)
    """ε after the decay. [probability]"""
    epsilon_decay_env_steps: int = number(10_000, at_least=0, belongs_to=_EPSILON_GREEDY)
    """Duration of the linear decay, from the start of the run. [env steps]"""
    ladder_epsilon: float = number(0.4, at_least=0, at_most=1, belongs_to=_ASYNCHRONOUS)
    """ε of the first environment, for the whole run. [probability]"""
    ladder_exponent: float = number(7.0, at_least=0, at_most=1_000, belongs_to=_ASYNCHRONOUS)
    """α: environment i of N explores with ladder_epsilon to the power 1 + α · i / (N - 1).
    [exponent]"""


@dataclass(frozen=True)
class LearningSettings(Checked):
    """Algorithm, target, loss and optimiser of one update."""

    algorithm: Literal["dqn", "pqn", "bc"] = "dqn"
    """dqn: Deep Q-Networks, with replay buffer and target network. pqn: parallelised Q-networks
    (Gallici et al. 2024), which have neither: each round's steps are learned from once they are
    done, with λ-returns by the Q-network itself, and dropped; for functional environments. bc:
    behaviour cloning (Pomerleau 1991), which imitates the actions of a data set: the outputs are
    logits of a policy, not Q-values."""
    trace_decay: float = number(0.65, at_least=0, at_most=1, belongs_to=_PQN)
    """λ: how much of a target are the rewards that followed, instead of the Q-network's estimate;
    0 is the notes' target, 1 the return up to the end of the round. [ratio]"""
    epochs_per_round: int = number(1, at_least=1, at_most=1_000, belongs_to=_PQN)
    """How often a round's steps are learned from, in a new random order each time. [epochs]"""
    minibatches: int = number(1, at_least=1, belongs_to=_PQN)
    """Equal parts of a round's steps, with one update each; they divide num_envs ×
    vector_steps_per_round. [minibatches per epoch]"""
    gamma: float = number(0.99, at_least=0, at_most=1)
    """Discount γ per env step. [ratio]"""
    bootstrap_on: Literal["truncation", "never", "always"] = "truncation"
    """At which ends of an episode the target bootstraps from the value of the last state. Only
    `truncation` is right; the other two are common mistakes whose effect can be measured: `never`
    treats a time limit as a terminal state, `always` ignores terminal states."""
    double: bool = option(False, belongs_to=_DQN)
    """Double DQN: the Q-network picks the next action, the target network evaluates it."""
    munchausen: bool = option(False, belongs_to=_DQN)
    """Add the log-probability of the action taken to its reward, by the softmax of the target
    network's Q-values (Vieillard et al. 2020)."""
    munchausen_scale: float = number(0.9, at_least=0, at_most=1, belongs_to=_MUNCHAUSEN)
    """Share of the log-probability that is added. [ratio]"""
    munchausen_temperature: float = number(0.03, above=0, belongs_to=_MUNCHAUSEN)
    """Temperature of the softmax. [reward]"""
    munchausen_floor: float = number(-1.0, at_most=0, belongs_to=_MUNCHAUSEN)
    """Lower bound of the log-probability times the temperature. [reward]"""
    cql_weight: float = number(0.0, at_least=0, belongs_to=_DQN)
    """α of conservative Q-learning (Kumar et al. 2020): to each loss it adds α times
    log Σ_a exp(Q(s, a)) - Q(s, a), so that actions which the data lacks are not overrated; 0 adds
    nothing. [loss]"""
    value_rescaling: bool = option(False, belongs_to=_DQN)
    """Learn returns on a scale that compresses large ones, h(x) = sign(x) (√(|x| + 1) - 1) +
    0.001 x, so that rewards of all sizes need no clipping (Pohlen et al. 2018). Q-values, losses
    and TD errors are then on this scale."""
    iqn_samples: int = number(8, at_least=1, belongs_to=_IQN)
    """Fractions sampled per transition, for Q(s, a) and for the target each. [fractions]"""
    loss: Literal["mse", "huber"] = option("mse", belongs_to=_MEAN_Q)
    """Squared TD error, or Huber loss: squared up to `huber_delta`, then linear."""
    huber_delta: float = number(1.0, above=0, belongs_to=(_HUBER, _QUANTILES))
    """|TD error| above which the Huber loss and the quantile losses are linear. [reward]"""
    target_period_updates: int = number(10_000, at_least=1, at_most=_INT32, belongs_to=_DQN)
    """Interval between refreshes of the target network from the Q-network. [updates]"""
    tau: float = number(1.0, above=0, at_most=1, belongs_to=_DQN)
    """Step of a refresh: 1 copies the Q-network; a small value with `target_period_updates` 1 is
    a soft update (Lillicrap et al. 2016). [ratio]"""
    optimiser: str = code("adam", among=OPTIMISERS)
    """Adam, rectified Adam (Liu et al. 2020) or plain gradient descent. Or one of your own,
    `module:attribute` or the object: a function of the learning rate that gives an Optax optimiser,
    such as `optax:adamw`, or such an optimiser, which has its own learning rate."""
    learning_rate: float = number(1e-3, above=0)
    """Initial step size of the optimiser. [per update]"""
    learning_rate_end: float | None = number(None, above=0)
    """Step size after its linear decay; none: constant. [per update]"""
    learning_rate_decay_env_steps: int | None = number(
        None, at_least=1, belongs_to=_acting_and(_RATE_DECAYS)
    )
    """Duration of the learning rate's linear decay; none: `total_env_steps`. [env steps]"""
    learning_rate_decay_updates: int | None = number(
        None, at_least=1, belongs_to=both(_RATE_DECAYS, _OFFLINE)
    )
    """The same of a run that learns from a data set alone; none: `total_updates`. [updates]"""
    polyak_window_updates: int | None = number(None, at_least=1, at_most=_INT32)
    """Average the weights over about this many updates; the average acts in evaluations, in films
    and as the saved agent; none: the newest weights do. [updates]"""
    adam_epsilon: float = number(1e-8, above=0, belongs_to=_ADAM)
    """Adam's ε, added to the root of the second moment. [gradient]"""
    max_gradient_norm: float | None = number(10.0, above=0)
    """Global L2 norm to which larger gradients are clipped; none: no clipping. [gradient]"""


@dataclass(frozen=True)
class ReplaySettings(Checked):
    """The experience replay buffer."""

    replay_capacity: int = number(
        100_000, at_least=1, at_most=_MAX_CAPACITY, belongs_to=_ACTING_DQN
    )
    """Transitions in the buffer; a new one replaces the oldest. [transitions]"""
    batch_size: int = number(64, at_least=1, belongs_to=_REPLAY)
    """Transitions per update. [transitions]"""
    replay_sampling: Literal["uniform", "newest", "prioritised"] = option(
        "uniform", belongs_to=_DQN
    )
    """Which transitions an update samples: uniformly with replacement; the newest in order, as if
    there were no replay; or those with a large TD error more often (Schaul et al. 2016)."""
    priority_exponent: float = number(0.5, at_least=0, at_most=1, belongs_to=_PRIORITISED)
    """α: a transition is sampled in proportion to its priority to this power; 0 makes all equally
    likely. [exponent]"""
    priority_beta: float = number(0.4, at_least=0, at_most=1, belongs_to=_PRIORITISED)
    """β before the first env step: how much of the sampling bias the importance weights correct.
    It rises linearly to 1. [exponent]"""
    priority_beta_env_steps: int | None = number(
        None, at_least=1, belongs_to=_acting_and(_PRIORITISED)
    )
    """Duration of the rise of β, from the start of the run; none: `total_env_steps`. [env steps]"""
    priority_beta_updates: int | None = number(
        None, at_least=1, belongs_to=both(_PRIORITISED, _OFFLINE)
    )
    """The same of a run that learns from a data set alone; none: `total_updates`. [updates]"""
    priority_epsilon: float = number(1e-6, at_least=1e-12, at_most=1e6, belongs_to=_PRIORITISED)
    """Added to the error of a transition, so that one without error can still be sampled: to
    |TD error| [reward]; with c51 to the KL divergence [nats], with qr and iqn to the loss.
    [reward]"""
    n_step: int = number(1, at_least=1, at_most=255, belongs_to=_DQN)
    """Rewards summed before bootstrapping; 1 is the notes' target. [env steps]"""
    sequence_steps: int = number(40, at_least=1, at_most=4_096, belongs_to=_GRU)
    """Length of the sequences that a network with memory learns from, burn-in included. With
    memory, `batch_size` counts sequences, and `replay_capacity` the steps at which one can begin.
    [steps of one environment]"""
    burn_in_steps: int = number(10, at_least=0, at_most=4_095, belongs_to=_GRU)
    """First steps of a sequence, from which only the memory is computed, by the newest weights; it
    begins with the memory that the agent had. [steps of one environment]"""
    sequence_priority_share: float = number(
        0.9, at_least=0, at_most=1, belongs_to=_PRIORITISED_SEQUENCES
    )
    """η: the priority of a sequence is η · the largest error of its steps + (1 - η) · their mean.
    [ratio]"""


@dataclass(frozen=True)
class TrainingSettings(Checked):
    """Budget, number of updates, overlap and devices."""

    total_env_steps: int = number(100_000, at_least=1, at_most=4_000_000_000, belongs_to=_ACTING)
    """Budget: transitions collected, summed over environments. [env steps]"""
    total_updates: int = number(100_000, at_least=1, at_most=4_000_000_000, belongs_to=_OFFLINE)
    """Budget of a run that learns from a data set alone. [updates]"""
    learning_starts_env_steps: int = number(1_000, at_least=1, belongs_to=_ACTING_DQN)
    """Env steps before the first update. [env steps]"""
    replay_ratio: float = number(1.0, above=0, belongs_to=_ACTING_DQN)
    """Updates per env step. [updates per env step]"""
    vector_steps_per_round: int = number(1, at_least=1, belongs_to=_ACTING)
    """Steps of all environments between two calls of the learner; with pqn also how far its
    λ-returns reach. [vector steps]"""
    updates_per_round: int = number(50, at_least=1, at_most=10_000, belongs_to=_OFFLINE)
    """Updates in one call of the learner, where there is nothing else to do; what is due comes
    after the call in which it becomes due. [updates]"""
    overlap: bool = option(True, belongs_to=_acting_and(both(_SYNCHRONOUS, _DQN)))
    """Act with weights that are one round older, so that acting and learning overlap."""
    device: Literal["auto", "cpu", "gpu"] = "auto"
    """Where updates are computed; auto: on JAX's default device, such as a GPU, if updates are
    large enough to be faster there, else on the CPU. The first run of a process decides for all."""
    replay_device: Literal["auto", "cpu"] = option("auto", belongs_to=_REPLAY)
    """Where the replay buffer lies. auto: on the device that learns, or in host memory if that
    device has no room for it when the run begins. cpu: in host memory, from where batches are sent
    to the device that learns."""
    acting: Literal["auto", "host", "device"] = "auto"
    """Where actions are computed: on the host with NumPy, or on the learner's device in a compiled
    call; auto: on the host for networks of dense layers."""


@dataclass(frozen=True)
class EvaluationSettings(Checked):
    """Greedy episodes with seeds of their own."""

    evaluate_every_env_steps: int | None = number(10_000, at_least=1, belongs_to=_ACTING)
    """Interval between evaluations during training; none: there are none. [env steps]"""
    evaluate_every_updates: int | None = number(10_000, at_least=1, belongs_to=_OFFLINE)
    """The same of a run that learns from a data set alone. [updates]"""
    evaluation_starts_env_steps: int = number(0, at_least=0, belongs_to=_EVALUATED_WHILE_ACTING)
    """Env steps before the first evaluation. [env steps]"""
    evaluation_episodes: int = number(10, at_least=1, at_most=MAX_EPISODES, belongs_to=_EVALUATED)
    """Episodes of each evaluation during training. [episodes]"""
    final_evaluation_episodes: int | None = number(100, at_least=1, at_most=MAX_EPISODES)
    """Episodes of the evaluation at the end, and of the solved check; none: there are neither.
    [episodes]"""
    final_estimate_updates: int | None = number(
        20_000, at_least=1, at_most=100_000_000, belongs_to=_OFFLINE
    )
    """Updates of the estimate at the end of a run without an environment, by fitted Q evaluation;
    none: there is no estimate. [updates]"""
    evaluation_max_episode_steps: int = number(100_000, at_least=1, at_most=2**31 - 1)
    """An episode of an evaluation that its environment does not end is ended after so many steps.
    [env steps]"""
    evaluation_on: Literal["own", "training"] = "own"
    """Where evaluations are played: in environments of their own, or, for environments of which
    only one can exist, in the training environment, whose running episode is then restored."""
    evaluation_envs: int = number(
        MAX_EVALUATION_ENVS, at_least=1, at_most=MAX_EVALUATION_ENVS, belongs_to=_OWN_ENVS
    )
    """Most environments that are made for evaluations. [environments]"""
    evaluation_env_kwargs: dict[str, Any] | None = option(None, belongs_to=_OWN_ENVS)  # noqa: RUF009
    """Keyword arguments of the environments of evaluations, in place of all of `env_kwargs`; none:
    the same. Observations and actions must be those of the training."""
    evaluation_wrappers: tuple[str, ...] | None = code(None, belongs_to=_OWN_ENVS)
    """Wrappers of the environments of evaluations, in place of all of `wrappers`; none: the same;
    an empty list: no wrappers. Observations and actions must be those of the training."""
    until_solved: bool = option(False, belongs_to=_EVALUATED)
    """Stop once the mean return reaches the environment's reward threshold."""


@dataclass(frozen=True)
class SavingSettings(Checked):
    """What is written to the run folder, and when."""

    checkpoint_every_env_steps: int = number(50_000, at_least=1, belongs_to=_ACTING)
    """Interval between checkpoints. [env steps]"""
    checkpoint_every_updates: int = number(50_000, at_least=1, belongs_to=_OFFLINE)
    """The same of a run that learns from a data set alone. [updates]"""
    keep_checkpoints: int = number(3, at_least=1)
    """Newest checkpoints kept. [checkpoints]"""
    checkpoint_replay: Literal["all", "none"] = option("all", belongs_to=_ACTING_DQN)
    """Whether checkpoints hold the replay buffer. none: a run that continues begins with an empty
    one, collects `learning_starts_env_steps` anew before it updates, and is marked as not
    bit-exact."""
    log_every_env_steps: int = number(1_000, at_least=1, belongs_to=_ACTING)
    """Interval between rows of metrics; a row has means over the interval. [env steps]"""
    log_every_updates: int = number(1_000, at_least=1, belongs_to=_OFFLINE)
    """The same of a run that learns from a data set alone. [updates]"""
    log: tuple[str, ...] = ()
    """Trackers that get the metrics as well: tensorboard, trackio, wandb, mlflow, each with an
    extra of its name, or one that a package of yours brings. They never change the results."""


GROUPS: dict[str, type[Checked]] = {
    "data": DataSettings,
    "environment": EnvironmentSettings,
    "pixels": PixelSettings,
    "atari": AtariSettings,
    "network": NetworkSettings,
    "exploration": ExplorationSettings,
    "learning": LearningSettings,
    "replay": ReplaySettings,
    "training": TrainingSettings,
    "evaluation": EvaluationSettings,
    "saving": SavingSettings,
}
"""The record of each group, by its name in `Settings` and in TOML files."""
