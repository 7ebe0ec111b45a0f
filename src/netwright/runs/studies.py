"""Run folders for studies of a database: the database keeps what a folder needs to take part, or to be looked at."""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from netwright.data.splits import Splits
from netwright.errors import RunError, SettingsError, StudyFinished
from netwright.files import write_json
from netwright.runs.folder import RunFolder, create_run_folder, default_folder, require_new_folder
from netwright.runs.kept_run import KeptRun
from netwright.runs.marks import FINISHED
from netwright.runs.own_databases import remember_database
from netwright.runs.place import Place
from netwright.runs.room import ASSIGNED, OF_CLUSTERS, asked_of_executor, memory_for, workers_for
from netwright.runs.start import found_again
from netwright.runs.storage import shared_backend
from netwright.settings import MachineSettings, RunSettings, override, parse_settings, parse_text
from netwright.training.device import resolve_device

OWN = ("machine.", "training.device", "log", "dataset.path", "space.folder", "strategy.folder")
"""Beginnings of settings that each run folder of a study has for itself, because they are of its machine."""


def study_at(url: str, study: str) -> Place:
    """The place of a study in a database that the user names.

    Raises:
        SettingsError: the URL cannot be used.
        StorageError: the cache, which keeps what the user named, cannot be written.
    """
    shared_backend(url).require_url(url)
    remember_database(url)
    return Place(url, study)


@contextlib.contextmanager
def visited_study(place: Place) -> Iterator[RunFolder]:
    """The folder of a study, to be looked at as that of a run. It is removed in the end.

    Raises:
        RunError: there is no such study.
        StorageError: the database cannot be used.
    """
    with tempfile.TemporaryDirectory(prefix="netwright-") as folder:
        yield folder_for(place, Path(folder) / "run", {}, works=False)


def folder_for(place: Place, output: Path | None, given: Mapping[str, Any], *, works: bool) -> RunFolder:
    """Makes a run folder for a study.

    Args:
        place: of the study.
        output: the folder, new or empty; None: a new one is chosen.
        given: settings that the user gave, by dotted name. Those of the machine are the folder's own.
        works: whether it will train candidates.

    Raises:
        StudyFinished: it would train candidates, and the study needs no more.
        RunError: there is no such study, or the folder holds something.
        SettingsError: the study has other settings than the user gave.
        StorageError: the database cannot be used.
    """
    database = shared_backend(place.url)
    kept = database.registered_run(place)
    if kept is None:
        there = ", ".join(map(repr, database.registered_studies(place))) or "none"
        raise RunError(f"{place.url} has no study {place.study!r}. It has {there}: name one with --study.")
    settings, splits = _kept(place, kept)
    own = _own(settings, given, place)
    if works and kept.finished is not None:
        raise StudyFinished(_finished(settings, place, kept.finished))
    root = output or default_folder(place.study.replace("/", "-"))
    require_new_folder(root)
    if works:
        own = _for_this_machine(_for_its_executor(own, given, settings.machine), given)
    folder = create_run_folder(
        root, own, splits, numbered=output is None, weights=found_again(own) if works else None
    )
    if kept.finished is not None:
        write_json(folder.root / FINISHED, {"finished_in": kept.finished})
    return folder


def _finished(settings: RunSettings, place: Place, folder: str) -> str:
    """That nothing is left to do for a study, and what a user may want instead."""
    more = "start another one" if settings.race is None else f"'netwright resume {folder} --hours MORE'"
    return (
        f"The study {place.study!r} of {place.url} is finished, in {folder}: there is nothing left to do. Look at it "
        f"with 'netwright status' or 'netwright report'; for more, {more}."
    )


def _kept(place: Place, kept: KeptRun) -> tuple[RunSettings, Splits]:
    try:
        settings = parse_text(kept.settings)
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
        elif name == "storage.folder" and settings.storage.trials is not None:
            if Path(value) != settings.storage.trials.parent:
                raise SettingsError(
                    f"storage.folder = {value!r}, but the trainings of the study {place.study!r} are in "
                    f"{settings.storage.trials.parent}. Leave it out."
                )
        elif parse_settings(override(values, {name: value})) != parse_settings(values):
            raise SettingsError(
                f"{name} = {value!r} differs from the study {place.study!r} of {place.url}, which others search, too. "
                "Leave it out, or name another study with --study."
            )
    return parse_settings(values)


def _for_its_executor(
    settings: RunSettings, given: Mapping[str, Any], others: MachineSettings
) -> RunSettings:
    """What candidates ask the executor for, and their device, where the study was begun with another one, or elsewhere.

    Args:
        settings: with what the user gave.
        given: by dotted name.
        others: settings of the machine of the process that began the study.

    Raises:
        SettingsError: there is no such executor, cluster or device.
    """
    changes: dict[str, Any] = {}
    another = settings.machine.executor != others.executor
    if another:
        changes |= {f"machine.{name}": None for name in OF_CLUSTERS}
    assigned = settings.training.device == ASSIGNED or "machine.gpus_per_trial" in given
    if others.elsewhere and (another or assigned):
        changes["training.device"] = "auto"  # the other one, also the CPU, is what its executor made of it
    changes = {name: value for name, value in changes.items() if name not in given}
    own = parse_settings(override(settings.model_dump(mode="json"), changes))
    own = parse_settings(override(own.model_dump(mode="json"), asked_of_executor(own)))
    resolve_device(own.training.device)
    return own


def _for_this_machine(settings: RunSettings, given: Mapping[str, Any]) -> RunSettings:
    """As many workers as suit this machine, and no more memory than each has, where the user gave no other numbers."""
    machine = settings.machine
    workers = machine.workers if "machine.workers" in given else workers_for(settings)
    limit = machine.memory_limit_mb
    if "machine.memory_limit_mb" not in given:
        there = machine.model_copy(update={"workers": workers})
        share = memory_for(settings.model_copy(update={"machine": there}))
        limit = min((mb for mb in (limit, share) if mb is not None), default=None)
    update = {"workers": workers, "memory_limit_mb": limit}
    return settings.model_copy(update={"machine": machine.model_copy(update=update)})
