"""Runs whose trials are in a database that several may share, from the command line."""

from __future__ import annotations

import json
import shutil
import socket
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import netwright as package
from conftest import Command
from netwright import api
from netwright.api import create_run
from netwright.api.series import create_series
from netwright.dashboard.server import Pages
from netwright.errors import SettingsError, StorageError
from netwright.execution.resources import default_workers
from netwright.planning.user_settings import UserSettings
from netwright.runs import postgresql as backend
from netwright.runs.folder import RunFolder
from netwright.runs.place import Place
from netwright.settings import override, parse_settings
from netwright_tests import SMALL
from postgresql_server import PASSWORD, PostgreSQL

SECRET = "hunter2"


@pytest.fixture(params=["postgresql", "journal"])
def shared(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database of each kind."""
    if request.param == "journal":
        return f"journal://{tmp_path / 'lab.journal'}"
    url: str = request.getfixturevalue("database")
    return url


@pytest.mark.cluster
def test_a_study_is_begun_in_one_folder_searched_from_another_and_looked_at_without_any(
    shared: str, dataset: Path, finished_run: Path, netwright: Command, tmp_path: Path
) -> None:
    options = ["--recipe", "segnas4", "--trials", 4, *SMALL, "--verdict-hours", 0]
    small = {"space.n": [1, 4], "space.p": [1, 3]}
    user = UserSettings(
        trials=4, epochs=1, workers=2, verdict_hours=0, assignments={"storage.url": shared, **small}
    )
    first = create_run(dataset, "segnas4", user, tmp_path / "lab")
    study = ["--storage", shared, "--study", "lab"]

    other = netwright("search", dataset, *options, *study, "--seed", 1, "-o", tmp_path / "b")
    assert (other.returncode, "seed = 1 differs from the study 'lab'" in other.stderr) == (2, True)
    chance = netwright("search", dataset, *options, "--storage", shared, "-o", tmp_path / "b" / "lab")
    assert (chance.returncode, "Give --study lab to take part" in chance.stderr) == (2, True)
    assert "stopped" in netwright("status", *study).stdout

    joined = netwright("resume", *study, "-o", tmp_path / "b", "--workers", 1)
    assert joined.returncode == 0, joined.stderr
    run = package.open_run(tmp_path / "b")
    assert (run.settings.machine.workers, first.settings.machine.workers) == (1, 2)
    assert run.settings.budget == first.settings.budget
    found = [(t.choice, t.reward, t.status) for t in run.trials]
    assert found == [(t.choice, t.reward, t.status) for t in package.open_run(finished_run).trials]
    assert found == [(t.choice, t.reward, t.status) for t in first.trials]

    seen = netwright("status", *study, "--json")
    assert json.loads(seen.stdout)["phase"] == "finished"
    assert json.loads(seen.stdout)["best"]["reward"] == run.best.reward
    report = netwright("report", *study, "-o", tmp_path)
    assert report.returncode == 0, report.stderr
    assert run.best.words in (tmp_path / "report.html").read_text(encoding="utf-8")
    for late in (["resume", *study], ["search", dataset, *options, *study]):
        again = netwright(*late, "-o", tmp_path / "c")
        assert (again.returncode, f"is finished, in {tmp_path / 'b'}" in again.stdout) == (0, True)
        assert not (tmp_path / "c").exists()
    more = netwright("resume", *study, "--hours", 1, "-o", tmp_path / "c")
    assert (more.returncode, "for more, start another one" in more.stderr) == (1, True)
    more = netwright("search", dataset, *options, *study, "--trials", 8, "-o", tmp_path / "c")
    assert (more.returncode, "budget.trials = 8 differs from the study 'lab'" in more.stderr) == (2, True)
    assert first.status().phase == "finished", "though that was elsewhere"
    assert netwright("resume", tmp_path / "lab").returncode == 0
    assert first.status().phase == "finished"

    texts = [
        path.read_bytes()
        for folder in ("lab", "b")
        for path in (tmp_path / folder).rglob("*")
        if path.is_file()
    ]
    assert not any(PASSWORD.encode() in text for text in texts)
    assert not any((tmp_path / folder / "study.db").exists() for folder in ("lab", "b"))

    pages = Pages(run.folder, "dice")
    pages.refresh()
    environ = {
        "HTTP_HOST": "localhost",
        "REQUEST_METHOD": "GET",
        "PATH_INFO": "/api/studies",
        "SERVER_NAME": "localhost",
    }
    environ |= {"SERVER_PORT": "80", "wsgi.url_scheme": "http"}
    body = b"".join(pages(environ, lambda status, headers: None))
    pages.close()
    assert [one["study_name"] for one in json.loads(body)["study_summaries"]] == ["lab"]


@pytest.mark.parametrize(
    ("url", "code", "told"),
    [
        ("{missing}", 1, 'database "no_such" does not exist. Name one that exists, or make it'),
        (
            "postgresql+psycopg://a@127.0.0.1:1/a",
            1,
            "Is the server running, and can it be reached from here?",
        ),
        (f"postgresql+psycopg://me:{SECRET}@host/lab", 2, "PGPASSWORD or in the file ~/.pgpass"),
        (f"postgresql+psycopg://me@host/lab?password={SECRET}", 2, "PGPASSWORD or in the file ~/.pgpass"),
        ("mysql://host/lab", 2, "expected postgresql+psycopg://USER@HOST:5432/DATABASE"),
        ("lab", 2, "expected postgresql+psycopg://USER@HOST:5432/DATABASE"),
        ("journal:lab", 2, "expected the absolute path of a file on a disk that all processes share"),
        (f"postgresql+psycopg://host:{SECRET}/lab", 2, "storage.url is no URL"),
        (f"postgresql+psycopg://me@host/lab?sslpassword={SECRET}", 2, "PGPASSWORD or in the file ~/.pgpass"),
    ],
)
def test_a_database_that_cannot_be_used_is_told_and_a_password_never(
    postgresql: PostgreSQL, netwright: Command, tmp_path: Path, url: str, code: int, told: str
) -> None:
    url = url.format(missing=postgresql.url("no_such"))
    for words in (
        ["search", tmp_path, "--recipe", "segnas4", "--storage", url],
        ["status", "--storage", url, "--study", "lab"],
        ["resume", "--storage", url, "--study", "lab", "-o", tmp_path / "run"],
    ):
        done = netwright(*words)
        assert done.returncode == code, done.stderr
        assert told in done.stderr
        assert SECRET not in done.stdout + done.stderr
    assert list(tmp_path.iterdir()) == []


def test_another_version_a_wrong_password_and_a_missing_package_are_told(
    database: str, postgresql: PostgreSQL, netwright: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["status", "--storage", database, "--study", "lab"]
    assert "has no study 'lab'. It has none" in netwright(*words).stderr
    backend.open_for_writing(Place(database, "lab")).engine.dispose()
    postgresql.execute("UPDATE alembic_version SET version_num = 'v0.9.0.a'", database.rpartition("/")[2])
    with pytest.raises(StorageError, match=r"no longer compatible .* Name a new database\."):
        backend.open_for_writing(Place(database, "lab"))
    backend._engine_of(database).dispose()
    with monkeypatch.context() as another:
        another.setenv("PGPASSWORD", SECRET)
        wrong = netwright(*words)
    assert (wrong.returncode, "Give the password in the variable PGPASSWORD" in wrong.stderr) == (1, True)
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "psycopg", None)
        lacking = netwright(*words)
    assert (lacking.returncode, "pip install 'netwright[postgresql]'" in lacking.stderr) == (2, True)


def test_the_winner_is_used_where_the_database_cannot_be_reached(
    finished_run: Path, netwright: Command, tmp_path: Path
) -> None:
    folder = shutil.copytree(finished_run, tmp_path / "run")
    away = "postgresql+psycopg://a@127.0.0.1:1/b"
    RunFolder(folder).change_settings({"storage.url": away, "storage.study": "run"})
    assert netwright("status", "--storage", away, "--study", "run").returncode == 1
    told = netwright("status", folder)
    assert (told.returncode, f"The database {away} cannot be used" in told.stderr) == (1, True)
    assert netwright("export", folder, "-o", tmp_path / "network.pt2").returncode == 0


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A stranger's server, which notes who calls."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)
        yield server


def test_a_server_that_a_strangers_run_names_is_not_called(
    finished_run: Path, dataset: Path, netwright: Command, tmp_path: Path, listener: socket.socket
) -> None:
    folder = shutil.copytree(finished_run, tmp_path / "run")
    (folder / "finished.json").unlink()
    url = f"postgresql+psycopg://me@127.0.0.1:{listener.getsockname()[1]}/lab"
    RunFolder(folder).change_settings({"storage.url": url, "storage.study": "run"})
    again = ("search", dataset, "--settings", folder / "run.yaml", "-o", tmp_path / "again")
    for words in (("status", folder), ("report", folder), ("resume", folder), ("dashboard", folder), again):
        done = netwright(*words)
        assert done.returncode == 2, done.stderr
        assert "name it once: netwright status --storage postgresql+psycopg" in " ".join(done.stderr.split())
    with pytest.raises(TimeoutError):
        listener.accept()


def test_a_strangers_run_names_no_file_of_the_user_as_its_database(
    finished_run: Path, netwright: Command, tmp_path: Path
) -> None:
    folder, other = shutil.copytree(finished_run, tmp_path / "run"), tmp_path / "other.db"
    (folder / "finished.json").unlink()
    RunFolder(folder).change_settings({"storage.url": f"sqlite:///{other}", "storage.study": "run"})
    for verb in ("status", "resume"):
        done = netwright(verb, folder)
        assert (done.returncode, "expected a PostgreSQL database" in done.stderr) == (2, True)
    assert not other.exists()


def test_of_two_that_begin_a_study_at_once_the_second_takes_part_with_its_own_workers(
    database: str, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = UserSettings(trials=4, epochs=1, workers=2, verdict_hours=0, assignments={"storage.url": database})
    first = create_run(dataset, "segnas4", with_study(user, "lab"), tmp_path / "a")
    find, asked = api.find_study, []

    def a_moment_before(*arguments: Any, **named: Any) -> Place | None:
        asked.append(find(*arguments, **named))
        return asked[-1] if len(asked) > 1 else None

    monkeypatch.setattr(api, "find_study", a_moment_before)
    second = create_run(dataset, "segnas4", replace(with_study(user, "lab"), workers=1), tmp_path / "b")
    assert (first.settings.machine.workers, second.settings.machine.workers) == (2, 1)
    assert second.settings.storage == first.settings.storage
    asked.clear()
    with pytest.raises(SettingsError, match="Give --study lab to take part in it"):
        create_run(dataset, "segnas4", user, tmp_path / "c" / "lab")
    monkeypatch.undo()
    with pytest.raises(SettingsError, match=r"dataset\.map_label = .* differs from the study 'lab'"):
        create_run(dataset, "segnas4", replace(with_study(user, "lab"), map_label={2: 1}), tmp_path / "d")
    other = parse_settings(override(first.settings.model_dump(mode="json"), {"strategy.name": "random"}))
    with pytest.raises(SettingsError, match=r"strategy = .* differs from the study 'lab'"):
        create_run(dataset, None, replace(with_study(user, "lab"), repeat=other), tmp_path / "e")
    with pytest.raises(SettingsError, match="--splits makes runs with a study each"):
        create_series(dataset, None, UserSettings(repeat=other), tmp_path / "f", 2)
    create_run(dataset, None, replace(with_study(user, "lab"), repeat=first.settings), tmp_path / "g")


def with_study(user: UserSettings, study: str) -> UserSettings:
    return replace(user, assignments={**(user.assignments or {}), "storage.study": study})


def test_a_study_does_not_say_where_the_code_of_a_network_is(
    database: str,
    shapes: Path,
    shapes_run: Path,
    workshop: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings, evil = package.open_run(shapes_run).settings, tmp_path / "evil"
    evil.mkdir()
    (evil / "own_networks.py").write_text("raise SystemExit('it was run')")
    named = parse_settings(override(settings.model_dump(mode="json"), {"space.folder": str(evil)}))
    place = Place(database, "lab")
    splits = (shapes_run / "splits.json").read_text()
    assert backend.register_run(place, named.to_yaml(), splits)
    assert not backend.register_run(place, settings.to_yaml(), splits)
    given = {"storage.url": database, "storage.study": "lab", "space.network": "own_networks:classifier"}
    monkeypatch.chdir(workshop)
    run = create_run(shapes, None, UserSettings(assignments=given), tmp_path / "run")
    assert run.settings.space.options["folder"] == str(workshop.resolve())
    assert run.code is not None
    machine = run.settings.machine
    assert machine.workers == default_workers(run.settings.training.device, machine.threads)


@pytest.mark.parametrize("words", [["run", "--study", "lab"], ["--study", "lab"], []])
def test_a_run_is_named_by_its_folder_or_by_its_study(netwright: Command, words: list[str]) -> None:
    for verb in ("status", "resume", "report", "dashboard"):
        done = netwright(verb, *words)
        assert (done.returncode, "Give the folder of a run, or --storage URL" in done.stderr) == (2, True)
