"""Who may write a run that moves: taken at once, or once nobody else has it."""

import time
from collections.abc import Callable

from frankrl.core.errors import SettingError, StorageError
from frankrl.core.wording import option
from frankrl.runs.publishing import (
    FINISHED,
    Claim,
    LeaseWatch,
    Log,
    Ownership,
    Record,
    Saved,
    lease_of,
)
from frankrl.runs.same_run import unlike
from frankrl.training.published_folder import AskedRun

_LOOK_SECONDS = 1.0
"""How often a lease is looked at, or ten times while it holds, if that is more often."""


def taken_or_finished(
    log: Log,
    run: AskedRun,
    lease_seconds: float,
    stop_requested: Callable[[], bool],
    say: Callable[[str], None],
) -> Ownership | Saved | None:
    """The right to write the run, once nobody else has it; its end, if it has come to it.

    Raises:
        SettingError: the address holds another run.
        StorageError: it cannot be reached.
    """
    watch, waited_for = LeaseWatch(log), 0
    while not stop_requested():
        try:
            found, claim = _once(log, run, lease_seconds, watch, say)
            if claim is None:
                if found is not None:
                    return found
            elif waited_for != claim.fence:
                say(_waiting(log, claim))
                waited_for = claim.fence
        except StorageError:
            # A wait may be long: the storage may come back.
            if not waited_for:
                raise
            time.sleep(_LOOK_SECONDS)
        else:
            seconds = _LOOK_SECONDS if claim is None else claim.lease_seconds
            time.sleep(min(_LOOK_SECONDS, seconds / 10))
    if waited_for:
        say(f"{log.storage.address} was waited for in vain; the same command waits again")
    return None


def _once(
    log: Log, run: AskedRun, lease_seconds: float, watch: LeaseWatch, say: Callable[[str], None]
) -> tuple[Ownership | Saved | None, Claim | None]:
    """Try once to take the run: what was taken, or its end, or by which claim it is held.

    Raises:
        SettingError: the address holds another run.
        StorageError: it cannot be reached.
    """
    head, last = log.head()
    held = None if head is None else _held_by(log, head, watch, run)
    if isinstance(head, Saved) and head.kind == FINISHED:
        return head, None
    if held is not None:
        return None, held
    if head is None:
        log.storage.check_exclusive()
    owned = Ownership.claimed(log, head, last, run.description, lease_seconds)
    if owned is not None and head is not None:
        before = log.claim_of(head)
        say(
            f"{log.storage.address}: taking the run over from {before.owner} (number "
            f"{before.fence}) with fencing number {owned.fence}"
        )
    return owned, None


def _held_by(log: Log, head: Record, watch: LeaseWatch, run: AskedRun) -> Claim | None:
    """The claim under which another process has the run; None if its lease is expired.

    Raises:
        SettingError: the address holds another run.
        StorageError: the storage cannot be reached.
    """
    claim = log.claim_of(head)
    is_free = watch.is_expired(claim, time.monotonic())
    if not is_free or log.newest_saved() is not None:
        _check_same(log, claim, run)
    return None if is_free else claim


def _check_same(log: Log, claim: Claim, run: AskedRun) -> None:
    if different := unlike(run.description, claim.description):
        raise SettingError(
            f"{log.storage.address} holds another run: {'; '.join(different)}; choose another "
            f"{option('publish')}"
        )


def _waiting(log: Log, claim: Claim) -> str:
    age = lease_of(log.storage, claim).age()
    return (
        f"{log.storage.address} is held by {claim.owner} (fencing number {claim.fence}, lease "
        f"renewed {age:,.0f} s ago): waiting until the lease is expired or the run is finished"
    )
