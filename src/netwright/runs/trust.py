"""Decides whose code a run may execute: a run names a module, and its folder may come from anybody.

A search stores a fingerprint of its network's code in the user's cache, which is outside the run folder. Later, a
module is imported only if its code is still the same, or if the user allows it.
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
from netwright.runs.cache import cache_root
from netwright.spaces import code_of, code_option
from netwright.spaces.layerwise.sources import Source, source_of
from netwright.spec import Spec

RECORDS = "own-code"
"""The folder of the cache that records the code of the user's own searches."""


def names_code(spec: Spec) -> bool:
    """Whether a space is made by code that its options name."""
    return code_option(spec) is not None


def remember_code(spec: Spec) -> None:
    """Records that a search of this user ran the code of a space, if the space names any.

    Raises:
        StorageError: the cache cannot be written.
    """
    named = _source(spec)
    if named is None:
        return
    network, source = named
    record = {"network": network, "place": source.folder, "files": dict(source.files)}
    text = json.dumps(record, sort_keys=True)
    folder = _records(network)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"{folder} cannot be made ({error.strerror or error}). Choose another cache by NETWRIGHT_CACHE."
        ) from error
    write_json(folder / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.json", record)


def require_trusted(spec: Spec, *, trust_code: bool = False) -> str | None:
    """Refuses a space whose code no search of this user ran, unless the user trusts it.

    Returns:
        What will be run and why it may, for the user to read; None where no user's code will be run.

    Raises:
        UntrustedCode: the code is not this user's, or has changed.
    """
    named = _source(spec)
    if named is None:
        return None
    network, source = named
    if trust_code:
        return f"{source.file} is run, as you trust it"
    kept = list(_kept(network))
    same = [record for record in kept if source.same_code(record["files"])]
    if any(record["place"] == source.folder for record in same):
        return f"{source.file} is run, as by your own search"
    beside = source.others_beside()
    if same and not beside:
        return f"{source.file} is run, the same code as your own search ran"
    raise UntrustedCode(_refusal(network, source, known=bool(kept), beside=beside if same else []))


def _refusal(network: str, source: Source, *, known: bool, beside: list[str]) -> str:
    if beside:
        why = (
            f"the same code as your own search ran, but it has moved, and {beside[0]} beside it, which the search did "
            "not have, could be imported in place of another module"
        )
    elif known:
        why = "which has changed since the run began, and is not what a search of yours ran. Restore it; or"
    else:
        why = "which no search of yours has run here: a run folder of somebody else may name any code"
    joined = " " if why.endswith("or") else ". "
    return (
        f"{network} would run {source.file}, {why}{joined}"
        f"{'read' if joined == ' ' else 'Read'} it, and if you trust it, give --trust-code (in Python trust_code=True)."
    )


def _source(spec: Spec) -> tuple[str, Source] | None:
    """The network that a space names, and its code; None where it names none, or one that does not exist."""
    network = code_of(spec)
    if network is None:
        return None
    folder = spec.options.get("folder")
    if folder is not None and not (isinstance(folder, str) and os.path.isabs(folder)):
        raise UntrustedCode(
            f"space.folder: expected an absolute path, got {folder!r}, which would be another folder wherever "
            "netwright is started. Write the whole path of the folder that holds the network."
        )
    source = source_of(network, folder)
    return None if source is None else (network, source)


def _records(network: str) -> Path:
    return cache_root() / RECORDS / hashlib.sha256(network.encode()).hexdigest()[:16]


def _kept(network: str) -> Iterator[dict[str, Any]]:
    """The code that this user's searches ran by this name. Records of others, and damaged ones, do not count."""
    for file in sorted(_records(network).glob("*.json")):
        try:
            record = json.loads(file.read_text(encoding="utf-8"))
            mine = file.stat().st_uid == os.getuid()
            files = {name: (digests[0], digests[1]) for name, digests in record["files"].items()}
        except (OSError, ValueError, TypeError, KeyError, IndexError, AttributeError):
            continue
        if mine and record.get("network") == network:
            yield {**record, "files": files}
