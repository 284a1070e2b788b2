"""Choices that settings belong to: if its choice is not made, a setting is idle."""

from dataclasses import dataclass, replace
from typing import Any

NONE = "none"
"""The value in a TOML file that turns an optional setting off."""


@dataclass(frozen=True)
class Choice:
    """Values of a setting that make other settings effective."""

    setting: str
    values: tuple[Any, ...]
    is_excluding: bool = False
    """The choice is any value except `values`."""
    counts_idle: bool = True
    """Whether it can be made by a setting that is itself idle, which counts as its default."""
    also: "Choice | None" = None
    """Another choice that must be made as well."""
    words: str | None = None
    """The choice in words; empty: another part says it; None: its values are named."""

    def parts(self) -> "tuple[Choice, ...]":
        """The choice itself, and those that must be made as well."""
        return (self, *(self.also.parts() if self.also else ()))

    def is_made(self, value: Any) -> bool:
        """Whether this value of the setting makes the choice."""
        return (value in self.values) != self.is_excluding

    @property
    def condition(self) -> str:
        """The choice in words, such as "with distribution c51"."""
        return " and ".join(filter(None, (part.first_condition for part in self.parts())))

    @property
    def first_condition(self) -> str:
        """The same without the choices that must be made as well."""
        if self.words is not None:
            return self.words
        # By identity: 1 and 0 are equal to them.
        if self.values[0] is True:
            return f"with {self.setting}"
        if self.values[0] is False:
            return f"without {self.setting}"
        if self.values == (None,):
            return f"{'with' if self.is_excluding else 'without'} {self.setting}"
        word = "unless" if self.is_excluding else "with"
        verb = " is" if self.is_excluding else ""
        return f"{word} {self.setting}{verb} {self._either}"

    @property
    def advice(self) -> str:
        """How to make the choice, such as "set distribution to c51"."""
        if self.is_excluding:
            return f"give {self.setting} another value"
        return f"set {self.setting} to {self._either}"

    @property
    def _either(self) -> str:
        return " or ".join(map(shown, self.values))


def chosen(setting: str, *values: Any) -> Choice:
    """The choice of one of these values."""
    return Choice(setting, values)


def chosen_effectively(setting: str, *values: Any) -> Choice:
    """The choice of one of these values. It is not made if the setting itself is idle."""
    return Choice(setting, values, counts_idle=False)


def unless(setting: str, *values: Any) -> Choice:
    """The choice of any value except these. It is not made if the setting itself is idle."""
    return Choice(setting, values, is_excluding=True, counts_idle=False)


def worded(choice: Choice, words: str) -> Choice:
    """The same choice with words for people."""
    return replace(choice, words=words)


def both(one: Choice, other: Choice) -> Choice:
    """The choice that is made if both of these are.

    Args:
        one: a choice of a single setting.
        other: any choice.
    """
    return replace(one, also=other)


def conditions(choices: tuple[Choice, ...]) -> str:
    """Any of several choices in words: "with loss huber, or with distribution qr or iqn".

    What several have in common stands once: "with noisy (without dataset, or with algorithm dqn)".
    """
    by_rest: dict[str, list[str]] = {}
    for choice in choices:
        rest = choice.also.condition if choice.also else ""
        by_rest.setdefault(rest, []).append(choice.first_condition)
    words = []
    for rest, firsts in by_rest.items():
        firsts = list(dict.fromkeys(firsts))
        joined = ", or ".join(firsts)
        together = f"{joined} and {rest}" if len(firsts) == 1 else f"{rest} ({joined})"
        words.append(together if rest else joined)
    return ", or ".join(words)


def shown(value: Any) -> str:
    """A value in the form in which messages show it."""
    if value is None:
        return NONE
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, tuple):
        return f"[{', '.join(map(str, value))}]"
    return str(value)
