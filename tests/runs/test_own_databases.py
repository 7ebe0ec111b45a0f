"""Which databases a user has named."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from netwright.errors import SettingsError
from netwright.runs.own_databases import remember_database, require_own_database

URL = "postgresql+psycopg://me@server/lab"


def test_a_record_that_the_disk_gives_to_another_user_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As NFS does with the files of root, if it has root_squash."""
    monkeypatch.setenv("NETWRIGHT_CACHE", str(tmp_path))
    with pytest.raises(SettingsError, match="no command of yours has named") as unknown:
        require_own_database(URL, "hearts")
    remember_database(URL)
    require_own_database(URL, "hearts")
    owner = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: owner + 1)
    with pytest.raises(SettingsError, match=r"root_squash of NFS.*NETWRIGHT_CACHE") as squashed:
        require_own_database(URL, "hearts")
    assert str(squashed.value).startswith(str(unknown.value))
