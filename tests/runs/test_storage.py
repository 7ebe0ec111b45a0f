"""The one door to Optuna's storage."""

import contextlib
import re
import sqlite3
from pathlib import Path

import optuna
import pytest

import netwright
from netwright.errors import RunError
from netwright.runs.folder import RunFolder
from netwright.runs.storage import has_storage, open_storage, reading_storage, storage_stamp

ROOT = Path(netwright.__file__).parent


def test_what_is_written_is_read_and_what_is_done_to_the_copy_is_not(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    assert not has_storage(folder)
    study = optuna.create_study(storage=open_storage(folder), study_name="search")
    assert has_storage(folder)
    study.enqueue_trial({"x": 0.5})
    study.optimize(lambda trial: trial.suggest_float("x", 0.0, 1.0), n_trials=1)
    with reading_storage(folder) as copy:
        (trial,) = copy.get_all_trials(copy.get_study_id_from_name("search"))
        assert (trial.params, trial.value) == ({"x": 0.5}, 0.5)
        copy.delete_study(copy.get_study_id_from_name("search"))
    url = f"sqlite:///{tmp_path / 'study.db'}"
    assert optuna.load_study(storage=url, study_name="search").best_value == 0.5


def test_the_stamp_changes_when_something_is_stored_and_not_when_it_is_read(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    nothing = storage_stamp(folder)
    study = optuna.create_study(storage=open_storage(folder), study_name="search")
    before = storage_stamp(folder)
    assert before != nothing
    with reading_storage(folder) as copy:
        copy.get_all_studies()
    assert storage_stamp(folder) == before
    study.set_user_attr("words", "x" * 10_000)
    assert storage_stamp(folder) != before


def test_a_damaged_database_is_told_by_its_own_name(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.database.write_bytes(b"no database at all" * 100)
    with pytest.raises(RunError, match=re.escape(str(folder.database))), reading_storage(folder):
        pass


def test_tables_of_another_version_are_refused_also_after_those_of_this_one_were_used(tmp_path: Path) -> None:
    for name in ("new", "old"):
        (tmp_path / name).mkdir()
        optuna.create_study(storage=open_storage(RunFolder(tmp_path / name)), study_name="search")
    old = RunFolder(tmp_path / "old")
    for _ in range(2):
        with reading_storage(old) as copy:
            assert [study.study_name for study in copy.get_all_studies()] == ["search"]
    with contextlib.closing(sqlite3.connect(old.database)) as database, database:
        database.execute("UPDATE alembic_version SET version_num = 'v2.6.0.a'")
    with pytest.raises(RunError, match=re.escape(f"{old.database} cannot be opened")), reading_storage(old):
        pass
    with reading_storage(RunFolder(tmp_path / "new")) as copy:
        assert copy.get_all_studies()


def test_no_other_module_knows_which_database_it_is() -> None:
    known = re.compile(r"RDBStorage|sqlite|\.database\b|StorageInternalError|study\.db")
    knowing = {
        file.relative_to(ROOT).as_posix()
        for file in ROOT.rglob("*.py")
        if known.search(file.read_text(encoding="utf-8"))
    }
    knowing.remove("logs/mlflow.py")  # MLflow has a database of its own
    assert knowing == {"runs/storage.py", "runs/sqlite.py", "runs/reconnecting.py", "runs/folder.py"} | {
        "runs/postgresql.py",
        "runs/journal.py",  # is none of these, and says so
        "runs/place.py",
        "runs/summary.py",  # asks in SQL, whichever it is
    }
