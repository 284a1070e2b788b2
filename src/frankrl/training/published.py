"""A run that moves: it is begun, or taken over, and published while it goes on.

The run is written on this machine's own disk. Shared storage holds its checkpoints, its metrics and
the history of who wrote them, so that any machine can continue it to the same bits.
"""

import contextlib
import itertools
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from frankrl.config import Settings
from frankrl.config.choices import shown
from frankrl.core.errors import (
    RunFolderError,
    SettingError,
    StorageError,
    SupersededError,
    warn,
)
from frankrl.core.paths import given_path
from frankrl.core.random import check_seed
from frankrl.core.stopping import StoppedAtOnceError
from frankrl.core.text import given
from frankrl.core.wording import option
from frankrl.runs import RunDescription, RunFolder, list_checkpoints, permission_of
from frankrl.runs.folder import refuse_existing
from frankrl.runs.lock import locked
from frankrl.runs.machine import versions
from frankrl.runs.publishing import (
    FINISHED,
    MAX_LEASE_SECONDS,
    Claim,
    LeaseKeeper,
    LeaseWatch,
    Log,
    Ownership,
    Publisher,
    Record,
    Saved,
    lease_of,
    noted_claim,
    open_storage,
    restore_newest,
    write_note,
)
from frankrl.training.events import Checkpointed, Event, Stop
from frankrl.training.initial import InitialSource
from frankrl.training.remote import MakeSource
from frankrl.training.session import (
    Metrics,
    TrainingResult,
    prepare,
    prepare_resume,
    run_to_end,
)
from frankrl.training.trainer import Trainer

LEASE_SECONDS = 30.0
"""How long a lease holds without being renewed, unless something else is asked for."""
_SHORTEST_LEASE = 0.1
_LOOK_SECONDS = 1.0
"""How often a lease is looked at, or ten times while it holds, if that is more often."""


class _Run(NamedTuple):
    """What was asked for."""

    description: RunDescription
    initial: InitialSource | None
    overwrite: bool
    started: float | None
    make_source: MakeSource | None


@dataclass
class _Local:
    """The run folder on this machine."""

    path: Path
    is_kept: bool = False
    """Whether it holds what nothing else holds."""


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
    run = _Run(
        RunDescription(env_id, preset, int(seed), settings, versions()),
        *(initial, overwrite, started, make_source),
    )
    log = Log(open_storage(address))
    with _local_folder(local) as place:
        path = place.path
        _check_local(path, run)
        taken = _taken(log, run, lease_seconds, stop_requested, say)
        if taken is None:
            return None
        if isinstance(taken, Saved):
            return _outcome(log, taken, path, is_kept=local is not None, say=say)
        keeper, give_up = LeaseKeeper(taken), True
        try:
            training, restored = _training(taken, path, run, say)
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


@contextlib.contextmanager
def _local_folder(local: str | os.PathLike[str] | None) -> Iterator[_Local]:
    """The run folder on this machine; a temporary one is removed if nothing else is said."""
    if local is not None:
        yield _Local(given_path(local, option("out")).absolute())
        return
    folder = Path(tempfile.mkdtemp(prefix="frank-"))
    place = _Local(folder / "run")
    try:
        yield place
    finally:
        if not place.is_kept:
            shutil.rmtree(folder, ignore_errors=True)


def _check_local(path: Path, run: _Run) -> None:
    """Refuse a local folder that holds something else than this run.

    Raises:
        RunFolderError: it does, or a process is writing it.
    """
    there = _local_run(path, run)
    if there is None:
        refuse_existing(path, overwrite=run.overwrite)
        return
    with locked(path, path):
        pass
    different = _differences(run.description, there.description)
    if different and not run.overwrite:
        raise RunFolderError(
            f"{path} holds another run: {'; '.join(different)}; choose another {option('out')}, or "
            f"replace it with {option('overwrite', True)}"
        )


def _local_run(path: Path, run: _Run) -> RunFolder | None:
    """The run in the local folder, with the objects of this call; None if there is none."""
    try:
        there = path.is_dir() and any(path.iterdir())
    except OSError:
        there = False
    if not there:
        return None
    description = run.description
    values = description.settings.values()
    permission = permission_of(str(description.env_id), False, values)
    with contextlib.suppress(RunFolderError):
        return RunFolder.open(path, permission)
    return None


def _differences(wanted: RunDescription, there: RunDescription) -> list[str]:
    """What distinguishes two runs, in words."""
    # Objects have the names under which a run stores them.
    wanted = RunDescription.from_toml(wanted.to_toml())
    ours = {"environment": wanted.env_id, "seed": wanted.seed, **wanted.settings.values()}
    theirs = {"environment": there.env_id, "seed": there.seed, **there.settings.values()}
    return [
        f"its {name} is {shown(theirs[name])} (given {shown(value)})"
        for name, value in ours.items()
        if theirs[name] != value
    ]


def _taken(
    log: Log,
    run: _Run,
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
    return None


def _once(
    log: Log, run: _Run, lease_seconds: float, watch: LeaseWatch, say: Callable[[str], None]
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


def _held_by(log: Log, head: Record, watch: LeaseWatch, run: _Run) -> Claim | None:
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


def _check_same(log: Log, claim: Claim, run: _Run) -> None:
    if different := _differences(run.description, claim.description):
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


def _training(
    ownership: Ownership, path: Path, run: _Run, say: Callable[[str], None]
) -> tuple[Trainer, Saved | None]:
    """The training, from the beginning or from where it stands, and the state it was restored from.

    Raises:
        FrankError: it cannot begin or continue.
    """
    log, local = ownership.log, _local_run(path, run)
    saved = log.newest_saved()
    restored = None
    if not _continues(log, saved, local, run):
        local = None
        if saved is not None:
            if path.exists():
                refuse_existing(path, overwrite=True)
            restored = restore_newest(log, path)
            local = _restored(log, path, run)
    if local is None:
        description = run.description
        training = prepare(
            description.env_id, description.preset, description.settings, description.seed, path,
            initial=run.initial, overwrite=path.exists(), started=run.started,
            make_source=run.make_source,
        )  # fmt: skip
        return training, None
    if (local.description.origin is None) != (run.initial is None):
        began = "drawn by its seed" if local.description.origin is None else "given"
        raise StorageError(
            f"the weights that the run of {log.storage.address} began with were {began}: give the "
            f"same {option('init_from')}"
        )
    if restored is not None:
        say(f"continuing from the checkpoint at env step {restored.env_steps:,} that it published")
    # Every name in it was given in this very call, so it is this user's own from now on.
    local = local.with_description(local.description)
    values = run.description.settings.values()
    local = local.with_objects(run.description.env_id, values)
    settings = local.description.settings
    resumed = prepare_resume(local, settings, started=run.started, make_source=run.make_source)
    return resumed, restored


def _restored(log: Log, path: Path, run: _Run) -> RunFolder | None:
    """The folder that was just restored.

    Raises:
        StorageError: it names other things than this call does, and than the claim of its owner.
    """
    local = _local_run(path, run)
    if local is not None and (different := _differences(run.description, local.description)):
        shutil.rmtree(path, ignore_errors=True)
        raise StorageError(
            f"a state of {log.storage.address} is of another run than its owner has claimed: "
            f"{'; '.join(different)}"
        )
    return local


def _continues(log: Log, saved: Saved | None, local: RunFolder | None, run: _Run) -> bool:
    """Whether the local folder goes on where the published history ends.

    Raises:
        RunFolderError: it has gone further, under a claim that is not part of that history.
    """
    if local is None or _differences(run.description, local.description):
        return False
    there = list_checkpoints(local.checkpoints)
    if not there:
        return False
    if saved is None:
        return True
    env_steps = int(there[-1].name)
    note = noted_claim(local.path)
    since = itertools.takewhile(lambda record: record.number >= saved.fence, log.history())
    if any(isinstance(record, Claim) and record.sha256 == note for record in since):
        return env_steps >= saved.env_steps
    if env_steps > saved.env_steps and not run.overwrite:
        raise RunFolderError(
            f"{local.path} is at env step {env_steps:,}, and {log.storage.address} is at "
            f"{saved.env_steps:,}, written by another process: choose another {option('out')}, or "
            f"replace it with {option('overwrite', True)}"
        )
    return False


def _published(
    training: Trainer,
    publisher: Publisher,
    on_event: Callable[[Event], Stop | None],
    stop_requested: Callable[[], bool],
    metrics: Metrics | None,
    local: _Local,
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
    publisher: Publisher, report: dict[str, Any] | None, local: _Local, *, only_warn: bool = False
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
