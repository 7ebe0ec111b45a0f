"""Drivers that share a study in a journal on a shared disk. Each trial in training is leased to one of them.

The leases are a small file beside the journal, which is read and written under the journal's lock. A lease has its end
by the clock of the disk. What is not the journal's own is in `netwright.runs.lease_holder`.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from optuna.storages import JournalStorage
from optuna.trial import FrozenTrial, TrialState

from netwright.errors import StorageError
from netwright.files import remove_partial, temporary, write_json
from netwright.runs.drivers import END, TakenUp
from netwright.runs.journal_file import DiskLock, JournalFile, cannot_be_used, read_beside
from netwright.runs.kept_run import KeptRun
from netwright.runs.lease_holder import WORKERS, LeaseHolder, Overtaken, lease_of
from netwright.runs.place import Place


@dataclass(frozen=True)
class Lease:
    """What a driver has, who that is in words, and until when by the clock of the disk."""

    driver: str
    words: str
    ends: float


class StudyFiles:
    """The files of a study beside its journal: its run, and the leases.

    Args:
        journal: the file.
        study: the name.
    """

    def __init__(self, journal: Path, study: str) -> None:
        self.folder = folder_beside(journal)
        digest = hashlib.sha256(study.encode()).hexdigest()[:16]
        self.study = study
        self.run = self.folder / f"run-{digest}.json"
        self._leases = self.folder / f"leases-{digest}.json"
        self._clock = self.folder / f"clock-{digest}"
        self.lock = DiskLock(self.folder / "lock")

    def now(self) -> float:
        """Seconds by the clock of the disk.

        Raises:
            StorageError: it cannot be written.
        """
        try:
            self._clock.touch()
            return self._clock.stat().st_mtime
        except OSError as error:
            raise cannot_be_used(self._clock, error) from error

    def leases(self) -> dict[str, Lease]:
        """All leases, also those that have lapsed.

        Raises:
            StorageError: they cannot be read.
        """
        return {what: Lease(**values) for what, values in (read_beside(self._leases) or {}).items()}

    def write_leases(self, leases: dict[str, Lease]) -> None:
        """Keeps these.

        Raises:
            StorageError: they cannot be written.
        """
        write_json(self._leases, {what: asdict(lease) for what, lease in leases.items()})

    def kept(self) -> KeptRun | None:
        """The run of the study; None: there is none.

        Raises:
            StorageError: it cannot be read.
        """
        values = read_beside(self.run)
        if values is None:
            return None
        return KeptRun(values["settings"], values["splits"], values["finished"])

    def keep(self, kept: KeptRun) -> None:
        """Keeps the run of the study."""
        write_json(self.run, {"study": self.study, **asdict(kept)})

    def begin(self, kept: KeptRun) -> bool:
        """Keeps the run of a new study; False: there is one, even if this machine has not heard of it yet.

        Raises:
            StorageError: the disk cannot be used.
        """
        new = temporary(self.run)
        write_json(new, {"study": self.study, **asdict(kept)})
        try:
            os.link(new, self.run)
        except FileExistsError:
            return False
        except OSError as error:
            raise cannot_be_used(self.run, error) from error
        finally:
            with contextlib.suppress(OSError):
                new.unlink()
        return True

    def tidy(self) -> None:
        """Removes what processes have left that were killed while they wrote; what stays does no harm."""
        with contextlib.suppress(OSError):
            remove_partial(self.folder)


def folder_beside(journal: Path) -> Path:
    """The folder with what is kept beside a journal."""
    return journal.with_name(f"{journal.name}.netwright")


class JournalDriver(LeaseHolder):
    """One of several drivers of a study.

    Args:
        files: of the study.
        place: of the study.
        folder: the run folder of this driver, for messages.
    """

    def __init__(self, files: StudyFiles, place: Place, folder: str) -> None:
        super().__init__(place, folder)
        self._files = files

    def turn(self) -> AbstractContextManager[None]:
        """Always its own: who was overtaken asks again at once."""
        return nullcontext()

    def workers(self, own: int) -> int:
        """How many candidates all drivers that live train at once, if this one trains ``own``."""
        with self._changed() as (leases, now):
            self._take(leases, now, f"{WORKERS}{self._driver}", words=str(own))
            alive = [
                int(lease.words)
                for what, lease in leases.items()
                if what.startswith(WORKERS) and lease.ends >= now
            ]
        return sum(alive)

    def created(self, trials: Callable[[], int], create: Callable[[], int]) -> int:
        """A new trial, by its id in the storage, with its lease.

        A search that no other may join makes its trials without `ask`, and needs no leases for them.

        Args:
            trials: counts those of the study.
            create: makes the trial.

        Raises:
            Overtaken: another driver has made one since this one counted, or makes the end of the run.
        """
        if self._known is None:
            return create()
        with self._changed() as (leases, now):
            if trials() != self._known or self._ends_elsewhere(leases, now):
                raise Overtaken
            trial = create()
            self._take(leases, now, lease_of(trial))
            return trial

    def require_mine(self, trial: int) -> None:
        """Refuses to finish a trial that another driver has.

        Raises:
            TakenUp: it has, as this one was away for longer than its lease.
        """
        lease = self._files.leases().get(lease_of(trial))
        if lease is not None and lease.driver != self._driver:
            raise TakenUp(f"Trial {trial} is that of {lease.words} now.")

    def take_up(self, trials: Iterable[int]) -> int | None:
        """The first of these trials whose lease has lapsed. It is this driver's now."""
        with self._changed() as (leases, now):
            for trial in trials:
                finished = self.storage.get_trial(trial).state.is_finished()
                if not finished and self._take(leases, now, lease_of(trial)):
                    return trial
        return None

    def holds(self, trial: int) -> bool:
        """Whether a trial is still this driver's. Its lease is renewed."""
        with self._changed() as (leases, now):
            lease = leases.get(lease_of(trial))
            return (
                lease is not None
                and lease.driver == self._driver
                and self._take(leases, now, lease_of(trial))
            )

    def release(self, trial: int) -> None:
        """Ends the lease of a finished trial."""
        with self._changed() as (leases, _):
            lease = leases.get(lease_of(trial))
            if lease is not None and lease.driver == self._driver:
                del leases[lease_of(trial)]

    def _lease_task(self, what: str) -> str | None:
        with self._changed() as (leases, now):
            return None if self._take(leases, now, what) else leases[what].words

    def ends_elsewhere(self) -> bool:
        """Whether another driver makes the end of the run now, or it is made."""
        with self._files.lock:
            return self._ends_elsewhere(self._files.leases(), self._files.now())

    def _ends_elsewhere(self, leases: dict[str, Lease], now: float) -> bool:
        end = leases.get(END)
        other = end is not None and end.ends >= now and end.driver != self._driver
        return other or self.finished() is not None

    def finish(self) -> None:
        """Notes for the other drivers that the run is finished."""
        with self._files.lock:
            kept = self._files.kept()
            if kept is not None and kept.finished is None:
                self._files.keep(replace(kept, finished=self._folder))

    def finished(self) -> str | None:
        """The run folder in which a driver has finished the run; None: none has."""
        kept = self._files.kept()
        return None if kept is None else kept.finished

    def enter(self) -> None:
        """Makes this driver known, and removes what drivers have left that were killed long ago."""
        with self._changed() as (leases, now):
            self._files.tidy()
            for what in [what for what, lease in leases.items() if lease.ends < now - 86400.0]:
                del leases[what]
            self._take(leases, now, self._driver)

    def renew(self) -> None:
        """Renews every lease of this driver. If the disk is away, that is done the next time."""
        with contextlib.suppress(StorageError), self._changed() as (leases, now):
            for what in [what for what, lease in leases.items() if lease.driver == self._driver]:
                leases[what] = replace(leases[what], ends=now + self._place.lease_seconds)

    def leave(self) -> None:
        """Ends every lease, so that others need not wait for that. If the disk is away, the leases lapse."""
        with contextlib.suppress(StorageError), self._changed() as (leases, _):
            for what in [what for what, lease in leases.items() if lease.driver == self._driver]:
                del leases[what]

    @contextlib.contextmanager
    def _changed(self) -> Iterator[tuple[dict[str, Lease], float]]:
        """The leases, to be changed while nobody else does, and the time by the clock of the disk."""
        with self._files.lock:
            leases = self._files.leases()
            before = dict(leases)
            yield leases, self._files.now()
            if leases != before:
                self._files.write_leases(leases)

    def _take(self, leases: dict[str, Lease], now: float, what: str, words: str | None = None) -> bool:
        """Whether something is this driver's now: it is its own, or free."""
        lease = leases.get(what)
        if lease is not None and lease.ends >= now and lease.driver != self._driver:
            return False
        leases[what] = Lease(self._driver, words or self._words, now + self._place.lease_seconds)
        return True


class SharedJournal(JournalStorage):
    """Optuna's storage in a journal that several drivers share.

    Args:
        file: the journal.
        driver: that writes to it; None: it is only read, or a study is made.
    """

    def __init__(self, file: JournalFile, driver: JournalDriver | None = None) -> None:
        super().__init__(file)
        self._file, self._driver = file, driver

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        """As in `JournalStorage`, with a lease (`JournalDriver.created`)."""
        create = super().create_new_trial
        if self._driver is None:
            return create(study_id, template_trial)
        return self._driver.created(
            lambda: len(self.get_all_trials(study_id, deepcopy=False)),
            lambda: create(study_id, template_trial),
        )

    def set_trial_state_values(
        self, trial_id: int, state: TrialState, values: Sequence[float] | None = None
    ) -> bool:
        """As in `JournalStorage`, unless another driver has taken the trial up.

        Args:
            trial_id: in the storage.
            state: that it is to have.
            values: of a complete trial.
        """
        with self._file.lock:
            if self._driver is not None and state.is_finished():
                self._driver.require_mine(trial_id)
            return super().set_trial_state_values(trial_id, state, values)


def drivers_in(files: StudyFiles) -> tuple[str, ...]:
    """The drivers that work on a study now, in words. Readers need no permission to write."""
    try:
        now = files.now()
    except StorageError:
        now = time.time()
    return tuple(
        sorted(
            lease.words
            for what, lease in files.leases().items()
            if what == lease.driver and lease.ends >= now
        )
    )
