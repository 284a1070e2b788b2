"""The short help of `frank train`: what matters first."""

from typing import Any

from frankrl.cli.two_columns import entry, text_width
from frankrl.config import Settings, meaning_of
from frankrl.config.choices import NONE

_OPTIONS = {
    "--preset NAME": "named settings, or a TOML file of your own",
    "--seed N": "the same seed and settings give the same bits",
    "--seeds N": "train several runs that differ in their seeds alone: 64, or 100-163",
    "--out FOLDER": "run folder; without it, one below runs/",
    "--resume RUN": "continue a run from its newest checkpoint, to the same bits",
    "--overwrite": "replace a run that is already in the run folder",
    "--dashboard": "serve a live page of the run while it trains",
    "--quiet, --verbose": "show the result alone; or each row of metrics as a line",
    "--json": "end with one JSON line on standard output",
}
_SETTINGS = (
    "total_env_steps",
    "until_solved",
    "num_envs",
    "learning_rate",
    "gamma",
    "batch_size",
    "replay_capacity",
    "replay_ratio",
    "target_period_updates",
    "epsilon_decay_env_steps",
    "n_step",
    "hidden_widths",
)
"""The settings that decide most, in the order in which one thinks of them."""
_INDENT = 34


def short_help(preset: str, settings: Settings) -> str:
    """The help that `frank train --help` prints.

    Args:
        preset: name of the preset that would be used.
        settings: its settings.
    """
    values = settings.values()
    lines = [
        "Train a Deep Q-Network on a Gymnasium environment.",
        "",
        "usage: frank train ENV [OPTIONS]                  ENV is such as LunarLander-v3",
        "       frank train --resume RUN [OPTIONS]         continue a run",
        "       frank train ENV --dataset NAME [OPTIONS]   learn from recorded data",
        "",
        "options:",
        *(line for flag, text in _OPTIONS.items() for line in _lines(flag, text)),
        "",
        f"the settings that matter first, with the values of the preset {preset}:",
    ]
    for name in _SETTINGS:
        lines += _lines(f"--{name.replace('_', '-')} {_shown(values[name])}", _first(name))
    more = len(values) - len(_SETTINGS)
    lines += ["", f"`frank train --help-all` shows every option and {more} more settings."]
    return "\n".join(lines)


def _shown(value: Any) -> str:
    """A value as it is typed; nothing for a switch that is off."""
    if isinstance(value, bool):
        return ""
    if isinstance(value, tuple):
        return " ".join(map(str, value))
    return NONE if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _first(name: str) -> str:
    """The first sentence about a setting, and its unit."""
    text = " ".join(meaning_of(name).split())
    sentence, unit = text, ""
    if text.endswith("]"):
        sentence, _, unit = text.rpartition(" [")
        unit = f" [{unit}"
    return sentence.split(". ")[0].split("; ")[0].rstrip(".") + unit


def _lines(flag: str, text: str) -> list[str]:
    return list(entry(f"  {flag}".rstrip(), text, _INDENT, text_width()))
