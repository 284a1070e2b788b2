"""The names that other libraries give to settings, with Frank's setting and the value converted.

They are no second spelling: whoever gives one is told what to give instead. One table answers on
the command line, in Python and in TOML files, and fills the page "Coming from SB3".
"""

import math
import re
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

SB3, CLEANRL, DOPAMINE, TIANSHOU, RLLIB = "SB3", "CleanRL", "Dopamine", "Tianshou", "RLlib"
_SB3_TRAIN_FREQ = 4
"""SB3's default, which holds where `gradient_steps` is given alone. [vector steps]"""


class Asked:
    """What one call or command gives, and what holds besides."""

    def __init__(
        self, foreign: Mapping[str, Any], given: Mapping[str, Any], others: Mapping[str, Any]
    ) -> None:
        """Remember what was given.

        Args:
            foreign: values by names of other libraries.
            given: values by names of Frank's settings.
            others: the value that each setting has where it is not given.
        """
        self.foreign, self._given, self._others = foreign, given, others
        self.used: dict[str, float] = {}
        """Settings that conversions have taken into account, with their values."""

    def number(self, name: str, default: float) -> float:
        """A value given by a foreign name, or the default of the library that has this name."""
        return number_in(self.foreign[name]) if name in self.foreign else default

    def setting(self, name: str, default: float | None = None) -> float:
        """A setting's value: as given, by whatever name; else `default`; else what holds besides.

        Args:
            name: name of a setting whose value is a number.
            default: the other library's default, where that decides what a foreign value means.
        """
        value = self._given.get(name)
        for other, its_value in self.foreign.items():
            if value is None and name in BY_NAME[other].settings:
                value = BY_NAME[other].convert(its_value, self).get(name)
        if value is None:
            value = self._others[name] if default is None else default
        self.used[name] = number_in(value)
        return self.used[name]


_ACTIVATIONS = ("relu", "tanh", "elu", "silu")
"""Those of torch.nn that Frank has, in lower case."""
Convert = Callable[[Any, Asked], dict[str, Any]]
"""Maps a foreign value, as typed or as given in Python, to values of Frank's settings."""


class KnownName(NamedTuple):
    """A name that another library gives to something that Frank names otherwise."""

    name: str
    libraries: tuple[str, ...]
    """Those that use it in this meaning."""
    settings: tuple[str, ...]
    """Frank's settings for it; empty: there is none."""
    how: str
    """How the value is converted, or what to do where there is no setting; empty: it stays."""
    convert: Convert
    takes: Literal["one", "many", "none"] = "one"
    """Words that follow it on a command line; of a switch there may be one."""


def number_in(value: Any) -> float:
    """A number, also as typed: 1e5, 100_000.

    Raises:
        ValueError: it is none, or not finite.
        TypeError: it is none.
    """
    as_float = float(value)
    if not math.isfinite(as_float):
        raise ValueError(f"not finite: {value!r}")
    return int(as_float) if as_float.is_integer() else as_float


def _same(libraries: tuple[str, ...], setting: str, *names: str) -> list[KnownName]:
    """Names of a setting whose value needs no conversion."""
    return [
        KnownName(name, libraries, (setting,), "", lambda value, asked: {setting: value})
        for name in names
    ]


def _one(
    library: str | tuple[str, ...], name: str, setting: str, how: str, convert: Callable
) -> KnownName:
    """A name of a setting whose value is converted from a number."""
    libraries = (library,) if isinstance(library, str) else library
    return KnownName(
        name,
        libraries,
        (setting,),
        how,
        lambda value, asked: {setting: convert(number_in(value), asked)},
    )


def _none(libraries: tuple[str, ...], name: str, how: str, takes: Any = "one") -> KnownName:
    """A name of something that is no setting of Frank."""
    return KnownName(name, libraries, (), how, lambda value, asked: {}, takes)


def _sb3_ratio(train_freq: float, gradient_steps: float, asked: Asked) -> float:
    """SB3 makes `gradient_steps` updates after `train_freq` steps of all environments; -1: as many
    as there were env steps."""
    num_envs = asked.setting("num_envs", default=1)
    if gradient_steps == -1:
        return 1.0
    return _positive(gradient_steps / (train_freq * num_envs))


def _sb3_target_period(interval: float, asked: Asked) -> int:
    """SB3 copies every `interval` env steps, rounded down to steps of all environments.

    It never copies between the updates of one group, so a copy takes effect once a group at most.
    """
    num_envs = asked.setting("num_envs", default=1)
    env_steps = max(interval // num_envs, 1) * num_envs
    if "train_freq" in asked.foreign or "gradient_steps" in asked.foreign:
        env_steps = max(env_steps, asked.number("train_freq", _SB3_TRAIN_FREQ) * num_envs)
    return _target_period(env_steps, asked)


def _target_period(env_steps: float, asked: Asked) -> int:
    return max(1, round(env_steps * asked.setting("replay_ratio")))


def _decay(fraction: float, asked: Asked) -> int:
    return round(fraction * asked.setting("total_env_steps"))


def _dopamine_decay(period: float, asked: Asked) -> int:
    return round(period + asked.setting("learning_starts_env_steps"))


def _dopamine_budget(iterations: float, asked: Asked) -> int:
    return round(iterations * asked.number("training_steps", 250_000))


def _per_call(steps: float, asked: Asked) -> int:
    """Callbacks of SB3 count steps of all environments."""
    return round(steps * asked.setting("num_envs", default=1))


def _positive(value: float) -> float:
    if value <= 0:
        raise ValueError
    return number_in(value)


def _widths(value: Any, asked: Asked) -> dict[str, Any]:
    """Widths of layers, as a list or as typed: `64 64`, `[64, 64]`."""
    if isinstance(value, str):
        value = re.findall(r"\d+", value)
    widths = tuple(int(width) for width in ([value] if isinstance(value, int) else value))
    return {"hidden_widths": widths}


def _activation(value: Any, asked: Asked) -> dict[str, Any]:
    """A class of torch.nn, or its name as typed."""
    name = getattr(value, "__name__", str(value)).rpartition(".")[2].lower()
    return {"activation": name} if name in _ACTIVATIONS else {}


def _policy_kwargs(value: Any, asked: Asked) -> dict[str, Any]:
    """`net_arch` and `activation_fn` of a dictionary, or of its text as RL Zoo writes it."""
    if isinstance(value, str):
        found = re.findall(r"(net_arch|activation_fn)['\"]?\s*[=:]\s*(\[[^\]]*\]|[\w.]+)", value)
        value = dict(found)
    converted = {}
    if "net_arch" in value:
        converted |= _widths(value["net_arch"], asked)
    if "activation_fn" in value:
        converted |= _activation(value["activation_fn"], asked)
    return converted


def _normalize(value: Any, asked: Asked) -> dict[str, Any]:
    """What RL Zoo's `normalize` says: a switch, or the arguments of `VecNormalize` as a text."""
    text = str(value).lower()
    if text in ("false", "0"):
        return {"normalize_observations": False, "normalize_rewards": False}
    found = {
        name: not re.search(rf"{word}['\"]?\s*[=:]\s*false", text)
        for name, word in (
            ("normalize_observations", "norm_obs"),
            ("normalize_rewards", "norm_reward"),
        )
    }
    return {name: True for name, on in found.items() if on}


def _trackers(name: str) -> Convert:
    """A tracker that is given by another word; None and false: none."""
    return lambda value, asked: {
        "log": () if str(value).lower() in ("none", "false", "0") else (name,)
    }


def _value_range(value: Any, asked: Asked) -> dict[str, Any]:
    return {"value_min": -number_in(value), "value_max": number_in(value)}


_ENV_STEPS_TO_UPDATES = "counted in updates: env steps × replay_ratio"
_UPDATES_PER_ENV_STEP = "updates per env step"
_DEEP = (SB3, CLEANRL)

KNOWN_NAMES: tuple[KnownName, ...] = (
    # The budget.
    *_same(_DEEP, "total_env_steps", "total_timesteps", "timesteps", "num_timesteps"),
    *_same((SB3,), "total_env_steps", "n_timesteps"),
    _one(
        DOPAMINE,
        "num_iterations",
        "total_env_steps",
        "num_iterations × training_steps, 250,000 unless given",
        _dopamine_budget,
    ),
    # Optimiser and discount.
    *_same((CLEANRL, TIANSHOU, RLLIB), "learning_rate", "lr"),
    *_same((TIANSHOU,), "gamma", "discount_factor"),
    *_same((SB3,), "max_gradient_norm", "max_grad_norm"),
    *_same((RLLIB,), "max_gradient_norm", "grad_clip"),
    # The replay buffer.
    *_same((*_DEEP, TIANSHOU), "replay_capacity", "buffer_size"),
    *_same(_DEEP, "learning_starts_env_steps", "learning_starts"),
    *_same((DOPAMINE,), "learning_starts_env_steps", "min_replay_history"),
    *_same((RLLIB,), "learning_starts_env_steps", "num_steps_sampled_before_learning_starts"),
    *_same((RLLIB,), "batch_size", "train_batch_size", "train_batch_size_per_learner"),
    *_same((SB3,), "n_step", "n_steps"),
    *_same((DOPAMINE,), "n_step", "update_horizon"),
    *_same((TIANSHOU,), "n_step", "estimation_step", "n_step_return_horizon"),
    # How many updates.
    _one(
        SB3,
        "train_freq",
        "replay_ratio",
        f"{_UPDATES_PER_ENV_STEP}: gradient_steps / (train_freq × n_envs)",
        lambda value, asked: _sb3_ratio(value, asked.number("gradient_steps", 1), asked),
    ),
    _one(
        SB3,
        "gradient_steps",
        "replay_ratio",
        f"{_UPDATES_PER_ENV_STEP}: gradient_steps / (train_freq × n_envs)",
        lambda value, asked: _sb3_ratio(asked.number("train_freq", _SB3_TRAIN_FREQ), value, asked),
    ),
    _one(
        CLEANRL,
        "train_frequency",
        "replay_ratio",
        f"{_UPDATES_PER_ENV_STEP}: 1 / train_frequency",
        lambda value, asked: _positive(1 / value),
    ),
    _one(
        DOPAMINE,
        "update_period",
        "replay_ratio",
        f"{_UPDATES_PER_ENV_STEP}: 1 / update_period",
        lambda value, asked: _positive(1 / value),
    ),
    *_same((TIANSHOU,), "replay_ratio", "update_per_step"),
    # The target network.
    _one(
        SB3,
        "target_update_interval",
        "target_period_updates",
        f"{_ENV_STEPS_TO_UPDATES}, and at least the updates of one train_freq",
        _sb3_target_period,
    ),
    _one(
        CLEANRL,
        "target_network_frequency",
        "target_period_updates",
        _ENV_STEPS_TO_UPDATES,
        _target_period,
    ),
    _one(
        DOPAMINE,
        "target_update_period",
        "target_period_updates",
        _ENV_STEPS_TO_UPDATES,
        _target_period,
    ),
    _one(
        RLLIB,
        "target_network_update_freq",
        "target_period_updates",
        _ENV_STEPS_TO_UPDATES,
        _target_period,
    ),
    *_same((TIANSHOU,), "target_period_updates", "target_update_freq"),
    # Exploration.
    _one(
        _DEEP,
        "exploration_fraction",
        "epsilon_decay_env_steps",
        "exploration_fraction × total_env_steps",
        _decay,
    ),
    _one(
        DOPAMINE,
        "epsilon_decay_period",
        "epsilon_decay_env_steps",
        "counted from the first env step: min_replay_history + epsilon_decay_period",
        _dopamine_decay,
    ),
    *_same((RLLIB,), "epsilon_decay_env_steps", "epsilon_timesteps"),
    *_same((SB3,), "epsilon_start", "exploration_initial_eps"),
    *_same((SB3,), "epsilon_end", "exploration_final_eps"),
    *_same((CLEANRL,), "epsilon_start", "start_e"),
    *_same((CLEANRL,), "epsilon_end", "end_e"),
    *_same((RLLIB,), "epsilon_start", "initial_epsilon"),
    *_same((RLLIB,), "epsilon_end", "final_epsilon"),
    *_same((DOPAMINE,), "epsilon_end", "epsilon_train"),
    # The network and what it learns.
    KnownName(
        "policy_kwargs",
        (SB3,),
        ("hidden_widths", "activation"),
        "its net_arch and activation_fn",
        _policy_kwargs,
    ),
    KnownName(
        "features_extractor_class",
        (SB3,),
        ("torso",),
        "a torso of your own is written in JAX; a whole network is given as network",
        lambda value, asked: {},
    ),
    KnownName(
        "optimizer_class",
        (SB3,),
        ("optimiser",),
        "an optimiser of Optax by its name, such as optax:adamw, whose defaults are its own",
        lambda value, asked: {},
    ),
    KnownName("net_arch", (SB3,), ("hidden_widths",), "", _widths, "many"),
    KnownName("activation_fn", (SB3,), ("activation",), "", _activation),
    KnownName("hidden_sizes", (TIANSHOU,), ("hidden_widths",), "", _widths, "many"),
    KnownName("fcnet_hiddens", (RLLIB,), ("hidden_widths",), "", _widths, "many"),
    *_same((TIANSHOU,), "double", "is_double"),
    *_same((RLLIB,), "double", "double_q"),
    *_same((CLEANRL,), "num_atoms", "n_atoms"),
    *_same((CLEANRL,), "value_min", "v_min"),
    *_same((CLEANRL,), "value_max", "v_max"),
    KnownName("vmax", (DOPAMINE,), ("value_min", "value_max"), "-vmax … vmax", _value_range),
    # Environments and evaluations.
    *_same((SB3,), "num_envs", "n_envs"),
    *_same((DOPAMINE,), "frame_stack", "stack_size"),
    KnownName(
        "normalize",
        (SB3,),
        ("normalize_observations", "normalize_rewards"),
        "both, unless its norm_obs or norm_reward is false",
        _normalize,
    ),
    *_same((SB3,), "normalize_observations", "norm_obs"),
    *_same((SB3,), "normalize_rewards", "norm_reward"),
    *_same((SB3,), "normalize_observations_clip", "clip_obs"),
    KnownName(
        "wrapper_class",
        (SB3,),
        ("wrappers",),
        "a list, the innermost first",
        lambda value, asked: {},
    ),
    _one(
        SB3,
        "eval_freq",
        "evaluate_every_env_steps",
        "eval_freq × n_envs",
        _per_call,
    ),
    *_same((SB3,), "evaluation_episodes", "n_eval_episodes"),
    _one(SB3, "save_freq", "checkpoint_every_env_steps", "save_freq × n_envs", _per_call),
    KnownName(
        "tensorboard_log",
        (SB3,),
        ("log",),
        "the files are in the run folder, in trackers/tensorboard",
        _trackers("tensorboard"),
    ),
    KnownName(
        "track", (CLEANRL,), ("log",), "WANDB_PROJECT names the project", _trackers("wandb"), "none"
    ),
    _none((*_DEEP, RLLIB), "env", "name it without a flag, as in: frank train CartPole-v1"),
    _none((CLEANRL,), "env_id", "name it without a flag, as in: frank train CartPole-v1"),
    # What is no setting.
    _none(
        (SB3,), "policy", "Frank chooses the network by the observation, see torso; leave it out"
    ),
    _none((SB3,), "callback", "give a function of events as on_event, from Python"),
    _none((SB3,), "verbose", "leave it out; progress=False silences frankrl.train", "none"),
    _none((SB3,), "progress_bar", "leave it out: there is one; progress=False silences it", "none"),
    _none((SB3,), "optimize_memory_usage", "each observation is stored once; leave it out", "none"),
    _none((SB3,), "replay_buffer_class", "choose by replay_sampling"),
    _none((CLEANRL,), "capture_video", "film the run afterwards: frank film RUN", "none"),
    _none((CLEANRL,), "torch_deterministic", "every run is reproducible; leave it out", "none"),
    _none((CLEANRL,), "cuda", "leave it out, or give device cpu or gpu", "none"),
    _none(
        (CLEANRL,), "upload_model", "upload the run afterwards: frank hub push RUN YOU/NAME", "none"
    ),
    _none((CLEANRL,), "hf_entity", "name it afterwards: frank hub push RUN YOU/NAME"),
    _none((CLEANRL,), "save_model", "every run saves its agent; leave it out", "none"),
    _none((DOPAMINE,), "epsilon_eval", "evaluations are greedy; leave it out"),
    _none((DOPAMINE,), "training_steps", "it is a factor of total_env_steps, with num_iterations"),
)
BY_NAME: dict[str, KnownName] = {known.name: known for known in KNOWN_NAMES}
