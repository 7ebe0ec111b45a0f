"""A server with few connections: how many a search keeps, and what is said and done when none is left."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import optuna
import pytest

from netwright.errors import StorageError
from netwright.execution.notes import send_notes
from netwright.runs import postgresql as backend
from netwright.runs import reconnecting
from netwright.runs.place import Place
from postgresql_server import PASSWORD, PostgreSQL
from processes import wait_until

psycopg = pytest.importorskip("psycopg")
LIMIT = 4
"""The connections of the user `few`; that of the other tests is the superuser, for whom no limit holds."""

OF_USER = "SELECT FROM pg_stat_activity WHERE usename = 'few'"


@pytest.fixture
def place(postgresql: PostgreSQL, database: str) -> Iterator[Place]:
    """A study of a user with few connections."""
    name = database.rpartition("/")[2]
    postgresql.execute(f"CREATE ROLE few LOGIN PASSWORD '{PASSWORD}' CONNECTION LIMIT {LIMIT}")
    postgresql.execute(f"ALTER DATABASE {name} OWNER TO few")
    url = database.replace("netwright@", "few@")
    yield Place(url, "study", lease_seconds=0.4)
    backend._engine_of(url).dispose()
    postgresql.execute(f"DROP DATABASE {name} WITH (FORCE)")
    postgresql.execute("DROP ROLE few")
    postgresql.execute(f"CREATE DATABASE {name}")  # which `database` removes


@pytest.fixture
def said() -> list[str]:
    """The notes to the user."""
    notes: list[str] = []
    send_notes(notes.append)
    return notes


def connections(place: Place) -> list[Any]:
    """All that the user may have."""
    return [psycopg.connect(place.url.replace("+psycopg", ""), password=PASSWORD) for _ in range(LIMIT)]


def test_a_search_that_renews_its_leases_keeps_four_connections(place: Place, postgresql: PostgreSQL) -> None:
    """A pool keeps what it has opened, so those that are left at last are the most that were used at once."""
    postgresql.execute(f"ALTER ROLE few CONNECTION LIMIT {3 * LIMIT}")
    assert backend.register_run(place, "", "{}")
    with backend.driving(place, "a") as driver:
        study = optuna.create_study(storage=driver.storage, study_name="study")
        ends = time.monotonic() + 3 * place.lease_seconds
        done = 0
        while time.monotonic() < ends or done < 3:
            with driver.turn():
                trial = driver.ask(study, done)
            assert trial is not None
            assert driver.holds(trial._trial_id)
            study.tell(trial, 1.0)
            driver.release(trial._trial_id)
            done += 1
        # The one that Optuna made its tables with is gone a moment after it was closed.
        wait_until(lambda: len(postgresql.execute(OF_USER)) <= LIMIT, seconds=20)


def test_who_finds_no_connection_waits_for_one_and_says_so(place: Place, said: list[str]) -> None:
    assert backend.register_run(place, "", "{}")
    backend._engine_of(place.url).dispose()
    held = connections(place)
    given_back = threading.Timer(1.0, lambda: [one.close() for one in held])
    given_back.start()
    assert backend.exists(place)
    given_back.join()
    assert ["No connection is left" in note for note in said] == [True]
    with backend.driving(place, "a") as driver:
        assert driver.workers(2) == 2


def test_who_finds_no_connection_for_long_is_told_what_to_do(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backend, "ROOM_SECONDS", 0.3)
    monkeypatch.setattr(reconnecting, "ROOM_SECONDS", 0.3)
    held = connections(place)
    with pytest.raises(StorageError, match=r"too many connections .*max_connections"):
        backend.exists(place)
    with pytest.raises(StorageError, match=r"too many connections .*max_connections"), backend.itself(place):
        pass
    for one in held:
        one.close()
    assert not backend.exists(place)
