"""The data of a run: its dataset on disk, prepared and split."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass
from pathlib import Path

from netwright.data.base import AnyDataset, AnyPrepared, OnCase
from netwright.data.given_parts import GivenParts
from netwright.data.open import KINDS, digests_any, open_any, prepare_any
from netwright.data.splits import PARTS, Part, Splits
from netwright.errors import DatasetError, RunError
from netwright.execution.resources import available_cores
from netwright.runs.folder import RunFolder
from netwright.settings import RunSettings
from netwright.tasks import TASKS
from netwright.tasks.base import TestCase
from netwright.user_cache import cache_root


@dataclass(frozen=True)
class SearchData:
    """The data that every candidate is trained on: prepared data, and the case indices of training and validation."""

    prepared: Path
    training: tuple[int, ...]
    validation: tuple[int, ...]


@dataclass(frozen=True)
class RunData:
    """A run's dataset, opened and prepared."""

    dataset: AnyDataset
    prepared: AnyPrepared
    data: SearchData
    test: tuple[TestCase, ...]


def open_own(settings: RunSettings) -> AnyDataset:
    """Opens the dataset that a run's settings name.

    Raises:
        DatasetError: it cannot be opened.
    """
    dataset = settings.dataset
    return open_any(dataset.path, format=dataset.format, map_label=dataset.map_label, regions=dataset.regions)


def prepare_own(
    dataset: AnyDataset,
    settings: RunSettings,
    on_case: OnCase | None = None,
    given: GivenParts | None = None,
) -> AnyPrepared:
    """Prepares a dataset as the run's settings say. What is in the cache is not prepared again.

    Args:
        dataset: of the run.
        settings: of the run.
        on_case: called with the number of cases done and of all cases.
        given: the parts that the user gave.

    Raises:
        DatasetError: a file cannot be used.
    """
    return prepare_any(
        dataset,
        getattr(settings, KINDS[dataset.kind].setting),
        cache_root(),
        seed=settings.seed,
        fractions=settings.split,
        given=given,
        workers=available_cores(),
        on_case=on_case,
    )


def open_run_data(folder: RunFolder, settings: RunSettings, on_case: OnCase | None = None) -> RunData:
    """The run's dataset, prepared as the run says.

    Args:
        folder: of the run.
        settings: of the run.
        on_case: as for `prepare_own`.

    Raises:
        DatasetError: the dataset is gone, or has changed in a way that it cannot be used.
        RunError: cases of the run's parts are missing.
    """
    dataset = open_own(settings)
    splits = folder.splits()
    known = set(dataset.names)
    missing = [n for n in (*splits.training, *splits.validation, *splits.test) if n not in known]
    if missing:
        raise RunError(
            f"{settings.dataset.path} no longer has the case {missing[0]} ({len(missing)} of the run's cases are "
            f"missing). Put them back, or start a new run."
        )
    given = None if settings.dataset.split_file is None else GivenParts.of(splits)
    prepared = prepare_own(dataset, settings, on_case, given)
    index = {name: i for i, name in enumerate(prepared.names)}
    return RunData(
        dataset=dataset,
        prepared=prepared,
        data=SearchData(
            prepared=prepared.folder,
            training=tuple(index[n] for n in splits.training),
            validation=tuple(index[n] for n in splits.validation),
        ),
        test=TASKS[dataset.task].test_cases(dataset, prepared, splits.test),
    )


@dataclass(frozen=True)
class Unseen:
    """The cases of a dataset that a run's networks were not made with.

    Args:
        names: these cases.
        seen: how many cases of training and validation were left out.
        of_patients: how many further cases of the same patients were left out.
        tested: how many of ``names`` are the run's test cases.
    """

    names: tuple[str, ...]
    seen: int
    of_patients: int
    tested: int


def unseen_cases(dataset: AnyDataset, settings: RunSettings, splits: Splits) -> Unseen:
    """The cases of a dataset that a run's networks were not made with. Other cases of the same patients are left out
    too.

    Two cases are the same if their images have the same content. Where the run's own dataset is gone, a case with the
    same name counts as the same. Two patients are the same if they have a case in common, or the same name.

    Args:
        dataset: to test on.
        settings: of the run.
        splits: of the run.
    """
    seen, test = set(splits.training) | set(splits.validation), set(splits.test)
    own = _own_dataset(settings)
    contents = digests_any(dataset, available_cores())
    own_names = _own_names(contents, dataset, own, seen, test)
    met = {name for name, own_name in own_names.items() if own_name in seen}
    related = _of_patients(dataset, own, splits, met)
    kept = tuple(name for name in contents if name not in met and name not in related)
    return Unseen(kept, len(met), len(related), sum(own_names[name] in test for name in kept))


def note_of(unseen: Unseen, *, chosen: bool) -> str:
    """What a reader must know about the cases. ``chosen``: whether a user chose the trial of the network."""
    told = []
    if unseen.seen:
        told.append(f"{unseen.seen} cases that the network was made with are left out")
    if unseen.of_patients:
        told.append(f"{unseen.of_patients} more cases of the same patients are left out")
    if unseen.tested and chosen:
        told.append(
            f"{unseen.tested} are test cases of the run: a network chosen by them is no longer tested by them"
        )
    return "; ".join(told)


def nothing_unseen(dataset: Path | str, unseen: Unseen) -> str:
    """The message that there is nothing to evaluate on, with advice."""
    told = f"{dataset} has no labelled case that the network was not made with. Give other cases."
    if not unseen.of_patients:
        return told
    return (
        f"{told} {unseen.of_patients} were left out because their patients are named like those of the run's training "
        "and validation parts; if they are others, rename them."
    )


@dataclass(frozen=True)
class KnownCases:
    """The cases of a dataset that a run has, too.

    Args:
        parts: the part that each has in that run.
        by_name: whether they are recognised by their names, because the run's dataset is gone.
    """

    parts: Mapping[str, Part]
    by_name: bool


def known_cases(dataset: AnyDataset, settings: RunSettings, splits: Splits) -> KnownCases:
    """The cases of a dataset that another run has in one of its parts, recognised as in `unseen_cases`.

    Args:
        dataset: any.
        settings: of the run.
        splits: of the run.
    """
    seen, test = set(splits.training) | set(splits.validation), set(splits.test)
    part_of = {name: part for part, names in _parts(splits).items() for name in names}
    own = _own_dataset(settings)
    if own is not None and own.kind == dataset.kind and own.root.resolve() == dataset.root.resolve():
        return KnownCases({name: part_of[name] for name in dataset.names if name in part_of}, by_name=False)
    there = own is not None and own.kind == dataset.kind
    contents = digests_any(dataset, available_cores()) if there else dict.fromkeys(dataset.names, "")
    names = _own_names(contents, dataset, own, seen, test)
    return KnownCases({new: part_of[old] for new, old in names.items() if old in part_of}, by_name=not there)


def _parts(splits: Splits) -> dict[Part, tuple[str, ...]]:
    return dict(zip(PARTS, (splits.training, splits.validation, splits.test), strict=True))


def _own_dataset(settings: RunSettings) -> AnyDataset | None:
    """The dataset of a run; None where it is gone."""
    try:
        return open_own(settings)
    except (DatasetError, OSError):
        return None


def _own_names(
    contents: Mapping[str, str],
    dataset: AnyDataset,
    own: AnyDataset | None,
    seen: set[str],
    test: set[str],
) -> dict[str, str]:
    """The name that each case of a dataset has in a run; "" where the run does not have it.

    Args:
        contents: digest of each case.
        dataset: with these cases.
        own: that of the run; None: it is gone, and cases are known by their names.
        seen: the run's training and validation cases.
        test: its test cases.
    """
    known = None if own is None or own.kind != dataset.kind else _names_by_content(own, seen, test)
    return {name: name if known is None else known.get(content, "") for name, content in contents.items()}


def _of_patients(dataset: AnyDataset, own: AnyDataset | None, splits: Splits, met: Set[str]) -> set[str]:
    """The further cases of patients that were met.

    A patient was met if one of their cases is among ``met``, or if they have the name of a patient of the training or
    validation part. A case without a patient is known by its content alone.
    """
    seen = {*splits.training, *splits.validation}
    patients = {splits.groups[name] for name in seen & splits.groups.keys()}
    if own is not None:
        # The run's parts do not name the patient of a single case.
        patients |= {group for name, group in own.groups.items() if name in seen and group != name}
    patients |= {group for name, group in dataset.groups.items() if name in met}
    return {name for name, group in dataset.groups.items() if name not in met and group in patients}


def _names_by_content(own: AnyDataset, seen: set[str], test: set[str]) -> dict[str, str]:
    """Content -> name. Where a content occurs twice, the name is the one that it was trained under."""
    contents = digests_any(own, available_cores())
    return {contents[name]: name for names in (test, seen) for name in contents if name in names}
