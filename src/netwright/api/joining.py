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
from netwright.files import write_json
from netwright.runs.folder import RunFolder, create_run_folder, default_folder, require_new_folder
from netwright.runs.place import Place, place_in
from netwright.runs.status import FINISHED
from netwright.settings import RunSettings, StorageSettings, override, parse_settings

if TYPE_CHECKING:
    from netwright.runs.postgresql import KeptRun

OWN = ("machine.", "log", "dataset.path")
"""Beginnings of settings that each run folder of a study has for itself, because they are of its machine."""


def study_at(url: str, study: str) -> Place:
    """The place of a study in a database.

    Raises:
        SettingsError: the URL cannot be used.
    """
    from netwright.runs import postgresql

    postgresql.require_url(url)
    return Place(url, study)


def find_study(storage: StorageSettings, folder: Path) -> Place | None:
    """The place of the study that a new run is to take part in; None where it begins one, or has no database.

    Args:
        storage: settings of the run.
        folder: of the run.

    Raises:
        SettingsError: a study has the name by chance, or the URL cannot be used.
        StorageError: the database cannot be used.
    """
    from netwright.runs import postgresql

    if storage.url is None:
        if storage.study is not None:
            raise SettingsError("storage.study is for a database: give storage.url (--storage), too.")
        return None
    place = study_at(storage.url, storage.study or folder.resolve().name)
    if postgresql.registered_run(place) is None:
        return None
    if storage.study is None:
        raise SettingsError(
            f"{storage.url} has a study {place.study!r} already. Give --study {place.study} to take part in it, or "
            "another name."
        )
    return place


def begin_study(settings: RunSettings, splits: Splits, folder: Path) -> tuple[RunSettings, Splits]:
    """Keeps what other drivers need with the study of a new run. Without a database nothing is done.

    Args:
        settings: of the run.
        splits: the parts of its dataset.
        folder: of the run.

    Returns:
        What the run folder is to have: with a database, what is kept there, which another driver may have done first.

    Raises:
        StorageError: the database cannot be used.
    """
    if settings.storage.url is None:
        return settings, splits
    from netwright.runs import postgresql

    place = place_in(settings.storage, RunFolder(folder))
    storage = settings.storage.model_copy(update={"study": place.study})
    settings = settings.model_copy(update={"storage": storage})
    return _kept(place, postgresql.register_run(place, settings.to_yaml(), json.dumps(splits.to_dict())))


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
    return Run(_folder_of(place, output, given or {}), trust_code=trust_code)


@contextlib.contextmanager
def visited_study(place: Place) -> Iterator[Run]:
    """A study as a run to be looked at, in a folder that is removed in the end.

    Raises:
        RunError: there is no such study.
        StorageError: the database cannot be used.
    """
    with tempfile.TemporaryDirectory(prefix="netwright-") as folder:
        yield Run(_folder_of(place, Path(folder) / "run", {}))


def _folder_of(place: Place, output: Path | None, given: Mapping[str, Any]) -> RunFolder:
    """Makes a run folder for a study; None: a new one is chosen."""
    from netwright.runs import postgresql

    kept = postgresql.registered_run(place)
    if kept is None:
        there = ", ".join(map(repr, postgresql.registered_studies(place))) or "none"
        raise RunError(f"{place.url} has no study {place.study!r}. It has {there}: name one with --study.")
    settings, splits = _kept(place, kept)
    root = output or default_folder(place.study)
    require_new_folder(root)
    folder = create_run_folder(root, _own(settings, given, place), splits, numbered=output is None)
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
