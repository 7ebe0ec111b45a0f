"""Runs in a database that several searches may share: a study keeps what a run folder needs to take part in it."""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from netwright.api.run import Run
from netwright.data.splits import Splits
from netwright.errors import RunError, SettingsError
from netwright.execution.resources import default_workers, memory_share_mb
from netwright.files import write_json
from netwright.runs.folder import RunFolder, create_run_folder, default_folder, require_new_folder
from netwright.runs.own_databases import remember_database, require_own_database
from netwright.runs.place import Place, place_in
from netwright.runs.status import FINISHED
from netwright.settings import RunSettings, StorageSettings, override, parse_settings

if TYPE_CHECKING:
    from netwright.runs.postgresql import KeptRun

OWN = ("machine.", "log", "dataset.path", "space.folder")
"""Beginnings of settings that each run folder of a study has for itself, because they are of its machine."""


def study_at(url: str, study: str) -> Place:
    """The place of a study in a database that the user names.

    Raises:
        SettingsError: the URL cannot be used.
        StorageError: the cache, which keeps what the user named, cannot be written.
    """
    from netwright.runs import postgresql

    postgresql.require_url(url)
    remember_database(url)
    return Place(url, study)


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
    from netwright.runs import postgresql

    if storage.url is None:
        if storage.study is not None:
            raise SettingsError("storage.study is for a database: give storage.url (--storage), too.")
        return None
    postgresql.require_url(storage.url)
    place = place_in(storage, RunFolder(folder))
    if named:
        remember_database(place.url)
    require_own_database(place.url, place.study)
    if postgresql.registered_run(place) is None:
        return None
    if storage.study is None:
        raise SettingsError(
            f"{storage.url} has a study {place.study!r} already. Give --study {place.study} to take part in it, or "
            "another name."
        )
    return place


def begin_study(settings: RunSettings, splits: Splits, folder: Path) -> RunSettings | None:
    """Keeps what other drivers need with the study of a new run. Without a database nothing is done.

    Args:
        settings: of the run.
        splits: the parts of its dataset.
        folder: of the run.

    Returns:
        The settings that the run folder is to have, with the name of the study; None: another process has begun it.

    Raises:
        StorageError: the database cannot be used.
    """
    if settings.storage.url is None:
        return settings
    from netwright.runs import postgresql

    place = place_in(settings.storage, RunFolder(folder))
    storage = settings.storage.model_copy(update={"study": place.study})
    settings = settings.model_copy(update={"storage": storage})
    kept = postgresql.register_run(place, settings.to_yaml(), json.dumps(splits.to_dict()))
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
        RunError: there is no such study, it is finished, or the folder holds something.
        SettingsError: the study has other settings than the user gave.
        StorageError: the database cannot be used.
    """
    from netwright.runs import postgresql

    kept = postgresql.registered_run(place)
    if kept is not None and kept.finished is not None:
        raise RunError(
            f"The study {place.study!r} of {place.url} is finished, in {kept.finished}. Look at it with 'netwright "
            "status' or 'netwright report', or start another one."
        )
    return Run(_folder_of(place, output, given or {}, works=True), trust_code=trust_code)


@contextlib.contextmanager
def visited_study(place: Place) -> Iterator[Run]:
    """A study as a run to be looked at, in a folder that is removed in the end.

    Raises:
        RunError: there is no such study.
        StorageError: the database cannot be used.
    """
    with tempfile.TemporaryDirectory(prefix="netwright-") as folder:
        yield Run(_folder_of(place, Path(folder) / "run", {}, works=False))


def _folder_of(place: Place, output: Path | None, given: Mapping[str, Any], *, works: bool) -> RunFolder:
    """Makes a run folder for a study. Arguments as for `join_study`; ``works``: whether it will train candidates."""
    from netwright.runs import postgresql

    kept = postgresql.registered_run(place)
    if kept is None:
        there = ", ".join(map(repr, postgresql.registered_studies(place))) or "none"
        raise RunError(f"{place.url} has no study {place.study!r}. It has {there}: name one with --study.")
    settings, splits = _kept(place, kept)
    root = output or default_folder(place.study.replace("/", "-"))
    require_new_folder(root)
    own = _own(settings, given, place)
    if works:
        own = _for_this_machine(own, given)
    folder = create_run_folder(root, own, splits, numbered=output is None)
    if kept.finished is not None:
        write_json(folder.root / FINISHED, {"finished_in": kept.finished})
    return folder


def _kept(place: Place, kept: KeptRun) -> tuple[RunSettings, Splits]:
    try:
        settings = parse_settings(yaml.safe_load(kept.settings))
        splits = Splits.from_dict(json.loads(kept.splits))
    except (SettingsError, ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError) as error:
        raise RunError(
            f"The study {place.study!r} of {place.url} is of another version, or damaged: {error}"
        ) from None
    storage = settings.storage.model_copy(update={"url": place.url, "study": place.study})
    return settings.model_copy(update={"storage": storage}), splits


def _own(settings: RunSettings, given: Mapping[str, Any], place: Place) -> RunSettings:
    """The settings of a study with what the user gave for this machine.

    Raises:
        SettingsError: something that the user gave differs from the study's.
    """
    values = settings.model_dump(mode="json")
    for name, value in given.items():
        if name.startswith(OWN):
            values = override(values, {name: value})
        elif parse_settings(override(values, {name: value})) != parse_settings(values):
            raise SettingsError(
                f"{name} = {value!r} differs from the study {place.study!r} of {place.url}, which others search, too. "
                "Leave it out, or name another study with --study."
            )
    return parse_settings(values)


def _for_this_machine(settings: RunSettings, given: Mapping[str, Any]) -> RunSettings:
    """As many workers as suit this machine, and no more memory than each has, where the user gave no other numbers."""
    machine, device = settings.machine, settings.training.device
    workers = machine.workers if "machine.workers" in given else default_workers(device, machine.threads)
    limit = machine.memory_limit_mb
    if "machine.memory_limit_mb" not in given:
        share = memory_share_mb(device, workers)
        limit = share if limit is None else min(limit, share)
    update = {"workers": workers, "memory_limit_mb": limit}
    return settings.model_copy(update={"machine": machine.model_copy(update=update)})
