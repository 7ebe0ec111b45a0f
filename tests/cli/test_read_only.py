"""A run where nothing can be written: it is looked at all the same, and nothing in it changes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import netwright as package
from netwright.errors import StorageError
from processes import run

Done = subprocess.CompletedProcess[str]
Reader = Callable[[list[list[object]]], list[Done]]

IN_ONE_PROCESS = """
import json, sys
from commands import in_this_process

done = [in_this_process(*words) for words in json.loads(sys.argv[1])]
print(json.dumps([[one.returncode, one.stdout, one.stderr] for one in done]))
"""
"""Runs several commands, since most take longer to start than to run."""

MOUNTED = 'set -e; run=$1; shift; mount --bind "$run" "$run"; mount -o remount,ro,bind "$run"; exec "$@"'


def mountable(folder: Path) -> bool:
    """Whether root may mount here, in a name space of its own."""
    if shutil.which("unshare") is None:
        return False
    words = ["unshare", "-m", "sh", "-c", MOUNTED, "sh", str(folder), "true"]
    return run(words).returncode == 0


def contents(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(p.relative_to(folder)): (p.stat().st_mtime_ns, p.read_bytes())
        for p in folder.rglob("*")
        if p.is_file()
    }


@pytest.fixture
def kept(finished_run: Path, tmp_path: Path) -> Iterator[Path]:
    """A copy of a finished run; for others than root its folders are not writable."""
    folder = shutil.copytree(finished_run, tmp_path / "kept")
    yield folder
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)


def read_only(folder: Path) -> Reader:
    """Commands with the run where nobody can write, root neither: as mounted for reading, or without the rights."""
    before: list[str] = []
    if os.geteuid() == 0:
        if not mountable(folder):
            pytest.skip("root writes wherever nothing is mounted for reading, and cannot mount here")
        before = ["unshare", "-m", "sh", "-c", MOUNTED, "sh", str(folder)]
    else:
        for path in [folder, *folder.rglob("*")]:
            path.chmod(0o555 if path.is_dir() else 0o444)

    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}

    def all_of(commands: list[list[object]]) -> list[Done]:
        words = [[str(word) for word in command] for command in commands]
        done = run(
            [*before, sys.executable, "-c", IN_ONE_PROCESS, json.dumps(words)], seconds=240, env=environment
        )
        assert done.returncode == 0, done.stderr
        return [Done(words, code, out, err) for code, out, err in json.loads(done.stdout)]

    return all_of


@pytest.mark.cluster
def test_a_run_on_a_read_only_disk_is_looked_at_and_used(kept: Path, tmp_path: Path, dataset: Path) -> None:
    before = contents(kept)
    image = sorted((dataset / "imagesTr").iterdir())[0]
    page = tmp_path / "out" / "mine.html"
    status, no_report, report, predicted, tested, no_training = read_only(kept)(
        [
            ["status", kept],
            ["report", kept],
            ["report", kept, "-o", page],
            ["predict", kept, image, "-o", tmp_path / "labels"],
            ["evaluate", kept, dataset],
            ["train", kept],
        ]
    )
    for done in (status, report, predicted, tested):
        assert done.returncode == 0, done.stderr
    assert "finished" in status.stdout
    assert "<svg" in page.read_text(encoding="utf-8")
    assert list((tmp_path / "labels").glob("*.nii.gz"))
    assert "dice" in tested.stdout
    for done, told in (
        (no_report, f"{kept} is not writable. Give another path with -o."),
        (no_training, "cannot be written to ("),
    ):
        assert done.returncode == 1
        assert told in done.stderr
        assert "Traceback" not in done.stderr
    assert contents(kept) == before


def test_a_report_goes_where_it_is_wanted_and_leaves_the_run_alone(
    finished_run: Path, tmp_path: Path
) -> None:
    before = contents(finished_run)
    run = package.open_run(finished_run)
    assert run.report(tmp_path / "a.html") == tmp_path / "a.html"
    assert run.report(str(tmp_path / "new" / "folder")) == tmp_path / "new" / "folder" / "report.html"
    assert run.report(tmp_path) == tmp_path / "report.html"
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "report.html").read_bytes()
    assert contents(finished_run) == before


def test_a_report_replaces_nothing_but_a_report(finished_run: Path, tmp_path: Path) -> None:
    run = package.open_run(finished_run)
    scan, page, link = tmp_path / "scan.nii.gz", tmp_path / "mine.html", tmp_path / "link.html"
    scan.write_bytes(b"a scan")
    page.write_text("<html><title>netwright</title></html>")
    link.symlink_to(tmp_path / "nowhere.html")
    (tmp_path / "report.html").mkdir()
    before = contents(tmp_path)
    with pytest.raises(StorageError, match=r"scan\.nii\.gz is not a name for a report"):
        run.report(scan)
    for place in (page, link, tmp_path):
        with pytest.raises(StorageError, match="already exists and is not a report of netwright"):
            run.report(place)
    assert contents(tmp_path) == before
    assert run.report(tmp_path / "a.html").stat().st_size > 10_000
    assert run.report(tmp_path / "a.html").stat().st_size > 10_000


def test_what_a_kill_left_half_written_is_read_as_it_was_before(finished_run: Path, tmp_path: Path) -> None:
    """SQLite keeps the old pages in a journal; without rolling it back the database would be read half new."""
    folder = shutil.copytree(finished_run, tmp_path / "run")
    trials = package.open_run(folder).trials
    assert len(trials) >= 4
    code = (
        "import os, signal, sqlite3, sys\n"
        "c = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "c.execute('PRAGMA cache_size = 1')\n"
        "c.execute('BEGIN')\n"
        "c.execute('DELETE FROM trial_values')\n"
        "c.execute('DELETE FROM trial_user_attributes')\n"
        "c.execute('CREATE TABLE filling (x)')\n"
        "c.executemany('INSERT INTO filling VALUES (?)', [('y' * 4000,)] * 200)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = run([sys.executable, "-c", code, folder / "study.db"])
    assert killed.returncode == -signal.SIGKILL
    assert (folder / "study.db-journal").stat().st_size > 0
    with pytest.raises(sqlite3.OperationalError):
        sqlite3.connect(f"file:{folder / 'study.db'}?mode=ro", uri=True).execute("SELECT * FROM trials")
    before = contents(folder)
    assert package.open_run(folder).trials == trials
    assert contents(folder) == before
