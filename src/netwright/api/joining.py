"""Runs in a database that several searches may share: how a study is begun, found and joined."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from netwright.api.run import Run
from netwright.data.splits import Splits
from netwright.errors import SettingsError
from netwright.runs.folder import RunFolder
from netwright.runs.own_databases import remember_database, require_own_database
from netwright.runs.place import Place, place_in
from netwright.runs.storage import shared_backend
from netwright.runs.studies import folder_for
from netwright.settings import RunSettings, StorageSettings


def find_study(storage: StorageSettings, folder: Path, *, named: bool) -> Place | None:
    """The place of the study that a new run is to take part in; None where it begins one, or has no database.

    Args:
        storage: settings of the run.
        folder: of the run.
        named: whether the user named the database in person; otherwise the settings of another run do.

    Raises:
        SettingsError: a study has the name by chance, the URL cannot be used, or the user never named it.
        StorageError: the database cannot be used.
    """
    if storage.url is None:
        if storage.study is not None:
            raise SettingsError("storage.study is for a database: give storage.url (--storage), too.")
        return None
    shared_backend(storage.url).require_url(storage.url)
    place = place_in(storage, RunFolder(folder))
    if named:
        remember_database(place.url)
    require_own_database(place.url, place.study)
    if shared_backend(place.url).registered_run(place) is None:
        return None
    if storage.study is None:
        raise SettingsError(
            f"{storage.url} has a study {place.study!r} already. Give --study {place.study} to take part in it, or "
            "another name."
        )
    return place


def begin_study(
    settings: RunSettings, splits: Splits, folder: Path, *, named: bool = False
) -> RunSettings | None:
    """Keeps what other drivers need with the study of a new run. Without a database nothing is done.

    Args:
        settings: of the run.
        splits: the parts of its dataset.
        folder: of the run.
        named: whether the user named ``storage.folder`` in person; otherwise another run has its trainings there.

    Returns:
        The settings that the run folder is to have, with the name of the study; None: another process has begun it.

    Raises:
        SettingsError: ``storage.folder`` is of no use to the run.
        StorageError: the database cannot be used.
    """
    storage = settings.storage
    if not named:
        storage = storage.model_copy(update={"folder": None})
    elif storage.url is None or settings.race is None:
        raise SettingsError(
            "storage.folder is for several processes whose trainings go on: with a database (--storage) and a recipe "
            "such as auto. Leave it out."
        )
    if storage.url is None:
        return settings.model_copy(update={"storage": storage})
    place = place_in(storage, RunFolder(folder))
    storage = storage.model_copy(update={"study": place.study})
    if settings.race is not None:
        trials = (storage.folder or folder.resolve()) / f"trials-{secrets.token_hex(8)}"
        storage = storage.model_copy(update={"folder": trials})
    settings = settings.model_copy(update={"storage": storage})
    texts = settings.to_yaml(), json.dumps(splits.to_dict())
    kept = shared_backend(place.url).register_run(place, *texts)
    return settings if kept else None


def join_study(
    place: Place,
    output: Path | None,
    given: Mapping[str, Any] | None = None,
    *,
    trust_code: bool = False,
) -> Run:
    """Makes a run folder that takes part in a study.

    Args:
        place: of the study.
        output: the folder, new or empty; None: a new one is chosen.
        given: settings that the user gave, by dotted name. Those of the machine are the folder's own.
        trust_code: see `Run.code`.

    Raises:
        StudyFinished: there is nothing left to do for it.
        RunError: there is no such study, or the folder holds something.
        SettingsError: the study has other settings than the user gave.
        StorageError: the database cannot be used.
    """
    return Run(folder_for(place, output, given or {}, works=True), trust_code=trust_code)
