"""The choice that a setting belongs to: without it the setting is idle, it changes nothing."""

from dataclasses import dataclass
from typing import Any

NONE = "none"
"""How a TOML file says that an optional setting is off."""


@dataclass(frozen=True)
class Choice:
    """Values of a setting that give other settings their effect."""

    setting: str
    values: tuple[Any, ...]
    is_excluding: bool = False
    """The values are those that take the effect away; any other one gives it."""

    def is_made(self, value: Any) -> bool:
        """Whether this value of the setting makes the choice."""
        return (value in self.values) != self.is_excluding

    @property
    def condition(self) -> str:
        """The choice in words, such as "with distribution c51"."""
        if self.values == (True,):
            return f"with {self.setting}"
        if self.values == (False,):
            return f"without {self.setting}"
        word = "unless" if self.is_excluding else "with"
        verb = " is" if self.is_excluding else ""
        return f"{word} {self.setting}{verb} {self._either}"

    @property
    def advice(self) -> str:
        """How to make the choice, such as "set distribution to c51"."""
        if self.is_excluding:
            return f"give {self.setting} a value"
        return f"set {self.setting} to {self._either}"

    @property
    def _either(self) -> str:
        return " or ".join(map(shown, self.values))


def chosen(setting: str, *values: Any) -> Choice:
    """The choice of one of these values."""
    return Choice(setting, values)


def unless(setting: str, *values: Any) -> Choice:
    """The choice of any value but these. A setting that is idle itself makes it not."""
    return Choice(setting, values, is_excluding=True)


def conditions(choices: tuple[Choice, ...]) -> str:
    """Any of several choices in words: "with loss huber, or with distribution qr or iqn"."""
    return ", or ".join(choice.condition for choice in choices)


def shown(value: Any) -> str:
    """A value as a person reads it in a sentence."""
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
