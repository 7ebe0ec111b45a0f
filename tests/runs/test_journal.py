"""A study in a journal file, and the leases of its drivers beside it."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from netwright.errors import RunError, SettingsError, StorageError
from netwright.runs import journal as backend
from netwright.runs import journal_file
from netwright.runs.drivers import END
from netwright.runs.journal_driver import StudyFiles
from netwright.runs.journal_file import DiskLock
from netwright.runs.kept_run import KeptRun
from netwright.runs.place import Place
from processes import run

pytestmark = pytest.mark.cluster
LEASE = 1.5


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "disk").mkdir()
    return tmp_path / "disk" / "lab.journal"


@pytest.fixture
def place(file: Path) -> Place:
    place = Place(f"journal://{file}", "study", LEASE)
    assert backend.register_run(place, "as begun", "{}")
    return place


def study_in(storage: optuna.storages.BaseStorage) -> optuna.Study:
    return optuna.create_study(storage=storage, study_name="study", direction="maximize", load_if_exists=True)


@pytest.mark.parametrize("url", ["journal://lab.journal", "journal:lab", "journal:///shared/"])
def test_a_url_without_the_path_of_a_file_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match="expected the absolute path of a file"):
        backend.require_url(url)


def test_what_is_kept_of_a_run_is_that_of_the_first_and_is_found_by_its_name(
    place: Place, tmp_path: Path
) -> None:
    assert not backend.register_run(place, "another", "{}")
    other = replace(place, study="other/study")
    assert backend.registered_run(other) is None
    assert backend.register_run(other, "of the other", "[]")
    assert backend.registered_run(place) == KeptRun("as begun", "{}")
    assert backend.registered_studies(place) == ("other/study", "study")
    assert backend.registered_studies(Place(f"journal://{tmp_path / 'none'}")) == ()


def test_a_finished_study_that_goes_on_is_unfinished_for_all(place: Place) -> None:
    with backend.driving(place, "a") as one, backend.driving(place, "b") as other:
        one.finish()
        other.finish()
    kept = backend.registered_run(place)
    assert kept is not None
    assert kept.finished == "a"
    backend.reopen(place, "with more hours")
    assert backend.registered_run(place) == KeptRun("with more hours", "{}")


def test_a_task_for_one_is_done_by_one_and_passes_to_another_when_that_is_gone(place: Place) -> None:
    with backend.driving(place, "a") as one, backend.driving(place, "b") as other:
        assert one.reserve(END) is None
        assert other.ends_elsewhere()
        assert not one.ends_elsewhere()
        assert "in a" in str(other.reserve(END)), "it renews its lease"
        assert [words.rpartition(" ")[2] for words in backend.drivers(place)] == ["a", "b"]
        assert (one.workers(1), other.workers(3), one.workers(1)) == (1, 4, 4)
        one.renew = lambda: None
        assert other.reserve(END) is None, "it gives no sign of life any more"
        assert one.ends_elsewhere()
    assert backend.drivers(place) == ()


def test_a_trial_is_one_drivers_and_none_is_made_by_who_was_overtaken(place: Place) -> None:
    with backend.driving(place, "a") as one, backend.driving(place, "b") as other:
        study, same = study_in(one.storage), study_in(other.storage)
        assert one.ask(study, 1) is None, "there is no trial yet"
        trial = one.ask(study, 0)
        assert trial is not None
        assert other.ask(same, 0) is None
        assert other.take_up([trial._trial_id]) is None
        assert one.holds(trial._trial_id)
        assert not other.holds(trial._trial_id)
        assert other.ask(same, 1) is not None
        assert one.reserve(END) is None
        assert other.ask(same, 2) is None, "another one makes the end"
        study.tell(trial, 0.5)
        one.release(trial._trial_id)
        assert other.take_up([trial._trial_id]) is None, "it is finished"
    with backend.reading(place) as copy:
        assert [t.state for t in study_in(copy).get_trials()] == [TrialState.COMPLETE, TrialState.RUNNING]


def test_a_line_that_was_written_in_part_is_passed_over_and_removed_by_the_next_writer(
    place: Place, file: Path
) -> None:
    with backend.driving(place, "a") as one, backend.driving(place, "b") as other:
        study = study_in(one.storage)
        trial = one.ask(study, 0)
        assert trial is not None
        whole = file.read_bytes()
        file.write_bytes(whole + b'{"op_code":5,"worker_id":"x","study')
        with backend.reading(place) as copy:
            seen = optuna.load_study(storage=copy, study_name="study")
            seen.set_user_attr("words", "in the copy")
            assert (len(seen.get_trials()), seen.user_attrs) == (1, {"words": "in the copy"})
        assert len(study_in(other.storage).get_trials()) == 1
        trial.set_user_attr("words", "of the next")
        lines = file.read_bytes().splitlines(keepends=True)
        assert b"".join(lines[:-1]).startswith(whole)
        assert all(line.startswith(b"{") and line.endswith(b"}\n") for line in lines)
        assert study_in(other.storage).get_trials()[0].user_attrs == {"words": "of the next"}


def test_a_damaged_journal_and_a_disk_that_is_away_are_told(
    place: Place, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with backend.driving(place, "a") as one:
        study_in(one.storage)
    file.write_bytes(b"no journal at all\n" + file.read_bytes())
    with pytest.raises(RunError, match=re.escape(f"{file} is damaged")), backend.reading(place):
        pass
    with pytest.raises(RunError, match=re.escape(f"{file} is damaged")), backend.driving(place, "a"):
        pass
    blocked = file.parent / "a file"
    blocked.touch()
    with pytest.raises(StorageError, match="cannot be used"):
        backend.register_run(Place(f"journal://{blocked / 'lab.journal'}"), "", "{}")
    monkeypatch.setattr(journal_file, "LOCK_SECONDS", 0.1)
    lock = DiskLock(StudyFiles(file, "study").folder / "lock")
    holding, seen = threading.Event(), threading.Event()

    def hold() -> None:
        with DiskLock(StudyFiles(file, "study").folder / "lock"):
            holding.set()
            seen.wait(30)

    thread = threading.Thread(target=hold)
    thread.start()
    assert holding.wait(30)
    with pytest.raises(StorageError, match="has been locked by another process"):
        lock.acquire()
    seen.set()
    thread.join(30)
    with lock, lock:
        pass


@pytest.mark.parametrize("gone", ["disk", "disk/lab.journal", "disk/lab.journal.netwright"])
def test_a_study_whose_files_are_away_is_refused_and_none_is_made_in_its_place(
    place: Place, tmp_path: Path, gone: str
) -> None:
    (tmp_path / gone).rename(tmp_path / "away")
    left = sorted(tmp_path.rglob("*"))
    with pytest.raises(StorageError, match=r"is not there\. Mount its disk"), backend.driving(place, "a"):
        pass
    with pytest.raises(StorageError, match=r"is not there\. Mount its disk"):
        backend.open_for_writing(place)
    with pytest.raises(StorageError, match=r"is not there\. Mount its disk"):
        backend.reopen(place, "with more hours")
    assert sorted(tmp_path.rglob("*")) == left


def test_a_study_is_not_begun_where_there_is_no_folder_for_its_journal(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=f"there is no folder {tmp_path / 'disk'}. Mount its disk"):
        backend.register_run(Place(f"journal://{tmp_path / 'disk' / 'lab.journal'}"), "", "{}")
    assert list(tmp_path.iterdir()) == []


def taken_by_another_thread(lock: DiskLock) -> bool:
    """Whether another thread gets a lock within a moment."""
    taken = threading.Event()

    def take() -> None:
        with lock:
            taken.set()

    threading.Thread(target=take, daemon=True).start()
    return taken.wait(10)


@pytest.mark.parametrize(
    ("error", "kind", "told"),
    [
        (OSError(errno.ENOSYS, "Function not implemented"), StorageError, "its disk has no flock"),
        (OSError(errno.EIO, "Input/output error"), StorageError, "cannot be used"),
        (KeyboardInterrupt(), KeyboardInterrupt, None),
    ],
)
def test_a_lock_that_is_not_had_is_left_to_others(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
    kind: type[BaseException],
    told: str | None,
) -> None:
    def refuse(fd: int, operation: int) -> None:
        raise error

    lock = DiskLock(tmp_path / "lock")
    with monkeypatch.context() as kernel:
        kernel.setattr(fcntl, "flock", refuse)
        with pytest.raises(kind, match=told):
            lock.acquire()
    assert taken_by_another_thread(lock)


def test_the_leases_are_renewed_again_when_the_disk_is_back(
    place: Place, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leases = next(file.with_name("lab.journal.netwright").glob("leases-*.json"))
    with backend.driving(place, "a"):
        away = leases.rename(leases.with_name("away"))
        leases.mkdir()  # so that to read it is an error, as on a disk that does not answer
        time.sleep(LEASE / 2)
        leases.rmdir()
        away.rename(leases)
        before = leases.read_text()
        end = time.monotonic() + 10 * LEASE
        while leases.read_text() == before and time.monotonic() < end:
            time.sleep(0.05)
        assert len(backend.drivers(place)) == 1
    assert backend.drivers(place) == ()


def test_what_a_killed_driver_was_writing_is_removed_by_the_next(place: Place, file: Path) -> None:
    folder = file.with_name("lab.journal.netwright")
    kept = sorted(path.name for path in folder.iterdir())
    killed = (
        "import os, sys\nfrom pathlib import Path\nfrom netwright.runs.journal_driver import StudyFiles\n"
        "from netwright.runs.kept_run import KeptRun\n"
        "os.link = lambda *names: os._exit(9)\n"
        "StudyFiles(Path(sys.argv[1]), 'other').begin(KeptRun('', ''))\n"
    )
    assert run([sys.executable, "-c", killed, str(file)]).returncode == 9
    assert len(list(folder.iterdir())) == len(kept) + 1
    with backend.driving(place, "a"):
        pass
    assert sorted(path.name for path in folder.iterdir() if not path.name.startswith("clock-")) == kept


def test_the_clock_is_that_of_the_disk(place: Place, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = StudyFiles(file, "study")
    monkeypatch.setattr(time, "time", lambda: 0.0)
    assert files.now() == pytest.approx(os.stat(file.parent).st_mtime, abs=60)
    assert files.now() <= files.now()
