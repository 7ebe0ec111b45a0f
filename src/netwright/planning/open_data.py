"""The run's dataset is opened, inspected, prepared and split."""

from __future__ import annotations

import shlex
import warnings

from netwright.data.checked_parts import given_parts
from netwright.data.open import inspect_any, split_any
from netwright.data.parallel import now_and_then
from netwright.data.split_file import read_split_file
from netwright.data.volumes.regions import meant_as
from netwright.errors import SettingsError, SettingsWarning
from netwright.execution.resources import available_cores
from netwright.planning.context import Context
from netwright.planning.draft import Draft
from netwright.runs.data import open_own, prepare_own
from netwright.searches.components import problem_of
from netwright.settings import DatasetSettings


def open_dataset(draft: Draft, context: Context) -> None:
    """Open the dataset.

    Raises:
        DatasetError: it cannot be opened.
    """
    context.on_stage(f"inspecting {draft.dataset.path}")
    context.dataset = open_own(draft)


def read_parts(draft: Draft, context: Context) -> None:
    """Read the parts that the user gives in a file.

    Warns:
        SettingsWarning: the first of several folds is taken, cases are left out, or test cases are drawn.

    Raises:
        DatasetError: the file cannot be read, or does not suit the dataset.
        SettingsError: there is no such fold.
    """
    path, fold = draft.dataset.split_file, draft.dataset.fold
    if path is None:
        if fold is not None:
            raise SettingsError(
                f"dataset.fold={fold} (--fold) is for a file of folds: name it, too (--split-file), or leave it out."
            )
        return
    file = read_split_file(path.expanduser(), fold)
    context.given, notes = given_parts(file, context.dataset)
    if fold is None and file.folds > 1:
        notes = (
            f"{path.name} has {file.folds} folds: the first (0) is taken. --fold chooses another.",
            *notes,
        )
    for note in notes:
        warnings.warn(note, SettingsWarning, stacklevel=4)


def require_usable(draft: Draft, context: Context) -> None:
    """Refuse a dataset that has issues with which it cannot be used.

    Raises:
        DatasetError: naming them.
    """
    told = now_and_then(context.on_stage, "inspected")
    inspection = inspect_any(context.dataset, workers=available_cores(), on_case=told)
    inspection.require_usable(_options(draft.dataset))


def _options(dataset: DatasetSettings) -> str:
    """How the dataset is read, as options that can follow a command."""
    texts = [f" --format {dataset.format}"] if dataset.format else []
    texts += [f" --map-label {old}={meant_as(new)}" for old, new in dataset.map_label.items()]
    for name, labels in dataset.regions.items():
        texts.append(f" --region {shlex.quote(name)}={','.join(map(str, labels))}")
    return "".join(texts)


def prepare_dataset(draft: Draft, context: Context) -> None:
    """Prepare the dataset, unless it is in the cache.

    Raises:
        DatasetError: a file cannot be used.
    """
    context.on_stage(f"preparing {context.dataset.counted}")
    context.prepared = prepare_own(
        context.dataset, draft, now_and_then(context.on_stage, "prepared"), context.given
    )


def find_task(draft: Draft, context: Context) -> None:
    """What networks for this data get and must give."""
    context.task = problem_of(draft, context.prepared).task


def split_dataset(draft: Draft, context: Context) -> None:
    """Split the cases into training, validation and test.

    Raises:
        DatasetError: there are too few.
    """
    context.splits = split_any(context.prepared, draft.seed, draft.split, context.given)
