"""In which settings searches differ, and what they are called by that."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from netwright.errors import SettingsError
from netwright.settings import RunSettings

_OWN = ("seed", "machine", "log", "dataset", "split")
"""Settings in which runs of one search may differ: seed, machine, logs, and the data and its division."""

_MEASURED = (
    "preprocessing.ct_intensities",
    "space.folder",
    "space.fingerprint",
    "training.device",
    "training.early",
    "training.threads",
    "race.first_seconds",
    "race.validation_seconds",
    "race.most_flops",
    "race.used_seconds",
)
"""Settings that are measured on the data or the machine when a run is made."""

_OF_HOURS = (
    "training.epochs",
    "training.seconds",
    "training.steps",
    "supernet.seconds",
    "strategy.population",
)
"""Settings that follow from the hours of a search and from what was measured."""

OF_PROTOCOL = (
    "preprocessing",
    "slices",
    "images",
    "inpainting",
    "training",
    "train",
    "verdict",
    "objective",
)
"""Tables of settings that a standard network of the final comparison depends on."""

_MOST_TOLD = 3
"""So many differences at most are in the title of a search."""

_MOST_NAMED = 8
"""So many settings at most are proposed."""

Key = tuple[str, ...]
"""What two searches have in common that differ in nothing but seed, division of the data and machine."""


def _values(settings: RunSettings) -> dict[str, str]:
    """All settings of a search by dotted name, without those in which two runs of it may differ."""
    timed = settings.budget.hours is not None
    left_out = (*_OWN, *_MEASURED, *(_OF_HOURS if timed else ()))
    flat = _flat(settings.model_dump(mode="json"))
    return {name: value for name, value in flat.items() if not is_of(name, left_out)}


def is_of(name: str, tables: Collection[str]) -> bool:
    """Whether a dotted name, or a table that it is in, is among the names."""
    return any(f"{name}.".startswith(f"{table}.") for table in tables)


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = f"{value:g}" if isinstance(value, float) else str(value)
    return flat


def key_of(settings: RunSettings, without: str | None = None) -> Key:
    """The key of a search.

    Args:
        settings: of the search.
        without: a setting in which the searches may differ, too.
    """
    return tuple(f"{name}={value}" for name, value in sorted(_values(settings).items()) if name != without)


def titles_of(settings: Sequence[RunSettings], without: str | None = None) -> dict[Key, str]:
    """A title for each kind of search: its recipe, and the settings in which it differs from others of this recipe.

    Args:
        settings: of the searches.
        without: a setting that is not told, and in which searches of one kind may differ.
    """
    kinds = {key_of(one, without): (one.recipe, _values(one)) for one in settings}
    titles: dict[Key, str] = {}
    for key, (recipe, values) in kinds.items():
        alike = [other for name, other in kinds.values() if name == recipe]
        apart = [name for name in _apart(alike) if name != without]
        told = [f"{name}={values.get(name, 'none')}" for name in apart[:_MOST_TOLD]]
        title = ", ".join([recipe, *told, *(["..."] if len(apart) > _MOST_TOLD else [])])
        again = sum(known == title or known.startswith(f"{title} (") for known in titles.values())
        titles[key] = f"{title} ({again + 1})" if again else title
    return titles


def settings_apart(settings: Sequence[RunSettings], by: str | None = None) -> tuple[dict[str, str], ...]:
    """For each search, the settings in which they differ, in order of name.

    Args:
        settings: of the searches.
        by: one that must be among them.

    Raises:
        SettingsError: it is not.
    """
    values = [_values(one) for one in settings]
    apart = _apart(values)
    if by is not None and by not in apart:
        found = ", ".join(apart[:_MOST_NAMED]) + (", ..." if len(apart) > _MOST_NAMED else "")
        raise SettingsError(
            f"--by {by}: expected a setting in which the searches differ, which are {found or 'none'}. Take one of "
            "these, or leave it out."
        )
    return tuple({name: one.get(name, "") for name in apart} for one in values)


def _apart(values: Sequence[Mapping[str, str]]) -> list[str]:
    names = sorted({name for one in values for name in one})
    return [name for name in names if len({one.get(name) for one in values}) > 1]
