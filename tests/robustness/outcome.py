"""What a robustness study found."""

import threading
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

    def count(self, name: str, by: int = 1) -> None:
        """Add to a figure."""
        with self.lock:
            self.notes[name] = self.notes.get(name, 0) + by

    def row(self) -> str:
        """A row of a Markdown table."""
        notes = "; ".join(f"{name}: {value:,}" for name, value in self.notes.items())
        return f"| {self.claim} | {self.held:,} of {self.tried:,} | {notes} |"


def assert_all_held(outcome: Outcome, at_least: int = 1) -> None:
    """For tests: it was tried so often, and held each time."""
    assert outcome.tried >= at_least
    assert outcome.held == outcome.tried, "\n".join(outcome.failures[:5])
