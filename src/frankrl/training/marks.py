"""What a run records of itself beside its numbers: where it is no longer exact, what failed."""

from collections.abc import Iterable, Mapping

from frankrl.config import Clock
from frankrl.core.errors import warn
from frankrl.core.text import shown
from frankrl.core.types import FailedEpisode
from frankrl.experience import Collected
from frankrl.training.events import EnvironmentRestarted, NotReproducible


class Marks:
    """Where and why a run may differ in its bits, and which environments were made anew."""

    def __init__(self, clock: Clock) -> None:
        """There are none yet; `clock` is the run's."""
        self._clock = clock
        self.not_reproducible: tuple[NotReproducible, ...] = ()
        self.restarts: tuple[EnvironmentRestarted, ...] = ()
        self._said_missing: set[str] = set()
        """Names of own metrics of which it was said that an info lacks them."""

    def mark(self, ticks: int, reason: str) -> NotReproducible:
        """Warn, and record, that the run may differ in its bits from here on."""
        warn(f"not bit-exact from {self._clock.at(ticks)}, because {reason}")
        mark = NotReproducible(ticks, reason)
        self.not_reproducible = (*self.not_reproducible, mark)
        return mark

    def take(
        self, collected: Collected, ticks_before: int
    ) -> tuple[list[EnvironmentRestarted], list[NotReproducible]]:
        """Record what became of a round.

        Args:
            collected: the experience of the round.
            ticks_before: of the run's clock, before the round.

        Returns:
            The restarts and the marks that it adds.
        """
        for info in collected.final_infos.values():
            if not self._said_missing.issuperset(info.missing):
                self._say_missing(info.missing)
        restarts = self._failed(collected.failed)
        reasons = dict.fromkeys(each.not_exact_because for each in collected.failed)
        found = [*(reason for reason in reasons if reason), *collected.not_exact_because]
        return restarts, [self.mark(ticks_before, reason) for reason in found]

    def _failed(self, failed: Iterable[FailedEpisode]) -> list[EnvironmentRestarted]:
        """Record the episodes that were dropped."""
        restarts = [
            EnvironmentRestarted(each.env_steps, each.env_index, shown(each.reason), each.episode)
            for each in failed
        ]
        self.restarts = (*self.restarts, *restarts)
        return restarts

    def _say_missing(self, missing: Mapping[str, str]) -> None:
        """Say once of each own metric why it is not there."""
        for name, reason in missing.items():
            if name not in self._said_missing:
                warn(f"info_metrics: there is no {name} at the end of an episode: {reason}")
        self._said_missing |= missing.keys()
