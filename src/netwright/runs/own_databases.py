"""Decides which databases a run may connect to: its folder may come from anybody, and whoever names a server gets what
libpq sends to it, such as the user's password.

A command to which the user gives a database keeps its URL in the user's cache, outside any run folder.
"""

from __future__ import annotations

import hashlib
import json
import os
import shlex
from pathlib import Path

from netwright.errors import SettingsError, StorageError
from netwright.files import write_json
from netwright.user_cache import cache_root

RECORDS = "own-databases"
"""The folder of the cache that records the databases which the user named."""


def remember_database(url: str) -> None:
    """Records that the user named a database.

    Raises:
        StorageError: the cache cannot be written.
    """
    record = _record(url)
    if _is_own(url):
        return
    try:
        record.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"{record.parent} cannot be made ({error.strerror or error}). Choose another cache by NETWRIGHT_CACHE."
        ) from error
    write_json(record, {"url": url})


def require_own_database(url: str, study: str) -> None:
    """Refuses a database that a run names and the user has never named.

    Args:
        url: of the database.
        study: in it, for the message.

    Raises:
        SettingsError: nobody has connected to it.
    """
    if not _is_own(url):
        raise SettingsError(
            f"storage.url is {url}, which no command of yours has named here: a run folder of somebody else may name "
            "any server, which would get your password, or any file, which would be written to. If you trust it, name "
            "it once: netwright status --storage "
            f"{shlex.quote(url)} --study {shlex.quote(study)}.{_of_another_user(_record(url))}"
        )


def _record(url: str) -> Path:
    return cache_root() / RECORDS / f"{hashlib.sha256(url.encode()).hexdigest()[:16]}.json"


def _of_another_user(record: Path) -> str:
    """What to add to a refusal if there is a record that belongs to another user; "" where there is none."""
    try:
        owner = record.stat().st_uid
    except OSError:
        return ""
    if owner == os.getuid():
        return ""
    return (
        f" There is a record of it, {record}, which belongs to the user {owner}, and you are {os.getuid()}: if that "
        "disk gives your files to another user (root_squash of NFS), set NETWRIGHT_CACHE to a folder where they stay "
        "yours."
    )


def _is_own(url: str) -> bool:
    """Whether there is a record of a database. Those of other users, and damaged ones, do not count."""
    record = _record(url)
    try:
        return record.stat().st_uid == os.getuid() and json.loads(record.read_text("utf-8"))["url"] == url
    except (OSError, ValueError, TypeError, KeyError):
        return False
