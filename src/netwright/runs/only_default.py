"""Why a search whose trainings go on trains its default alone."""

from __future__ import annotations

from collections.abc import Iterable

from netwright.data.splits import Splits
from netwright.report.statistics import fewest_units
from netwright.runs.folder import RunFolder
from netwright.settings import RunSettings


def unproven(splits: Splits) -> str:
    """A sentence's begin where too few validation cases could show that anything is better; empty: there are enough.

    The cases of a patient count once.

    >>> unproven(Splits(("a", "b"), ("c",), ("d",)))
    'with 1 validation case no network can be better than the default beyond chance'
    """
    count = units_among(splits, splits.validation)
    if count >= fewest_units():
        return ""
    units = units_of(splits)
    those = units.removesuffix("s") if count == 1 else units
    return f"with {count} validation {those} no network can be better than the default beyond chance"


def units_among(splits: Splits, names: Iterable[str]) -> int:
    """How many of some cases are independent: a patient's count once."""
    return len({splits.groups.get(name, name) for name in names})


def units_of(splits: Splits) -> str:
    """What is independent: "cases", or "patients" where some of these have several cases."""
    return "patients" if splits.groups else "cases"


def why_only_default(folder: RunFolder, settings: RunSettings) -> str:
    """Why all the hours go to the default, and what to do about it; empty where they do not.

    Args:
        folder: of the run.
        settings: of the run.
    """
    if settings.race is None or not settings.race.only_default:
        return ""
    splits = folder.splits()
    told = unproven(splits)
    if not told:
        return "All the hours go to the default, as race.only_default says."
    return (
        f"All the hours go to the default: {told}. Expected at least {fewest_units()}: label more {units_of(splits)}, "
        "or search all the same with race.only_default=false."
    )
