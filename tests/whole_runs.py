"""What must hold of a run after any fault: every trial is there once, and nothing else was left behind."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

import psutil

from netwright.runs.folder import RunFolder
from netwright.runs.status import read_status
from netwright.runs.trials import TrialRecord, load_trials, record_of
from netwright.strategies.sampler import COMPLETION
from netwright.training.files import CHECKPOINT
from processes import wait_until

SHARED_MEMORY = Path("/dev/shm")
ENDING_SECONDS = 20.0
"""How long a process may take to end after the one that it belongs to."""


@dataclass(frozen=True)
class Machine:
    """What the machine had before a test, so that what is left of it can be told."""

    shared: frozenset[str]

    @classmethod
    def now(cls) -> Machine:
        """As it is."""
        return cls(shared_memory())


def shared_memory() -> frozenset[str]:
    """The names of shared memory; PostgreSQL removes its own when it is started again."""
    if not SHARED_MEMORY.is_dir():
        return frozenset()
    return frozenset(path.name for path in SHARED_MEMORY.iterdir() if not path.name.startswith("PostgreSQL."))


def require_whole(folder: Path, trials: int, earlier: Iterable[TrialRecord] = ()) -> list[TrialRecord]:
    """A finished run has so many trials: none is lost, none is counted twice, and the best is still there.

    Args:
        folder: of the run, or of one of several that share its study.
        trials: of the budget.
        earlier: trials that were finished when something happened. They are as they were.
    """
    frozen = load_trials(RunFolder(folder))
    records = [record_of(trial) for trial in frozen]
    assert [record.number for record in records] == list(range(trials))
    assert all(trial.state.is_finished() for trial in frozen)
    counts = [trial.user_attrs.get(COMPLETION) for trial in frozen]
    assert None not in counts, "each has its place in the order of completion"
    require_kept(records, earlier)
    status = read_status(RunFolder(folder))
    assert (status.phase, status.counted, status.trials["running"]) == ("finished", trials, 0)
    best = max(record.reward for record in records if record.reward is not None)
    assert status.best is not None
    assert status.best["reward"] == best
    return records


def require_kept(records: list[TrialRecord], earlier: Iterable[TrialRecord]) -> None:
    """Trials that were finished earlier are as they were."""
    for record in earlier:
        assert records[record.number] == record, "a finished trial was lost or changed"


def finished_trials(folder: Path) -> list[TrialRecord]:
    """The trials of a run that are finished now."""
    return [record_of(trial) for trial in load_trials(RunFolder(folder)) if trial.state.is_finished()]


def require_nothing_left(folders: Collection[Path], sessions: Collection[int], before: Machine) -> None:
    """Finished runs have left no process, no shared memory, and no temporary file in or beside their folders.

    Args:
        folders: of the runs.
        sessions: the numbers of the sessions of all processes that worked on them, with their workers.
        before: the machine before they did.
    """
    wait_until(lambda: not processes_of(sessions), seconds=ENDING_SECONDS)
    wait_until(lambda: not abandoned(shared_memory() - before.shared), seconds=ENDING_SECONDS)
    left = [str(path) for folder in folders for path in temporary_files(folder)]
    assert not left, left


def processes_of(sessions: Collection[int]) -> list[int]:
    """The processes of these sessions that still run."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if os.getsid(process.pid) in sessions and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
    return found


def abandoned(names: Collection[str]) -> set[str]:
    """The names of shared memory that no process has mapped. A semaphore is mapped under another name than it has."""
    inodes = {}
    for name in names:
        with contextlib.suppress(OSError):
            inodes[(SHARED_MEMORY / name).stat().st_ino] = name
    for maps in Path("/proc").glob("[0-9]*/maps") if inodes else ():
        with contextlib.suppress(OSError):
            for line in maps.read_text().splitlines():
                if f" {SHARED_MEMORY}/" in line:
                    inodes.pop(int(line.split()[4]), None)
    return set(inodes.values())


def temporary_files(folder: Path) -> list[Path]:
    """What no finished run has: hidden and partial files, journals of SQLite, checkpoints of finished trials; and what
    the making of the folder left beside it.
    """
    inside = [path for path in sorted(folder.rglob("*")) if is_temporary(path)]
    return inside + sorted(folder.parent.glob(f".{folder.name}.*"))


def is_temporary(path: Path) -> bool:
    """Whether a file or folder is no part of a finished run."""
    if path.name.startswith(".") or path.name.endswith((".partial", ".tmp", "-journal", "-wal", "-shm")):
        return True
    return path.name == CHECKPOINT and path.parent.parent.name == "trials"
