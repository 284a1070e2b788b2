"""`frank explain`: show every number of one update, in the order of the notes."""

import dataclasses
import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import tyro

from frankrl.cli.output import print_result
from frankrl.cli.parsing import parse, say
from frankrl.core.errors import SettingError
from frankrl.core.figures import counted
from frankrl.core.paths import given_path
from frankrl.core.text import MAX_MESSAGE, shown

if TYPE_CHECKING:
    from frankrl.config import Clock
    from frankrl.environments import EnvironmentSpec
    from frankrl.explaining import Reopened
    from frankrl.explaining.cost import Cost
    from frankrl.explaining.document import Document
    from frankrl.explaining.saliency import Map
    from frankrl.runs import RunFolder

_PAGE = "update.html"
"""A page's name, where a message needs one."""


@dataclass(frozen=True)
class ExplainOptions:
    """Options of `frank explain`."""

    run: tyro.conf.Positional[str] = ""
    """Run folder; none: the worked example of the notes."""
    update: int | None = None
    """The update to open, from 1; none: the whole Q-table if states are numbered, else which
    updates can be opened. [updates]"""
    transition: int = 0
    """Transition of the batch to follow, from 0; with memory a learned step of a sequence."""
    sequence: int | None = None
    """Sequence of the batch to follow, from 0, in a run with memory; none: the first one."""
    env: str = ""
    """Name of the run's environment, to import its module although somebody else wrote the run."""
    allow_code: bool = False
    """Import whatever module the run names, although somebody else wrote the run."""
    json: bool = False
    """Print one JSON object with every number instead of text."""
    html: str = ""
    """Write an HTML page to this file instead, and print the file's name."""
    saliency: bool = False
    """Show on that page which pixels of s the Q-network's value depends on: |∂ max Q / ∂ pixel|."""


def run(arguments: Sequence[str]) -> int:
    """Run the command; returns its exit status."""
    summary = "Open one update of a run and show every number of it, in the order of the notes."
    options = parse(ExplainOptions, arguments, "explain", summary)
    if options.html:
        # Absolute before foreign code runs, which may change the working directory.
        page = given_path(options.html, "--html").absolute()
        options = dataclasses.replace(options, html=str(page))
    if options.json and options.html:
        raise SettingError("--json prints numbers and --html writes a page: give one of the two")
    if options.saliency and not options.html:
        raise SettingError("--saliency draws on pictures: give --html FILE with it")
    if not options.run:
        if _given(options, "update", "transition", "sequence", "json", "saliency"):
            raise SettingError(
                "--update, --transition, --sequence, --json and --saliency need a run: name its "
                "folder first"
            )
        return _explain_notes(options.html)

    from frankrl.explaining.narrative import about_run
    from frankrl.opening import open_run

    folder = open_run(options.run, options.env, options.allow_code, {})
    about = about_run(folder)
    if options.update is None:
        if _has_numbered_states(folder):
            return _explain_table(folder, about, options)
        return _list_updates(folder, about, options)
    return _explain_update(folder, options.update, about, options)


def _explain_update(folder: "RunFolder", update: int, about: str, options: ExplainOptions) -> int:
    from frankrl.explaining import cost_of
    from frankrl.explaining.narrative import narrate
    from frankrl.explaining.plain import plain
    from frankrl.explaining.saliency import check_pictures
    from frankrl.opening import check_transition, open_update
    from frankrl.runs.atomic_file import check_writable

    settings = folder.description.settings
    check_transition(folder, options.transition, options.sequence)
    cost = cost_of(folder, update)
    if options.saliency and (stored := _stored_spec(folder)):
        check_pictures(stored)
    if options.html:
        check_writable(given_path(options.html, "--html"), "--html", _PAGE)
    clock = folder.description.settings.clock
    _print_cost(cost, clock)
    reopened, came_from = open_update(folder, update, cost=cost)
    record, spec = reopened.record, reopened.spec
    if options.json:
        print_result(json.dumps(plain(record, came_from), allow_nan=False))
        return 0
    index = record.followed(options.transition, options.sequence)
    saliency = _saliency(reopened, index) if options.saliency else ()
    _show(narrate(record, came_from, index, spec, settings, about, saliency), options.html)
    return 0


def _saliency(reopened: "Reopened", index: int) -> "list[Map]":
    """The saliency of s of one transition."""
    import jax

    from frankrl.explaining.saliency import saliency_maps

    record = reopened.record
    batch, sequences = record.batch, record.sequences
    observation, mask = jax.tree.map(
        lambda leaf: leaf[index : index + 1], (batch.observation, batch.mask)
    )
    memory = None if sequences is None else sequences.memory_before(index)
    maps = saliency_maps(reopened.network, reopened.params, reopened.spec)
    return maps(observation, mask, memory)


def _has_numbered_states(folder: "RunFolder") -> bool:
    """Whether the Q-values of a run can be a table of all states, by its newest checkpoint: the
    states are numbered, and it learns their Q-values; false without a checkpoint."""
    from frankrl.tabular import table_size

    settings = folder.description.settings
    if settings.learning.algorithm == "bc" or settings.sequences is not None:
        return False
    spec = _stored_spec(folder)
    return spec is not None and table_size(spec) is not None


def _stored_spec(folder: "RunFolder") -> "EnvironmentSpec | None":
    """A run's environment by its newest checkpoint; None without one."""
    from frankrl.runs import list_checkpoints, load_newest
    from frankrl.training.resuming import stored_spec

    if not list_checkpoints(folder.checkpoints):
        return None
    return stored_spec(folder, load_newest(folder.checkpoints, {})[0].info)


def _given(options: ExplainOptions, *names: str) -> list[str]:
    """The flags of those of some options that were given."""
    given = (name for name in names if getattr(options, name) != getattr(ExplainOptions, name))
    return [f"--{name}" for name in given]


def _list_updates(folder: "RunFolder", about: str, options: ExplainOptions) -> int:
    from frankrl.explaining import openable

    for given in _given(options, "transition", "sequence", "json", "html"):
        raise SettingError(f"{given} needs an update: name one with --update")
    print_result(about)
    reached, starts = openable(folder)
    clock = folder.description.settings.clock
    print_result(
        f"has the updates 1 to {reached:,}: frank explain {shlex.quote(options.run)} --update N"
    )
    for start in starts:
        if start.updates < reached:
            print_result(
                f"  from the checkpoint at {clock.at(start.env_steps)}: quickest from update "
                f"{start.updates + 1:,} on"
            )
    return 0


def _explain_table(folder: "RunFolder", about: str, options: ExplainOptions) -> int:
    from frankrl.explaining.whole_table import table_document, whole_table
    from frankrl.opening import open_agent
    from frankrl.runs import PLAYING, check_code
    from frankrl.runs.atomic_file import check_writable

    for given in _given(options, "transition", "sequence", "saliency"):
        raise SettingError(f"{given} belongs to an update: give --update with it")
    if options.html:
        check_writable(given_path(options.html, "--html"), "--html", _PAGE)
    agent, _ = open_agent(folder)
    check_code(folder, PLAYING)
    settings = folder.description.settings
    learning = settings.learning
    table = whole_table(
        agent.spec,
        agent.batch_q_values,
        learning.gamma,
        is_rescaled=learning.value_rescaling,
    )
    if options.json:
        print_result(json.dumps(table.plain(), allow_nan=False))
        return 0
    _show(
        table_document(table, agent.spec, f"Q-{settings.network.q_function}", about), options.html
    )
    return 0


def _explain_notes(html: str) -> int:
    from frankrl.environments import describe
    from frankrl.explaining.notes import notes_document
    from frankrl.runs.atomic_file import check_writable

    if html:
        check_writable(given_path(html, "--html"), "--html", _PAGE)
    _show(notes_document(describe("LunarLander-v3", {})), html)
    return 0


def _show(document: "Document", html: str) -> None:
    """Print the document, or write it as a page."""
    if not html:
        from frankrl.explaining.text import as_text

        print_result("\n".join(shown(line, MAX_MESSAGE) for line in as_text(document)))
        return
    from frankrl.explaining.html import as_html
    from frankrl.runs.atomic_file import write_whole

    # The page may name a path that is not UTF-8; a terminal shows such a path escaped, too.
    page = as_html(document).encode("utf-8", "backslashreplace")
    write_whole(given_path(html, "--html"), page, "--html")
    print_result(str(html))


def _print_cost(cost: "Cost", clock: "Clock") -> None:
    about = "" if cost.seconds is None else f", about {cost.seconds:.0f} s"
    say(f"repeating {counted(cost.ticks, clock.unit)} from {clock.at(cost.first_tick)}{about}")
