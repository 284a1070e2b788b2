"""What the page "Step by step" shows: every number and picture of it, computed when it is built.

Small trainings are run for it: a lander for a few thousand steps with the preset `classic`,
and the nine-square grid with a table and with a network.
"""

import base64
import contextlib
import functools
import io
import itertools
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from frankrl import load, train
from frankrl.agent import Agent
from frankrl.cli.main import main
from frankrl.config.presets import load_preset
from frankrl.environments import GymnasiumVector, describe, nine_squares
from frankrl.experience import (
    HostPolicy,
    HostSource,
    epsilon_greedy,
    exploration_draws,
    linear_epsilon,
)
from frankrl.networks import DenseParams
from frankrl.tabular import model_of, optimal_q_values, q_table
from frankrl.training import Experiment, TrainState, init_train_state, rounds

_GRID = "frankrl/NineSquares-v0"
_GRID_STEPS = 12_000
_SHORT: dict[str, Any] = {
    "learning_starts_env_steps": 500,
    "target_period_updates": 400,
    "epsilon_decay_env_steps": 2_000,
    "total_env_steps": 2_500,
    "replay_capacity": 5_000,
    "evaluate_every_env_steps": 100_000,
    "final_evaluation_episodes": 1,
    "checkpoint_every_env_steps": 1_000,
    "log_every_env_steps": 500,
}
_UPDATE = 1_200
_BLUE, _ORANGE, _INK = "#0072B2", "#D55E00", "#333333"
_SHADES = ("#f3f4f6", "#009E73", "#555555")


def shown(name: str) -> str:
    """The Markdown that a marker of the page stands for.

    Raises:
        KeyError: there is no such marker.
    """
    return _PARTS[name]()


@functools.cache
def _folder() -> Path:
    keeper = tempfile.TemporaryDirectory()
    _kept.append(keeper)
    return Path(keeper.name)


_kept: list[Any] = []


@functools.cache
def _quiet_train(env_id: str, name: str, **changes: Any) -> Path:
    path = _folder() / name
    train(env_id, out=path, **changes)
    return path


def _lander() -> Path:
    return _quiet_train("LunarLander-v3", "lander", preset="classic", **_SHORT)


@functools.cache
def _grids() -> tuple[np.ndarray, np.ndarray, np.ndarray, Agent]:
    """Q-values of the squares: exact, of the table, of the network; and the network's agent."""
    same: dict[str, Any] = {
        "epsilon_end": 1.0,
        "total_env_steps": _GRID_STEPS,
        "evaluate_every_env_steps": 100_000,
        "final_evaluation_episodes": 1,
    }
    table = load(_quiet_train(_GRID, "table", q_function="table", **same))
    network = load(
        _quiet_train(
            _GRID,
            "network",
            n_step=1,
            hidden_widths=(64,),
            learning_rate=2e-3,
            learning_rate_end=1e-5,
            target_period_updates=100,
            **same,
        )
    )
    model = model_of(table.spec)
    assert model is not None
    exact = optimal_q_values(model, load_preset("table").learning.gamma)
    return exact, _table_of(table), _table_of(network), network


def _table_of(agent: Agent) -> np.ndarray:
    return q_table(agent.spec, lambda states: agent.batch_q_values(states, None)[0])


def _ordinary() -> list[int]:
    ends = (nine_squares.GOAL, nine_squares.PIT)
    return [square for square in range(nine_squares.SIDE**2) if square not in ends]


def _side_by_side() -> str:
    exact, table, network, agent = _grids()
    names = agent.spec.action_names
    lines = [
        f"| square | {' | '.join(names)} |",
        f"|---|{'---|' * len(names)}",
    ]
    for square in _ordinary():
        cells = []
        for action in range(len(names)):
            three = (grid[square, action] for grid in (exact, table, network))
            text = " / ".join(f"{value:.2f}" for value in three)
            best = exact[square, action] >= exact[square].max() - 1e-9
            cells.append(f"**{text}**" if best else text)
        lines.append(f"| {square} | {' | '.join(cells)} |")
    places = _ordinary()
    off = [np.abs(grid - exact)[places].max() for grid in (table, network)]
    lines += [
        "",
        f"Each cell: exact / Q-table / Q-network, after {_GRID_STEPS:,} env steps each; in bold "
        f"the best actions. The table is off by {off[0]:.1g} at most, the network by {off[1]:.1g}. "
        "Goal and pit have no row: an episode ends there.",
    ]
    return "\n".join(lines)


def _grid_picture() -> str:
    exact, table, network, _ = _grids()
    figure = _figure(8.4, 3.0)
    titles = ("exact", "Q-table", "Q-network")
    panels = figure.subplots(1, 3)
    for panel, grid, title in zip(panels, (exact, table, network), titles, strict=True):
        for square, (row, column) in enumerate(itertools.product(range(3), repeat=2)):
            kind = {nine_squares.GOAL: 1, nine_squares.PIT: 2}.get(square, 0)
            panel.add_patch(
                _rectangle((column, 2 - row), facecolor=_SHADES[kind], edgecolor="white")
            )
            if kind:
                word = ("goal", "pit")[kind - 1]
                panel.text(column + 0.5, 2.5 - row, word, ha="center", va="center", color="white")
                continue
            values = grid[square]
            panel.text(
                column + 0.5,
                2.5 - row,
                f"{values.max():.2f}",
                ha="center",
                va="center",
                color=_INK,
                fontsize=9,
            )
            for action in np.flatnonzero(values >= values.max() - 0.03):
                across, up = ((0, 0.3), (0.3, 0), (0, -0.3), (-0.3, 0))[action]
                panel.annotate(
                    "",
                    (column + 0.5 + 1.45 * across, 2.5 - row + 1.45 * up),
                    (column + 0.5 + 0.75 * across, 2.5 - row + 0.75 * up),
                    arrowprops={"arrowstyle": "->", "color": _BLUE},
                )
        panel.set(xlim=(0, 3), ylim=(0, 3), aspect="equal", title=title)
        panel.axis("off")
    return _picture(
        figure, "Three grids of nine squares with the best value and action in each: they agree"
    )


def _cells() -> str:
    spec, weights = _experiment().spec, _experiment().network.layout.size
    numbers = sum(leaf.size for leaf in spec.leaves)
    pieces, legs = 100, 2
    states = pieces ** (numbers - legs) * 2**legs
    stored = _stored_observations()
    different = len(np.unique(stored, axis=0))
    return (
        f"A state of LunarLander is {numbers} numbers: two say whether a leg stands on the ground, "
        f"the other {numbers - legs} can be anything. Cut each of those into {pieces} pieces, and "
        f"a table needs {pieces}^{numbers - legs} × 2^{legs} = {states:.0e} rows of "
        f"{spec.num_actions} numbers, {states * spec.num_actions * 4 / 1e12:,.0f} terabytes. "
        f"The network of `classic` has {weights:,} weights, {weights * 4 / 1000:.0f} kilobytes. "
        f"And no row would be met twice: of the {len(stored):,} states in the buffer of the small "
        "run on this page, "
        f"{different:,} are different."
    )


def _networks() -> str:
    experiment = _experiment()
    params = experiment.network.init(experiment.seed)
    layers: list[DenseParams] = [*params.hidden, params.output]
    lines = ["| layer | in | out | weights and biases |", "|---|---|---|---|"]
    for number, layer in enumerate(layers):
        inputs, outputs = layer.weight.shape
        name = "output" if number == len(layers) - 1 else f"hidden {number + 1}"
        lines.append(f"| {name} | {inputs} | {outputs} | {layer.weight.size + layer.bias.size:,} |")
    lines.append(f"| all | | | {experiment.network.layout.size:,} |")
    lines += [
        "",
        "The target network has as many. At the beginning it is a copy: the largest difference "
        f"between the two is {np.abs(_difference(init_train_state(experiment))).max():g}.",
    ]
    return "\n".join(lines)


def _first_step() -> str:
    experiment = _experiment()
    network, spec, seed = experiment.network, experiment.spec, experiment.seed
    envs = GymnasiumVector(spec, 1, seed)
    try:
        state = envs.observation.copy()
        policy = HostPolicy(network)
        policy.load(init_train_state(experiment).behaviour_params)
        q_values = policy.q_values(spec.observation(state)).q_values
        coins, choices = exploration_draws(seed, 0, 1)
        epsilon = linear_epsilon(experiment.settings.exploration, np.arange(1))
        action = epsilon_greedy(q_values, epsilon, coins, choices)
        step, _ = envs.step(action, 0)
    finally:
        envs.close()
    names, chosen = spec.action_names, int(action[0])
    explored = bool(coins[0] < epsilon[0])
    lines = [
        "| | |",
        "|---|---|",
        *(
            f"| {name} | {before:.4g} → {after:.4g} |"
            for name, before, after in zip(
                spec.component_names, state[0], step.next_observation[0], strict=True
            )
        ),
        "",
        "| action | Q-value |",
        "|---|---|",
        *(f"| {name} | {value:.4g} |" for name, value in zip(names, q_values[0], strict=True)),
        "",
        f"The coin of this step is {coins[0]:.3f} and ε is {epsilon[0]:g}, so the action is "
        f"{'random' if explored else 'the best one'}: **{names[chosen]}**. The environment answers "
        f"with the reward **r = {step.reward[0]:.4g}** and with the state right of the arrows.",
    ]
    return "\n".join(lines)


def _epsilon() -> str:
    exploration = load_preset("classic").exploration
    steps = np.linspace(0, 2 * exploration.epsilon_decay_env_steps, 200).astype(int)
    figure = _figure(6.4, 2.2)
    panel = figure.subplots()
    panel.plot(steps, linear_epsilon(exploration, steps), color=_BLUE, linewidth=2)
    panel.set(xlabel="env steps", ylabel="ε", ylim=(0, 1.05), xlim=(0, steps[-1]))
    _dress(panel)
    return _picture(figure, "ε of the preset classic falls in a straight line, then stays")


def _update() -> str:
    told = io.StringIO()
    with contextlib.redirect_stdout(told), contextlib.redirect_stderr(io.StringIO()):
        status = main(["explain", str(_lander()), "--update", str(_UPDATE)])
    assert status == 0
    # Where it happened to be trained is nobody's business.
    return f"```text\n{told.getvalue().replace(str(_folder()), 'runs')}```"


@functools.cache
def _experiment() -> Experiment:
    """The small run's."""
    settings = load_preset("classic").with_changes(**_SHORT).resolved()
    return Experiment.of(settings, describe("LunarLander-v3", {}), seed=0)


@functools.cache
def _history() -> tuple[np.ndarray, TrainState]:
    """‖θ - θ⁻‖ after each update of the small run, and its last state."""
    experiment = _experiment()
    settings, spec, seed = experiment.settings, experiment.spec, experiment.seed
    envs = GymnasiumVector(spec, settings.environment.num_envs, seed)
    state, distances = init_train_state(experiment), []
    total = settings.training.total_env_steps
    with contextlib.closing(HostSource(settings, experiment.network, seed, envs)) as source:
        for result in itertools.islice(rounds(experiment, source, state), total):
            state = result.state()
            if result.updates:
                distances.append(float(np.linalg.norm(_difference(state))))
    return np.array(distances), state


def _difference(state: TrainState) -> np.ndarray:
    """θ - θ⁻."""
    return np.asarray(state.learner.params) - np.asarray(state.learner.target_params)


def _stored_observations() -> np.ndarray:
    """The states in which the actions of the small run were taken, in order of time."""
    _, state = _history()
    return np.asarray(state.replay.observation)[: int(state.replay.num_steps)]


def _distance() -> str:
    distances, _ = _history()
    figure = _figure(6.4, 2.2)
    panel = figure.subplots()
    panel.plot(np.arange(1, len(distances) + 1), distances, color=_ORANGE, linewidth=1.6)
    panel.set(xlabel="updates", ylabel="‖θ − θ⁻‖", xlim=(0, len(distances)), ylim=(0, None))
    _dress(panel)
    period = _experiment().settings.learning.target_period_updates
    return _picture(
        figure,
        f"The distance between the two networks grows from zero and falls back to zero every "
        f"{period} updates",
    )


def _neighbours() -> str:
    stored = _stored_observations()
    scaled = (stored - stored.mean(axis=0)) / np.maximum(stored.std(axis=0), 1e-6)
    beside = np.linalg.norm(np.diff(scaled, axis=0), axis=1)
    random = np.random.default_rng(0)
    pairs = random.integers(0, len(scaled), (2, len(scaled)))
    apart = np.linalg.norm(scaled[pairs[0]] - scaled[pairs[1]], axis=1)
    return (
        f"In the small run's buffer, two states that follow each other lie {np.median(beside):.2g} "
        f"apart, two random ones {np.median(apart):.2g} (medians; every component in units of its "
        "standard deviation)."
    )


def _figure(width: float, height: float) -> Any:
    import matplotlib.figure

    return matplotlib.figure.Figure(figsize=(width, height), layout="constrained")


def _rectangle(place: tuple[float, float], **looks: Any) -> Any:
    import matplotlib.patches

    return matplotlib.patches.Rectangle(place, 1, 1, linewidth=2, **looks)


def _dress(panel: Any) -> None:
    import matplotlib.ticker

    panel.grid(color="#e3e5e8", linewidth=0.8)
    panel.spines[["top", "right"]].set_visible(False)
    panel.xaxis.set_major_formatter(matplotlib.ticker.EngFormatter(sep=""))


def _picture(figure: Any, text: str) -> str:
    file = io.BytesIO()
    figure.savefig(file, format="svg", facecolor="white")
    data = base64.b64encode(file.getvalue()).decode()
    return f'<img alt="{text}" src="data:image/svg+xml;base64,{data}">'


_PARTS: dict[str, Callable[[], str]] = {
    "side by side": _side_by_side,
    "grids": _grid_picture,
    "cells": _cells,
    "networks": _networks,
    "first step": _first_step,
    "epsilon": _epsilon,
    "update": _update,
    "distance": _distance,
    "neighbours": _neighbours,
}
