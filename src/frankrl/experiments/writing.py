"""Table, data and figure of an experiment."""

import importlib.util
import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from frankrl.core.errors import MissingExtraError, SettingError
from frankrl.core.figures import counted, figure
from frankrl.core.score import FEWEST_FOR_INTERVAL, Score
from frankrl.experiments.results import ArmResult
from frankrl.experiments.study import Study

_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_STYLES = ("-", "--", ":", "-.")
_MAX_CURVES = 7
"""Number of curves that can be distinguished in one panel."""
_MAX_SEEDS = 20
"""Number of seeds whose returns are listed one by one; of more, their quantiles are."""
_QUANTILES = (0, 10, 25, 50, 75, 90, 100)
"""In percent."""


def check_can_draw() -> None:
    """Check, before any run, that the figure can be drawn.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise MissingExtraError("the figure of frank experiment", "matplotlib", "plot")


def write(study: Study, name: str, results: Sequence[ArmResult], folder: Path) -> list[Path]:
    """Write `NAME.md`, `NAME.json` and `NAME.png`.

    Args:
        study: the study.
        name: name of the experiment.
        results: results of the study.
        folder: target folder.

    Returns:
        The three files, in that order.

    Raises:
        SettingError: a file cannot be written.
    """
    table, data, picture = (folder / f"{name}.{kind}" for kind in ("md", "json", "png"))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        table.write_text(as_markdown(study, results), "utf-8")
        data.write_text(json.dumps(as_plain(study, results), indent=1) + "\n", "utf-8")
        with warnings.catch_warnings():
            # A name may have letters that the font lacks; they are drawn as boxes.
            warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
            drawing(study, results).savefig(picture, dpi=130)
    except OSError as error:
        raise SettingError(
            f"the experiment's results cannot be written to {folder}: {error.strerror or error}; "
            "choose another --out"
        ) from error
    return [table, data, picture]


def as_markdown(study: Study, results: Sequence[ArmResult]) -> str:
    """The claim, and a table for each environment."""
    lines = [study.experiment.claim, ""]
    for env_id in study.env_ids:
        lines += [
            f"**{env_id}** ({counted(len(study.seeds), 'seed')})",
            "",
            f"| | final return | return over the whole training | {_listed(study)} |",
            "|---|---|---|---|",
        ]
        for result in (result for result in results if result.env_id == env_id):
            spread = (result.final.high - result.final.low) / 2
            listed = result.final_returns
            if len(listed) > _MAX_SEEDS:
                listed = np.percentile(listed, _QUANTILES)
            each = "; ".join(figure(value, spread) for value in listed)
            lines.append(
                f"| {result.arm} | {_with_interval(result.final)} "
                f"| {_with_interval(result.learning)} | {each} |"
            )
        lines.append("")
    lines.append(
        f"{_score_kind(study)}. The final return is the mean of 50 greedy episodes of the final "
        "policy; the return over the whole training is the mean of all evaluations during training."
    )
    return "\n".join(lines) + "\n"


def _listed(study: Study) -> str:
    """What the last column of the table lists."""
    if len(study.seeds) <= _MAX_SEEDS:
        return "each seed's final return"
    return f"final returns of the seeds: {', '.join(map(str, _QUANTILES))} %"


def _score_kind(study: Study) -> str:
    """The kind of score and spread, in words."""
    if len(study.seeds) < FEWEST_FOR_INTERVAL:
        return "Mean over seeds, with their range"
    return "Interquartile mean over seeds, with its 95 % bootstrap interval"


def as_plain(study: Study, results: Sequence[ArmResult]) -> dict[str, Any]:
    """All results as JSON data."""
    return {
        "claim": study.experiment.claim,
        "seeds": list(study.seeds),
        "arms": [
            {
                "env_id": result.env_id,
                "arm": result.arm,
                "final": result.final._asdict(),
                "learning": result.learning._asdict(),
                "final_returns": result.final_returns.tolist(),
                "env_steps": result.env_steps.tolist(),
                "evaluations": result.evaluations.tolist(),
            }
            for result in results
        ],
    }


def drawing(study: Study, results: Sequence[ArmResult]) -> Any:
    """A panel for each environment: learning curves, or final returns if there are many arms."""
    many = len(study.experiment.arms) > _MAX_CURVES
    return intervals(study, results) if many else curves(study, results)


def intervals(study: Study, results: Sequence[ArmResult]) -> Any:
    """A row for each arm: its final return with interval, and a dot for each seed."""
    figures = importlib.import_module("matplotlib.figure")
    arms = [arm.name for arm in study.experiment.arms]
    size = (3.1 * len(study.env_ids) + 1.6, 0.28 * len(arms) + 1.4)
    drawn = figures.Figure(figsize=size, layout="constrained")
    panels = drawn.subplots(1, len(study.env_ids), squeeze=False, sharey=True)[0]
    for panel, env_id in zip(panels, study.env_ids, strict=True):
        own = [result for result in results if result.env_id == env_id]
        for row, result in enumerate(own):
            seeds = result.final_returns
            panel.plot(seeds, [row] * len(seeds), ".", color=_COLOURS[5], markersize=5)
            panel.plot(result.final[1:], [row, row], "-", color=_COLOURS[0], linewidth=1.6)
            panel.plot(result.final.middle, row, "D", color=_COLOURS[0], markersize=4.5)
        panel.axvline(own[0].final.middle, color=_COLOURS[1], linestyle="--", linewidth=1)
        panel.set_title(env_id, fontsize=10)
        panel.set_xlabel("final return")
        panel.grid(axis="x", color="#e3e5e8", linewidth=0.8)
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].set_yticks(range(len(arms)), arms, fontsize=8)
    panels[0].invert_yaxis()
    drawn.suptitle(
        f"{_score_kind(study).lower()} ({counted(len(study.seeds), 'seed')}, dots); "
        f"dashed line: {arms[0]}",
        fontsize=9,
    )
    return drawn


def curves(study: Study, results: Sequence[ArmResult]) -> Any:
    """Median and range over seeds of the evaluations during training; the middle half of many."""
    figures = importlib.import_module("matplotlib.figure")
    ticker = importlib.import_module("matplotlib.ticker")
    drawn = figures.Figure(figsize=(5.2 * len(study.env_ids), 4.2), layout="constrained")
    panels = drawn.subplots(1, len(study.env_ids), squeeze=False)[0]
    are_many = len(study.seeds) > _MAX_SEEDS
    for panel, env_id in zip(panels, study.env_ids, strict=True):
        own = [result for result in results if result.env_id == env_id]
        for number, result in enumerate(own):
            colour, style = _COLOURS[number % len(_COLOURS)], _STYLES[number % len(_STYLES)]
            evaluations = result.evaluations
            panel.fill_between(
                result.env_steps,
                *np.percentile(evaluations, (25, 75) if are_many else (0, 100), axis=0),
                color=colour,
                alpha=0.12,
                linewidth=0,
            )
            panel.plot(
                result.env_steps,
                np.median(evaluations, axis=0),
                style,
                color=colour,
                linewidth=1.8,
                label=result.arm,
            )
        panel.set_title(env_id)
        panel.set_xlabel("env steps")
        panel.xaxis.set_major_formatter(ticker.EngFormatter(sep=""))
        panel.grid(color="#e3e5e8", linewidth=0.8)
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("return of greedy episodes")
    panels[0].legend(fontsize=8, framealpha=0.9, edgecolor="none")
    what = "median and middle half of" if are_many else "median and range over"
    drawn.suptitle(f"{what} {counted(len(study.seeds), 'seed')}", fontsize=9)
    return drawn


def _with_interval(score: Score) -> str:
    middle, low, high = (figure(value, (score.high - score.low) / 2) for value in score)
    return f"{middle} ({low} … {high})"
