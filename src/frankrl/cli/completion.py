"""`frank completion`: what a shell needs to complete commands and options."""

import contextlib
import importlib
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import tyro

from frankrl.cli.output import print_result
from frankrl.cli.parsing import parse

_FLAG = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]*")
_BASH = """\
# Completion of frank for bash: source <(frank completion bash)
_frank() {{
    local word="${{COMP_WORDS[COMP_CWORD]}}" words=""
    if [ "$COMP_CWORD" -eq 1 ]; then
        words="{commands}"
    else
        case "${{COMP_WORDS[1]}}" in
{cases}
        esac
    fi
    if [[ "$word" == -* || "$COMP_CWORD" -eq 1 ]]; then
        COMPREPLY=($(compgen -W "$words" -- "$word"))
    else
        COMPREPLY=($(compgen -f -- "$word"))
    fi
}}
complete -o filenames -F _frank frank frankrl
"""
_FISH = """\
# Completion of frank for fish: frank completion fish | source
{lines}
"""


@dataclass(frozen=True)
class CompletionOptions:
    """Options of `frank completion`."""

    shell: tyro.conf.Positional[Literal["bash", "zsh", "fish"]]
    """The shell."""


def run(arguments: Sequence[str]) -> int:
    """Run the command; returns its exit status."""
    description = (
        "Print what a shell needs to complete commands and options: source <(frank completion "
        "bash), source <(frank completion zsh), or frank completion fish | source."
    )
    options = parse(CompletionOptions, arguments, "completion", description)

    from frankrl.cli.main import COMMANDS

    print_result(script(options.shell, {name: _flags(name) for name in COMMANDS}).rstrip())
    return 0


def script(shell: str, flags: Mapping[str, Sequence[str]]) -> str:
    """The script for a shell.

    Args:
        shell: bash, zsh or fish.
        flags: the options of each command.
    """
    if shell == "fish":
        first = "not __fish_seen_subcommand_from " + " ".join(flags)
        lines = [f"complete -c frank -n '{first}' -a '{' '.join(flags)}'"]
        lines += [
            f"complete -c frank -n '__fish_seen_subcommand_from {name}' -l {flag[2:]}"
            for name, own in flags.items()
            for flag in own
        ]
        return _FISH.format(lines="\n".join(lines))
    cases = [f'            {name}) words="{" ".join(own)}" ;;' for name, own in flags.items()]
    bash = _BASH.format(commands=" ".join(flags), cases="\n".join(cases))
    if shell == "bash":
        return bash
    return f"autoload -U +X bashcompinit && bashcompinit\n{bash}".replace(
        "bash:", "zsh:", 1
    ).replace("completion bash", "completion zsh", 1)


def _flags(command: str) -> list[str]:
    """The options of a command, as its help names them."""
    shown = io.StringIO()
    words = ["--help-all"] if command == "train" else ["--help"]
    with contextlib.redirect_stdout(shown), contextlib.suppress(SystemExit):
        importlib.import_module(f"frankrl.cli.{command}").run(words)
    return sorted({*_FLAG.findall(shown.getvalue()), "--help"})
