"""A run that moves: it is begun, or taken over, and published while it goes on.

The run is written on this machine's own disk. Shared storage holds its checkpoints, its metrics and
the history of who wrote them, so that any machine can continue it to the same bits.
"""

import contextlib
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from frankrl.config import Settings
from frankrl.core.errors import (
    SettingError,
    StorageError,
    SupersededError,
    warn,
)
from frankrl.core.random import check_seed
from frankrl.core.stopping import StoppedAtOnceError
from frankrl.core.text import given
from frankrl.core.wording import option
from frankrl.runs import RunDescription
from frankrl.runs.machine import versions
from frankrl.runs.place import refuse_existing
from frankrl.runs.publishing import (
    MAX_LEASE_SECONDS,
    LeaseKeeper,
    Log,
    Publisher,
    Saved,
    noted_claim,
    open_storage,
    restore_newest,
    write_note,
)
from frankrl.training.events import Checkpointed, Event, Stop
from frankrl.training.initial import InitialSource
from frankrl.training.published_folder import (
    AskedRun,
    LocalFolder,
    check_local,
    local_folder,
    local_training,
)
from frankrl.training.remote import MakeSource
from frankrl.training.result import TrainingResult
from frankrl.training.session import Metrics, run_to_end
from frankrl.training.taking_over import taken_or_finished
from frankrl.training.trainer import Trainer

LEASE_SECONDS = 30.0
"""How long a lease holds without being renewed, unless something else is asked for."""
_SHORTEST_LEASE = 0.1


def publish_or_take_over(
    env_id: str,
    preset: str,
    settings: Settings,
    seed: int,
    address: str | os.PathLike[str],
    *,
    local: str | os.PathLike[str] | None = None,
    lease_seconds: float = LEASE_SECONDS,
    initial: InitialSource | None = None,
    overwrite: bool = False,
    started: float | None = None,
    stop_requested: Callable[[], bool] = lambda: False,
    on_event: Callable[[Event], Stop | None] = lambda event: None,
    on_begin: Callable[[Trainer], Stop | None] = lambda training: None,
    say: Callable[[str], None] = lambda text: None,
    metrics: Metrics | None = None,
    make_source: MakeSource | None = None,
) -> TrainingResult | None:
    """Train a run and publish it, from where shared storage has it.

    If the address holds nothing, the run begins. If it holds this run, this process waits until its
    owner's lease is expired, then takes it over. If the run has come to its end, this returns its
    outcome.

    Args:
        env_id: name of the environment.
        preset: name of the preset.
        settings: all settings.
        seed: the run's seed.
        address: shared storage: a folder, or an address that fsspec opens.
        local: the run folder, on this machine's own disk; None: a temporary one, which is removed
            once all of it is published.
        lease_seconds: how long the lease holds without being renewed. [s]
        initial: the weights that a new run begins with; None: drawn by the seed.
        overwrite: replace another run in the local folder.
        started: `time.perf_counter()` at which the run's clock started; None: now.
        stop_requested: asked after every round, and while waiting; if true, the run is saved,
            published and given up for others.
        on_event: called with every event; a `Stop` ends the run for good.
        on_begin: called before the training goes on; a `Stop` ends the run there.
        say: called with what a person should know: who is waited for, what is taken over.
        metrics: gives numbers of its own to record at an event.
        make_source: as for `Trainer`.

    Returns:
        The outcome; None if a stop was requested while it waited for another process.

    Raises:
        SupersededError: another process has taken the run over meanwhile.
        StorageError: the storage cannot be reached at the beginning, or the last state could not be
            published; the run is whole in its local folder.
        FrankError: the address holds another run, or the training cannot go on.
    """
    check_seed(seed)
    _check_lease(lease_seconds)
    settings = settings.resolved()
    run = AskedRun(
        RunDescription(env_id, preset, int(seed), settings, versions()),
        initial,
        overwrite,
        started,
        make_source,
    )
    log = Log(open_storage(address))
    with local_folder(local) as place:
        path = place.path
        check_local(path, run)
        taken = taken_or_finished(log, run, lease_seconds, stop_requested, say)
        if taken is None:
            return None
        if isinstance(taken, Saved):
            return _outcome(log, taken, path, is_kept=local is not None, say=say)
        keeper, give_up = LeaseKeeper(taken), True
        try:
            training, restored = local_training(taken, path, run, say)
            with contextlib.closing(training):
                write_note(path, taken.claim)
                stop = on_begin(training)
                publisher = Publisher(taken, keeper, training.folder, restored)
                result = _published(
                    training, publisher, on_event, stop_requested, metrics, place, stop
                )
        except StoppedAtOnceError:
            give_up = False
            raise
        finally:
            keeper.stop(give_up=give_up)
        return replace(result, published=log.storage.address)


def _check_lease(seconds: float) -> None:
    number = isinstance(seconds, (int, float)) and not isinstance(seconds, bool)
    if not number or not _SHORTEST_LEASE <= seconds <= MAX_LEASE_SECONDS:
        raise SettingError(
            f"{option('lease_seconds')} must be from {_SHORTEST_LEASE} to {MAX_LEASE_SECONDS:,.0f} "
            f"seconds, got {given(seconds)}"
        )


def _published(
    training: Trainer,
    publisher: Publisher,
    on_event: Callable[[Event], Stop | None],
    stop_requested: Callable[[], bool],
    metrics: Metrics | None,
    local: LocalFolder,
    stop: Stop | None,
) -> TrainingResult:
    """Train to the end, or until a stop, and publish that state, too."""

    def published(event: Event) -> Stop | None:
        if isinstance(event, Checkpointed):
            publisher.publish()
        publisher.check()
        return on_event(event)

    with contextlib.closing(publisher):
        try:
            result = run_to_end(training, published, stop_requested, metrics, stop=stop)
        except (StoppedAtOnceError, SupersededError):
            raise
        except BaseException:
            # The run was saved before; the same command may continue it elsewhere.
            _finish(publisher, None, local, only_warn=True)
            raise
        is_over = not result.stopped or result.stop_reason is not None
        _finish(publisher, result.report() if is_over else None, local)
        return result


def _finish(
    publisher: Publisher,
    report: dict[str, Any] | None,
    local: LocalFolder,
    *,
    only_warn: bool = False,
) -> None:
    """Publish the last state; if that fails, the local folder stays."""
    try:
        publisher.finish(report)
    except SupersededError:
        if not only_warn:
            raise
    except StorageError as error:
        local.is_kept = True
        again = f"the same command with {option('out', str(local.path))} publishes it"
        if not only_warn:
            raise StorageError(f"{error}; {again}") from error
        warn(f"{error}; {again}")


def _outcome(
    log: Log, saved: Saved, path: Path, *, is_kept: bool, say: Callable[[str], None]
) -> TrainingResult:
    """The outcome of a run that has come to its end; its folder is made if it was asked for.

    Raises:
        RunFolderError: the folder cannot be made, or the outcome is damaged.
    """
    say(f"{log.storage.address} holds the finished run: nothing is left to train")
    claim = log.claim_of(saved)
    if is_kept and noted_claim(path) != claim.sha256:
        if path.exists():
            refuse_existing(path, overwrite=True)
        restore_newest(log, path)
        write_note(path, claim)
    return replace(TrainingResult.from_report(saved.report, path), published=log.storage.address)
