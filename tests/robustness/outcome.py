"""What a robustness study found."""

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass
class Outcome:
    """How often something was tried and how often it held."""

    name: str
    claim: str
    tried: int = 0
    held: int = 0
    notes: dict[str, int | float] = field(default_factory=dict)
    """Further figures, by name."""
    failures: list[str] = field(default_factory=list)

    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def note(self, holds: bool, otherwise: str) -> None:
        """One more try."""
        with self.lock:
            self.tried += 1
            self.held += holds
            if not holds:
                self.failures.append(otherwise)

    def count(self, name: str, by: int | float = 1) -> None:
        """Add to a figure."""
        with self.lock:
            self.notes[name] = self.notes.get(name, 0) + by

    def row(self) -> str:
        """A row of a Markdown table."""
        notes = "; ".join(f"{name}: {value:,}" for name, value in self.notes.items())
        return f"| {self.claim} | {self.held:,} of {self.tried:,} | {notes} |"


def joined(outcomes: Iterable[Outcome]) -> list[Outcome]:
    """One outcome for all that have the same name, with the sums of their figures."""
    found: dict[str, Outcome] = {}
    for outcome in outcomes:
        first = found.setdefault(outcome.name, outcome)
        if first is not outcome:
            first.tried += outcome.tried
            first.held += outcome.held
            first.failures += outcome.failures
            for name, value in outcome.notes.items():
                first.count(name, value)
    return list(found.values())


def assert_all_held(outcome: Outcome, at_least: int = 1) -> None:
    """For tests: it was tried so often, and held each time."""
    assert outcome.tried >= at_least
    assert outcome.held == outcome.tried, "\n".join(outcome.failures[:5])
