"""Decides whose code a run may execute: a run names a module, and its folder may come from anybody.

A search stores a fingerprint of the code of its network, space or strategy in the user's cache, which is outside the
run folder. Later, a module is imported only if its code is still the same, or if the user allows it.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from netwright.errors import StorageError, UntrustedCode
from netwright.files import write_json
from netwright.own_code.loading import OwnCode
from netwright.own_code.sources import Source, source_of
from netwright.settings import RunSettings
from netwright.spaces import code_of as space_code
from netwright.spaces import code_option
from netwright.spec import Spec
from netwright.strategies.own import code_of as strategy_code
from netwright.user_cache import cache_root

RECORDS = "own-code"
"""The folder of the cache that records the code of the user's own searches."""


def names_code(spec: Spec) -> bool:
    """Whether a space is made by code that its options name."""
    return code_option(spec) is not None


def codes_of(settings: RunSettings) -> tuple[OwnCode, ...]:
    """The user's code that a search with these settings runs: of its networks, and of its strategy."""
    named = (space_code(settings.space), strategy_code(settings.strategy))
    return tuple(code for code in named if code is not None)


def remember_code(code: OwnCode | None) -> None:
    """Records that a search of this user ran some code; None: there is none.

    Raises:
        StorageError: the cache cannot be written.
    """
    source = None if code is None else _source(code)
    if code is None or source is None:
        return
    record = {"network": code.name, "place": source.folder, "files": dict(source.files)}
    text = json.dumps(record, sort_keys=True)
    folder = _records(code.name)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"{folder} cannot be made ({error.strerror or error}). Choose another cache by NETWRIGHT_CACHE."
        ) from error
    write_json(folder / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.json", record)


def require_trusted(code: OwnCode | None, *, trust_code: bool = False) -> str | None:
    """Refuses code that no search of this user ran, unless the user trusts it. None: there is none.

    Returns:
        What will be run and why it may, for the user to read; None where no user's code will be run.

    Raises:
        UntrustedCode: the code is not this user's, or has changed.
    """
    source = None if code is None else _source(code)
    if code is None or source is None:
        return None
    if trust_code:
        return f"{source.file} is run, as you trust it"
    kept = list(_kept(code.name))
    same = [record for record in kept if source.same_code(record["files"])]
    if any(record["place"] == source.folder for record in same):
        return f"{source.file} is run, as by your own search"
    beside = source.others_beside()
    if same and not beside:
        return f"{source.file} is run, the same code as your own search ran"
    raise UntrustedCode(_refusal(code, source, known=bool(kept), beside=beside if same else []))


def _refusal(code: OwnCode, source: Source, *, known: bool, beside: list[str]) -> str:
    if beside:
        why = (
            f"the same code as your own search ran, but it has moved, and {beside[0]} beside it, which the search did "
            "not have, could be imported in place of another module"
        )
    elif known:
        why = "which has changed since the run began, and is not what a search of yours ran. Restore it; or"
        if code.what == "space":
            why = (
                "which has changed since the run began. If its dimensions are to change in this run, take it up by "
                f"'netwright resume RUN --set space.code={code.name}', which keeps the trials that fit. Else restore "
                "it; or"
            )
    else:
        why = "which no search of yours has run here: a run folder of somebody else may name any code"
    joined = " " if why.endswith("or") else ". "
    return (
        f"{code.name} would run {source.file}, {why}{joined}"
        f"{'read' if joined == ' ' else 'Read'} it, and if you trust it, give --trust-code (in Python trust_code=True)."
    )


def _source(code: OwnCode) -> Source | None:
    """The code behind a name; None where there is no such module."""
    folder = code.folder
    if folder is not None and not (isinstance(folder, str) and os.path.isabs(folder)):
        raise UntrustedCode(
            f"{code.table}.folder: expected an absolute path, got {folder!r}, which would be another folder wherever "
            f"netwright is started. Write the whole path of the folder that holds the {code.what}."
        )
    return source_of(code.name, folder)


def _records(name: str) -> Path:
    return cache_root() / RECORDS / hashlib.sha256(name.encode()).hexdigest()[:16]


def _kept(name: str) -> Iterator[dict[str, Any]]:
    """The code that this user's searches ran by this name. Records of others, and damaged ones, do not count."""
    for file in sorted(_records(name).glob("*.json")):
        try:
            record = json.loads(file.read_text(encoding="utf-8"))
            mine = file.stat().st_uid == os.getuid()
            files = {path: (digests[0], digests[1]) for path, digests in record["files"].items()}
        except (OSError, ValueError, TypeError, KeyError, IndexError, AttributeError):
            continue
        if mine and record.get("network") == name:
            yield {**record, "files": files}
