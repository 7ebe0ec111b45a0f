"""A study that several searches share, on a real PostgreSQL server."""

from __future__ import annotations

import pytest

from netwright.runs.place import Place


@pytest.fixture
def place(database: str) -> Place:
    """A study in a database of its own."""
    from netwright.runs import postgresql as backend

    place = Place(database, "study")
    backend.open_for_writing(place).engine.dispose()
    return place
