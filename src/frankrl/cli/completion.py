"""`frank completion`: what a shell needs to complete commands and options."""

import contextlib
import importlib
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import tyro

from frankrl.cli.output import print_result
from frankrl.cli.parsing import OTHER_FLAGS, parse

_FLAG = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]*")
_ROW = re.compile(r"^[│ ]*(?:-\w, )?(?P<flags>--[a-z].*?)(?:  |$)", re.MULTILINE)
"""The beginning of a row of the help: what stands behind it, or elsewhere, is prose."""
_BASH = """\
# Completion of frank for bash: source <(frank completion bash)
_frank() {{
    local word="${{COMP_WORDS[COMP_CWORD]}}" command="${{COMP_WORDS[1]}}" names="" flags=""
    if [ "$COMP_CWORD" -eq 1 ]; then
        COMPREPLY=($(compgen -W "{commands}" -- "$word"))
        return
    fi
    if [ "$COMP_CWORD" -eq 2 ]; then
        case "$command" in
{names}
        esac
    else
        command="$command ${{COMP_WORDS[2]}}"
    fi
    case "$command" in
{flags}
    esac
    if [[ "$word" == -* ]]; then
        COMPREPLY=($(compgen -W "$flags" -- "$word"))
    else
        COMPREPLY=($(compgen -W "$names" -- "$word"; compgen -f -- "$word"))
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

    flags = {command: _flags(command) for name in COMMANDS for command in _with_own(name)}
    print_result(script(options.shell, flags).rstrip())
    return 0


def script(shell: str, flags: Mapping[str, Sequence[str]]) -> str:
    """The script for a shell.

    Args:
        shell: bash, zsh or fish.
        flags: the options of each command, and of each command of a command, as in "hub push".
    """
    own = {
        name: [words.split()[1] for words in flags if words.startswith(f"{name} ")]
        for name in flags
        if " " not in name
    }
    if shell == "fish":
        return _FISH.format(lines="\n".join(_fish_lines(own, flags)))
    bash = _BASH.format(
        commands=" ".join(own),
        names="\n".join(
            f'            {name}) names="{" ".join(words)}" ;;'
            for name, words in own.items()
            if words
        ),
        # Those of two words come first, because "hub "* fits them, too.
        flags="\n".join(
            f"""        "{name}" | "{name} "*) flags="{" ".join(flags[name])}" ;;"""
            for name in sorted(flags, key=lambda name: " " not in name)
        ),
    )
    if shell == "bash":
        return bash
    return f"autoload -U +X bashcompinit && bashcompinit\n{bash}".replace(
        "bash:", "zsh:", 1
    ).replace("completion bash", "completion zsh", 1)


def _fish_lines(
    own: Mapping[str, Sequence[str]], flags: Mapping[str, Sequence[str]]
) -> Iterator[str]:
    """What fish is told.

    Args:
        own: the commands of each command.
        flags: as of `script`.
    """
    seen = "__fish_seen_subcommand_from"

    def line(condition: str, rest: str) -> str:
        return f"complete -c frank -n '{condition}' {rest}"

    yield "complete -c frankrl -w frank"
    yield line(f"not {seen} {' '.join(own)}", f"-a '{' '.join(own)}'")
    for command, names in flags.items():
        condition = "; and ".join(f"{seen} {word}" for word in command.split())
        if below := " ".join(own.get(command, ())):
            condition += f"; and not {seen} {below}"
            yield line(condition, f"-a '{below}'")
        for flag in names:
            yield line(condition, f"-l {flag[2:]}")


def _with_own(name: str) -> list[str]:
    """A command, and its own commands."""
    own = getattr(importlib.import_module(f"frankrl.cli.{name}"), "SUBCOMMANDS", ())
    return [name, *(f"{name} {word}" for word in own)]


def _flags(command: str) -> list[str]:
    """The options of a command, as its help names them; of two spellings that of the setting."""
    shown = io.StringIO()
    name, *words = command.split()
    words.append("--help-all" if name == "train" else "--help")
    with contextlib.redirect_stdout(shown), contextlib.suppress(SystemExit):
        importlib.import_module(f"frankrl.cli.{name}").run(words)
    rows = " ".join(row["flags"] for row in _ROW.finditer(shown.getvalue()))
    return sorted({*_FLAG.findall(rows), "--help"} - set(OTHER_FLAGS.values()))
