"""The run's dataset: opened, inspected, prepared, and divided into its parts."""

from __future__ import annotations

from netwright.data.open import inspect_any, split_any
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


def require_usable(draft: Draft, context: Context) -> None:
    """Refuse a dataset with issues that keep it from being used.

    Raises:
        DatasetError: naming them.
    """
    inspect_any(context.dataset, workers=available_cores()).require_usable(_options(draft.dataset))


def _options(dataset: DatasetSettings) -> str:
    """The options of the command with which the dataset is read, as a text to put behind a command."""
    texts = [f" --format {dataset.format}"] if dataset.format else []
    return "".join([*texts, *(f" --map-label {old}={new}" for old, new in (dataset.map_label or {}).items())])


def prepare_dataset(draft: Draft, context: Context) -> None:
    """Prepare the dataset, or find it prepared in the cache.

    Raises:
        DatasetError: a file cannot be used.
    """
    context.on_stage(f"preparing {context.dataset.counted}")
    context.prepared = prepare_own(context.dataset, draft)


def find_task(draft: Draft, context: Context) -> None:
    """What networks are trained for on that data."""
    context.task = problem_of(draft, context.prepared).task


def split_dataset(draft: Draft, context: Context) -> None:
    """Divide the cases into training, validation and test."""
    context.splits = split_any(context.prepared, draft.seed, draft.split)
