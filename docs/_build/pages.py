"""Writes into a page what the code alone knows. `scripts/docs` does so with each page it builds.

- `<!-- frank: settings -->` becomes a table for each group of settings;
- `<!-- frank: presets -->` becomes a section for each preset, with what it sets otherwise;
- `<!-- frank: known names -->` becomes a table of other libraries' names, with Frank's;
- `<!-- frank: robustness -->` becomes the table of what `scripts/robustness` found;
- `<!-- frank: warnings -->` becomes what the dashboard's own page says of its warnings;
- `<!-- frank: explain -->` becomes what `frank explain` prints;
- `<!-- frank: dependencies GROUP -->` becomes a table of packages that Frank asks for;
- `<!-- claim: NAME -->` becomes the claim, the table and the figure that `frank experiment` wrote;
- `<!-- result: NAME -->` becomes the same without the claim;
- `<!-- differs: NAME from ARM -->` becomes what differs in it clearly from one of its arms;
- `<!-- walk: NAME -->` becomes a part of the page "Step by step" (`walk.py`);
- `<!-- source: MODULE.NAME -->` becomes that function or class, folded away;
- `<!-- page: MODULE -->` becomes that whole file.

A marker replaces its whole line, so that the line can say to whoever reads the page in the
repository where the same is to be found.

It also checks that what stands before `<!-- value: PRESET.SETTING -->` is that preset's value, and
that the page on metrics names every table and column there is.
"""

import ast
import contextlib
import dataclasses
import importlib
import importlib.resources
import inspect
import io
import json
import pkgutil
import re
import sys
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any

_SOURCE = Path(__file__).parents[2] / "src"
_ROBUSTNESS = Path(__file__).parents[2] / "benchmarks" / "results" / "robustness.json"
_CLAIMS = Path(__file__).parents[2] / "benchmarks" / "results" / "claims"
sys.path.insert(0, str(_SOURCE))

from frankrl import config  # noqa: E402
from frankrl.config.choices import NONE  # noqa: E402
from frankrl.config.known_names import KNOWN_NAMES  # noqa: E402
from frankrl.config.presets import load_preset, preset_names  # noqa: E402
from frankrl.core.figures import figure  # noqa: E402

_VALUE = re.compile(r"<!-- value: (?P<preset>[\w.-]+)\.(?P<setting>\w+) -->")
_WRITTEN_HERE = re.compile(r"^.*<!-- frank: (?P<name>[^>]+?) -->$", re.MULTILINE)
_CLAIM = re.compile(r"^.*<!-- claim: (?P<name>[\w/]+) -->$", re.MULTILINE)
_RESULT = re.compile(r"^.*<!-- result: (?P<name>[\w/]+) -->$", re.MULTILINE)
_DIFFERS = re.compile(r"^.*<!-- differs: (?P<name>[\w/]+) from (?P<base>[^>]+?) -->$", re.MULTILINE)
_WALK = re.compile(r"^.*<!-- walk: (?P<name>[^>]+?) -->$", re.MULTILINE)
_SOURCE_OF = re.compile(r"^.*<!-- source: (?P<name>[\w.]+) -->$", re.MULTILINE)
_PAGE_OF = re.compile(r"^.*<!-- page: (?P<name>[\w.]+) -->$", re.MULTILINE)
_UNIT = re.compile(r"\s*\[(?P<unit>[^\]]+)\]$")


class PageError(Exception):
    """A page says something that does not hold, or refers to something that does not exist."""


def built(name: str, markdown: str) -> str:
    """A page with all that the code knows.

    Args:
        name: path of the page in `docs`.
        markdown: its text.

    Raises:
        PageError: something in it does not hold.
    """
    if name == "metrics.md":
        _check_metrics(markdown)
    markdown = _WRITTEN_HERE.sub(lambda m: _written(m["name"]), markdown)
    markdown = _CLAIM.sub(lambda m: _claim(m["name"]), markdown)
    markdown = _RESULT.sub(lambda m: _result(m["name"]), markdown)
    markdown = _DIFFERS.sub(lambda m: _differing(m["name"], m["base"]), markdown)
    markdown = _WALK.sub(lambda m: _beside("walk").shown(m["name"]), markdown)
    markdown = _SOURCE_OF.sub(lambda m: _source(m["name"]), markdown)
    markdown = _PAGE_OF.sub(lambda m: _whole_file(m["name"]), markdown)
    return _VALUE.sub(_checked_value, markdown)


def _settings() -> str:
    """A heading, a sentence and a table for each group."""
    sections = []
    for group in dataclasses.fields(config.Settings):
        kind = typing.get_type_hints(config.Settings)[group.name]
        rows = []
        for spec in dataclasses.fields(kind):
            text, unit = _split(config.meaning_of(spec.name))
            if condition := config.condition_of(spec.name):
                text = f"{text} (*{condition}*)"
            default = _shown(getattr(kind(), spec.name))
            allowed = _allowed(kind, spec)
            rows.append((f"`{spec.name}`", f"`{default}`", allowed, unit, text))
        head = ("name", "default", "allowed", "unit", "meaning")
        sections.append(f"### `[{group.name}]`\n\n{kind.__doc__}\n\n{_table(head, rows)}")
    return "\n\n".join(sections)


def _known_names() -> str:
    """What other libraries call a setting."""
    rows = [
        (
            f"`{known.name}`",
            ", ".join(known.libraries),
            ", ".join(f"`{name}`" for name in known.settings) or "–",
            known.how or "the same",
        )
        for known in KNOWN_NAMES
    ]
    return _table(("there", "library", "in Frank", "value"), rows)


def _warnings() -> str:
    """The body of the dashboard's own page."""
    page = importlib.resources.files("frankrl.dashboard") / "page" / "warnings.html"
    return page.read_text("utf-8").partition("<main>")[2].partition("</main>")[0]


def _explained() -> str:
    """The worked example of the notes."""
    from frankrl.cli.main import main

    told = io.StringIO()
    with contextlib.redirect_stdout(told):
        if main(["explain"]) != 0:
            raise PageError("frank explain failed")
    return f"```text\n{told.getvalue()}```"


def _dependencies(group: str) -> str:
    """The packages of pyproject.toml: `core`, `extras` or `development`."""
    kinds = _beside("dependencies")
    try:
        found = kinds.dependencies()
    except KeyError as error:
        raise PageError(f"dependencies.toml says nothing of {error}") from error

    def kind(one: Any) -> str:
        if one.group == kinds.CORE:
            return "core"
        return "development" if one.group in kinds.DEVELOPMENT else "extras"

    rows = kinds.shown([one for one in found if kind(one) == group])
    return _table(("package", "for", "versions", "licence", "why"), rows)


def _claim(name: str) -> str:
    """An experiment's claim, and what it found."""
    claim, _, _ = _written_by_experiment(name).partition("\n\n")
    return f"The claim: *{claim}*\n\n{_result(name)}"


def _result(name: str) -> str:
    """What an experiment found, without the sentence at its end."""
    _, _, tables = _written_by_experiment(name).partition("\n\n")
    table, _, _ = tables.rpartition("\n\n")
    return f"{table}\n\n![The returns of every arm](claims/{name}.png)"


def _written_by_experiment(name: str) -> str:
    return (_CLAIMS / f"{name}.md").read_text("utf-8").rstrip()


def _differing(name: str, base: str) -> str:
    """Which ways to train lie wholly above or below another one, by their intervals.

    Rainbow is compared with itself without each of its parts, anything else with all.
    """
    data = json.loads((_CLAIMS / f"{name}.json").read_text("utf-8"))
    arms = [arm for arm in data["arms"] if arm["arm"] != base]
    if base == "Rainbow":
        arms = [arm for arm in arms if arm["arm"].startswith("Rainbow without ")]
    of_base = {arm["env_id"]: arm for arm in data["arms"] if arm["arm"] == base}
    rows = []
    for env_id, beside in of_base.items():
        for score, words in (("final", "final return"), ("learning", "whole training")):
            own = [(arm["arm"], arm[score]) for arm in arms if arm["env_id"] == env_id]
            low, high = beside[score]["low"], beside[score]["high"]
            better = [_with_interval(n, f) for n, f in own if f["low"] > high]
            worse = [_with_interval(n, f) for n, f in own if f["high"] < low]
            of_it = _with_interval("", beside[score]).strip()
            rows.append((env_id, words, of_it, "; ".join(better) or "–", "; ".join(worse) or "–"))
    return _table(("environment", "figure", base, "clearly better", "clearly worse"), rows)


def _with_interval(name: str, score: dict[str, float]) -> str:
    spread = (score["high"] - score["low"]) / 2
    low, high = (figure(score[end], spread) for end in ("low", "high"))
    return f"{name} {low} … {high}"


def _beside(module: str) -> Any:
    """A module beside this one. `walk` trains, so each is imported where it is needed."""
    sys.path.insert(0, str(Path(__file__).parent))
    try:
        return importlib.import_module(module)
    finally:
        sys.path.pop(0)


def _source(name: str) -> str:
    """A function or class, folded away under its place in the repository."""
    owner, attribute = _named(name), name.rpartition(".")[2]
    lines, first = inspect.getsourcelines(owner)
    code = "".join(f"    {line}" if line.strip() else "\n" for line in lines)
    title = f"`{attribute}` in `{_path(owner)}`, lines {first} to {first + len(lines) - 1}"
    return f'??? quote "{title}"\n    ```python\n{code}    ```\n'


def _whole_file(name: str) -> str:
    """A module's file."""
    module = _named(name)
    return f'```python title="{_path(module)}"\n{inspect.getsource(module)}```\n'


def _named(name: str) -> Any:
    """The module, class or function of that name, wherever it was defined."""
    try:
        return pkgutil.resolve_name(name)
    except (ImportError, AttributeError) as error:
        raise PageError(f"a page shows {name}, which does not exist: {error}") from error


def _path(owner: Any) -> Path:
    """Where something is defined, from the repository's root."""
    return Path(inspect.getsourcefile(owner) or "").relative_to(_SOURCE.parent)


def _robustness() -> str:
    """What was tried and how often it held."""
    found = json.loads(_ROBUSTNESS.read_text("utf-8"))
    rows = [
        (
            row["claim"],
            f"{row['held']:,} of {row['tried']:,}",
            "; ".join(f"{name}: {value:,}" for name, value in row["notes"].items()),
            f"{row['seconds']:,}",
            f"{row['versions']['frankrl']}, {row['date']}",
        )
        for row in found.values()
    ]
    return _table(("what must hold", "held", "of these", "seconds", "version, date"), rows)


def _presets() -> str:
    """For each preset what it says of itself and, folded away, what it changes."""
    usual, parts = config.Settings().values(), []
    for name in preset_names():
        rows = [
            (f"`{setting}`", f"`{_shown(value)}`", f"`{_shown(usual[setting])}`")
            for setting, value in load_preset(name).values().items()
            if value != usual[setting]
        ]
        note = _leading_comment(name) or "The default of the environment of that name."
        if name == "default":
            note = "The default of every environment that has no preset of its own."
        lines = _table(("setting", "here", "in the code"), rows).splitlines()
        fold = "\n".join(f"    {line}" for line in lines)
        parts.append(f'### `{name}`\n\n{note}\n\n??? note "What it sets"\n{fold}')
    return "\n\n".join(parts)


def _split(text: str) -> tuple[str, str]:
    """Meaning and unit."""
    unit = _UNIT.search(text)
    return (text[: unit.start()], unit["unit"]) if unit else (text, "")


def _allowed(kind: type, spec: dataclasses.Field) -> str:
    hint = typing.get_type_hints(kind)[spec.name]
    if typing.get_origin(hint) is typing.Literal:
        return ", ".join(f"`{_shown(word)}`" for word in typing.get_args(hint))
    if spec.metadata.get("names_code"):
        words = [*spec.metadata["among"], "module:attribute"]
        words += [NONE] * (type(None) in typing.get_args(hint))
        return ", ".join(f"`{word}`" for word in words)
    if hint is bool:
        return "`true`, `false`"
    signs = {"at_least": "≥", "above": ">", "at_most": "≤"}
    found = [
        f"{sign} {spec.metadata[name]}"
        for name, sign in signs.items()
        if spec.metadata.get(name) is not None
    ]
    if type(None) in typing.get_args(hint):
        found.append("or `none`")
    return ", ".join(found)


def _value(preset: str, setting: str) -> Any:
    return load_preset(preset).values()[setting]


def _checked_value(marker: re.Match[str]) -> str:
    """Nothing in place of the marker, once the value before it is right."""
    value = _in_words(_value(marker["preset"], marker["setting"]))
    before = marker.string[: marker.start()]
    if not re.search(rf"(?<![\w.,]){re.escape(value)}$", before):
        raise PageError(f"a page says {before[-20:]!r} where it should say {value}: {marker[0]}")
    return ""


def _leading_comment(preset: str) -> str:
    """The comment at the head of a preset's file."""
    file = importlib.resources.files("frankrl.config.presets").joinpath(f"{preset}.toml")
    comment = []
    for line in file.read_text("utf-8").splitlines():
        if not line.startswith("#"):
            break
        comment.append(line.lstrip("# "))
    return " ".join(comment)


def _shown(value: Any) -> str:
    """A value as it is written in a TOML file."""
    if value is None:
        return NONE
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return f"{value:_}"
    if isinstance(value, tuple):
        return f"[{', '.join(map(str, value))}]"
    if isinstance(value, dict):
        return json.dumps(value)
    return str(value)


def _in_words(value: Any) -> str:
    """A value as it is written in a sentence."""
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return _shown(value)


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    def line(cells: tuple[str, ...]) -> str:
        return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"

    return "\n".join([line(head), line(("---",) * len(head)), *map(line, rows)])


def _check_metrics(markdown: str) -> None:
    """Refuse to build while the page leaves out a table or column."""
    tree = ast.parse((_SOURCE / "frankrl/runs/metrics.py").read_text("utf-8"))
    tables = next(
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "_TABLES"
    )
    missing = []
    for table, columns in tables.items():
        section = markdown.partition(f"## `{table}`")[2].partition("\n## ")[0]
        names = [column.split()[0] for column in columns if not column.startswith("PRIMARY")]
        missing += [f"{table}.{name}" for name in names if f"| `{name}` |" not in section]
    if missing:
        raise PageError(f"metrics.md does not explain {', '.join(missing)}")


def _written(name: str) -> str:
    """What a marker of the form `frank: NAME` becomes."""
    if name in _WRITTEN:
        return _WRITTEN[name]()
    kind, _, group = name.partition(" ")
    if kind == "dependencies":
        return _dependencies(group)
    raise PageError(f"there is nothing to write for the marker 'frank: {name}'")


_WRITTEN: dict[str, Callable[[], str]] = {
    "settings": _settings,
    "presets": _presets,
    "known names": _known_names,
    "warnings": _warnings,
    "robustness": _robustness,
    "explain": _explained,
}
"""Markers of this form that have no argument."""
