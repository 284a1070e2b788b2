"""When each setting has an effect, written by hand from what the papers say.

Each function takes the values of all choices; where a choice is idle itself, as those of a
network are under a Q-table, its value is the default.
"""


def is_network(chosen):
    return chosen["q_function"] == "network"


def has_layers(chosen):
    # A network of the user's own has layers of its own.
    return is_network(chosen) and chosen["network"] is None


def has_hidden_layers(chosen):
    return has_layers(chosen) and len(chosen["hidden_widths"]) > 0


def has_own_leaves(chosen):
    # A torso of the user's own gets observations as they are.
    return has_layers(chosen) and ":" not in chosen["torso"]


def learns(*distributions):
    return lambda chosen: chosen["distribution"] in distributions


def is_dqn(chosen):
    # Mnih et al. (2015): a replay buffer and a target network.
    return chosen["algorithm"] == "dqn"


def has_batches(chosen):
    # Behaviour cloning draws batches from its data set as DQN does from its replay buffer.
    return chosen["algorithm"] in ("dqn", "bc")


def is_pqn(chosen):
    # Gallici et al. (2024): neither of them, but λ-returns over epochs of minibatches.
    return chosen["algorithm"] == "pqn"


def is_prioritised(chosen):
    # Schaul et al. (2016): α, β and ε are of prioritised sampling alone.
    return is_dqn(chosen) and chosen["replay_sampling"] == "prioritised"


def is_munchausen(chosen):
    # Vieillard et al. (2020): α, τ and l₀ of the bonus.
    return is_dqn(chosen) and chosen["munchausen"]


def is_asynchronous(chosen):
    return acts(chosen) and chosen["asynchronous_actors"] is not None


def is_epsilon_greedy(chosen):
    # Fortunato et al. (2018): NoisyNet-DQN replaces ε-greedy. Horgan et al. (2018): so does the
    # ladder of Ape-X the schedule of ε.
    return acts(chosen) and not chosen["noisy"] and not is_asynchronous(chosen)


def is_huber(chosen):
    # Quantile regression has Huber's δ as κ (Dabney et al. 2018); C51's loss is a cross-entropy.
    if chosen["distribution"] in ("qr", "iqn"):
        return True
    return chosen["distribution"] == "mean" and chosen["loss"] == "huber"


def is_evaluated_while_training(chosen):
    name = "evaluate_every_env_steps" if acts(chosen) else "evaluate_every_updates"
    return chosen[name] is not None


def is_evaluated_in_envs_of_its_own(chosen):
    return chosen["evaluation_on"] == "own"


def normalises_observations(chosen):
    return chosen["normalize_observations"]


def normalises_rewards(chosen):
    return chosen["normalize_rewards"]


def has_residual_blocks(chosen):
    # Espeholt et al. (2018): the width is of the residual network alone.
    return has_layers(chosen) and chosen["torso"] == "impala"


def lasts_several_frames(chosen):
    # Of one frame there is nothing to take the brighter of.
    return chosen["frame_skip"] > 1


def has_memory(chosen):
    # Kapturowski et al. (2019): a recurrent unit among the layers, which learns from sequences.
    return has_layers(chosen) and chosen["memory"] == "gru"


def acts(chosen):
    # A run collects steps unless it learns from a data set alone.
    return chosen["dataset"] is None or chosen["demonstration_share"] > 0


def is_offline(chosen):
    return not acts(chosen)


def acts_and(condition):
    return lambda chosen: acts(chosen) and condition(chosen)


EFFECTIVE = {
    "demonstration_share": lambda chosen: chosen["dataset"] is not None,
    **dict.fromkeys(
        (
            *("num_envs", "asynchronous_actors", "backend", "source", "restart_failed_envs"),
            *("info_metrics", "total_env_steps", "vector_steps_per_round"),
            *("evaluate_every_env_steps", "checkpoint_every_env_steps", "log_every_env_steps"),
        ),
        acts,
    ),
    **dict.fromkeys(
        (
            *("total_updates", "updates_per_round", "evaluate_every_updates"),
            *("checkpoint_every_updates", "log_every_updates", "final_estimate_updates"),
        ),
        is_offline,
    ),
    "learning_rate_decay_updates": lambda chosen: (
        is_offline(chosen) and chosen["learning_rate_end"] is not None
    ),
    "priority_beta_updates": lambda chosen: is_offline(chosen) and is_prioritised(chosen),
    "memory": has_layers,
    "memory_units": has_memory,
    "sequence_steps": has_memory,
    "burn_in_steps": has_memory,
    "sequence_priority_share": lambda chosen: has_memory(chosen) and is_prioritised(chosen),
    "value_rescaling": is_dqn,
    "max_pool": lasts_several_frames,
    "evaluation_starts_env_steps": acts_and(is_evaluated_while_training),
    "evaluation_episodes": is_evaluated_while_training,
    "until_solved": is_evaluated_while_training,
    "network": is_network,
    "torso": has_layers,
    "normalize_observations_clip": normalises_observations,
    "normalize_rewards_clip": normalises_rewards,
    "normalize_epsilon": lambda chosen: (
        normalises_observations(chosen) or normalises_rewards(chosen)
    ),
    "evaluation_envs": is_evaluated_in_envs_of_its_own,
    "evaluation_env_kwargs": is_evaluated_in_envs_of_its_own,
    "evaluation_wrappers": is_evaluated_in_envs_of_its_own,
    "impala_width": has_residual_blocks,
    "hidden_widths": has_layers,
    "activation": has_hidden_layers,
    "scale_observation": has_own_leaves,
    "layer_norm": has_hidden_layers,
    "dueling": has_layers,
    "symmetry": is_network,
    "distribution": is_network,
    "num_atoms": learns("c51"),
    "value_min": learns("c51"),
    "value_max": learns("c51"),
    "num_quantiles": learns("qr"),
    "iqn_cosines": learns("iqn"),
    "iqn_acting_fractions": learns("iqn"),
    "iqn_samples": learns("iqn"),
    "noisy": has_layers,
    "epsilon_start": is_epsilon_greedy,
    "epsilon_end": is_epsilon_greedy,
    "epsilon_decay_env_steps": is_epsilon_greedy,
    "ladder_epsilon": is_asynchronous,
    "ladder_exponent": is_asynchronous,
    "overlap": lambda chosen: acts(chosen) and not is_asynchronous(chosen) and is_dqn(chosen),
    "trace_decay": is_pqn,
    "epochs_per_round": is_pqn,
    "minibatches": is_pqn,
    "double": is_dqn,
    "munchausen": is_dqn,
    "target_period_updates": is_dqn,
    "tau": is_dqn,
    "replay_capacity": acts_and(is_dqn),
    "batch_size": has_batches,
    "replay_device": has_batches,
    "cql_weight": is_dqn,
    "replay_sampling": is_dqn,
    "n_step": is_dqn,
    "learning_starts_env_steps": acts_and(is_dqn),
    "replay_ratio": acts_and(is_dqn),
    "checkpoint_replay": acts_and(is_dqn),
    "priority_exponent": is_prioritised,
    "priority_beta": is_prioritised,
    "priority_beta_env_steps": acts_and(is_prioritised),
    "priority_epsilon": is_prioritised,
    "munchausen_scale": is_munchausen,
    "munchausen_temperature": is_munchausen,
    "munchausen_floor": is_munchausen,
    # The cross-entropy of behaviour cloning has no other form.
    "loss": lambda chosen: learns("mean")(chosen) and chosen["algorithm"] != "bc",
    "huber_delta": is_huber,
    "learning_rate_decay_env_steps": acts_and(
        lambda chosen: chosen["learning_rate_end"] is not None
    ),
    "adam_epsilon": lambda chosen: chosen["optimiser"] in ("adam", "radam"),
}
ALWAYS = {
    *("frame_stack", "resize", "grayscale", "clip_rewards"),
    *("frame_skip", "sticky_actions", "noop_max", "fire_reset", "life_loss_terminates"),
    *("full_action_set", "game_time_limit"),
    *(
        "dataset",
        "env_kwargs",
        "wrappers",
        "action_mask",
        "worker_processes",
        "normalize_observations",
        "normalize_rewards",
        "q_function",
    ),
    *("algorithm", "gamma", "bootstrap_on"),
    *("optimiser", "learning_rate", "learning_rate_end", "polyak_window_updates"),
    *("max_gradient_norm", "device", "acting"),
    *("final_evaluation_episodes", "evaluation_max_episode_steps"),
    "evaluation_on",
    *("keep_checkpoints", "log"),
}
CHOICES = {
    "dataset": [None, "data/small-v0"],
    "demonstration_share": [0.0, 0.5],
    "asynchronous_actors": [None, 1],
    "frame_skip": [4, 1],
    "q_function": ["network", "table"],
    "network": [None, "my_network:make"],
    "normalize_observations": [False, True],
    "normalize_rewards": [False, True],
    "torso": ["auto", "impala", "my_torso:make"],
    "memory": ["none", "gru"],
    "hidden_widths": [(64, 64), ()],
    "distribution": ["mean", "c51", "qr", "iqn"],
    "noisy": [False, True],
    "algorithm": ["dqn", "pqn"],
    "replay_sampling": ["uniform", "newest", "prioritised"],
    "munchausen": [False, True],
    "loss": ["mse", "huber"],
    "optimiser": ["adam", "radam", "sgd"],
    "learning_rate_end": [None, 1e-5],
    "evaluate_every_env_steps": [10_000, None],
    "evaluate_every_updates": [10_000, None],
    "evaluation_on": ["own", "training"],
}
"""Their defaults come first."""
OTHER = {
    "demonstration_share": 0.5,
    "num_envs": 2,
    "asynchronous_actors": 1,
    "backend": "envpool",
    "source": "host",
    "restart_failed_envs": 2,
    "info_metrics": ["energy"],
    "total_env_steps": 5_000,
    "vector_steps_per_round": 2,
    "evaluate_every_env_steps": 700,
    "checkpoint_every_env_steps": 700,
    "log_every_env_steps": 70,
    "total_updates": 5_000,
    "updates_per_round": 5,
    "evaluate_every_updates": 700,
    "final_estimate_updates": 900,
    "checkpoint_every_updates": 700,
    "log_every_updates": 70,
    "learning_rate_decay_updates": 500,
    "priority_beta_updates": 500,
    "memory": "gru",
    "memory_units": 32,
    "sequence_steps": 20,
    "burn_in_steps": 4,
    "sequence_priority_share": 0.5,
    "value_rescaling": True,
    "network": "my_network:make",
    "torso": "nature",
    "impala_width": 2,
    "max_pool": False,
    "evaluation_starts_env_steps": 500,
    "evaluation_episodes": 3,
    "until_solved": True,
    "evaluation_envs": 2,
    "normalize_observations_clip": 5.0,
    "normalize_rewards_clip": 5.0,
    "normalize_epsilon": 1e-6,
    "evaluation_env_kwargs": {"length": 3},
    "evaluation_wrappers": ["module:Wrapper"],
    "hidden_widths": [8],
    "activation": "tanh",
    "scale_observation": True,
    "layer_norm": True,
    "dueling": True,
    "symmetry": True,
    "distribution": "qr",
    "num_atoms": 21,
    "value_min": -4.0,
    "value_max": 4.0,
    "num_quantiles": 8,
    "iqn_cosines": 16,
    "iqn_acting_fractions": 8,
    "iqn_samples": 4,
    "noisy": True,
    "epsilon_start": 0.5,
    "epsilon_end": 0.5,
    "epsilon_decay_env_steps": 5_000,
    "ladder_epsilon": 0.5,
    "ladder_exponent": 3.0,
    "overlap": False,
    "trace_decay": 0.5,
    "epochs_per_round": 3,
    "minibatches": 1,
    "double": True,
    "munchausen": True,
    "target_period_updates": 50,
    "tau": 0.5,
    "replay_capacity": 5_000,
    "batch_size": 16,
    "replay_device": "cpu",
    "cql_weight": 0.5,
    "replay_sampling": "newest",
    "n_step": 3,
    "learning_starts_env_steps": 500,
    "replay_ratio": 0.5,
    "checkpoint_replay": "none",
    "priority_exponent": 0.7,
    "priority_beta": 0.5,
    "priority_beta_env_steps": 500,
    "priority_epsilon": 1e-3,
    "munchausen_scale": 0.5,
    "munchausen_temperature": 0.1,
    "munchausen_floor": -2.0,
    "loss": "huber",
    "huber_delta": 2.0,
    "learning_rate_decay_env_steps": 500,
    "adam_epsilon": 1e-3,
}
"""A value of each setting that is not its default."""
