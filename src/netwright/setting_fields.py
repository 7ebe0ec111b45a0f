"""Fields of settings that are dataclasses: each with its description and its range, in one place.

pydantic reads ``description`` from the metadata of a field, so the settings page and the completion of ``--set`` find
it as they find that of a pydantic ``Field``.
"""

from __future__ import annotations

import dataclasses
import textwrap
from collections.abc import Callable, Mapping
from typing import Any

from netwright.errors import SettingsError

LONGEST_QUOTED = 100
"""Letters of a description that an error quotes."""

_BOUNDS = ("at_least", "over", "at_most", "under")


def setting(
    default: Any = dataclasses.MISSING,
    description: str = "",
    *,
    factory: Callable[[], Any] | None = None,
    at_least: float | None = None,
    over: float | None = None,
    at_most: float | None = None,
    under: float | None = None,
) -> Any:
    """A dataclass field with a description.

    Args:
        default: its value where none is given.
        description: one or two plain sentences, as they stand in docs/settings.md.
        factory: makes the default, in place of ``default``.
        at_least: the lowest value; it is allowed.
        over: values must be larger.
        at_most: the highest value; it is allowed.
        under: values must be smaller.
    """
    bounds = dict(zip(_BOUNDS, (at_least, over, at_most, under), strict=True))
    metadata = {"description": description, **{k: v for k, v in bounds.items() if v is not None}}
    if factory is not None:
        return dataclasses.field(default_factory=factory, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def brief(description: str, letters: int) -> str:
    """The beginning of a description as plain text, of so many letters at most.

    Example:
        >>> brief("`null`: as many as there are cores", 20)
        'null: as many as ...'
    """
    return textwrap.shorten(description.replace("`", ""), letters, placeholder=" ...")


def quoted(name: str, description: str) -> str:
    """A setting's name and description, for the end of an error; empty if the description is long.

    Example:
        >>> quoted("training.batch_size", "images in a batch")
        ' (training.batch_size: images in a batch)'
    """
    short = 0 < len(description) <= LONGEST_QUOTED
    return f" ({name}: {brief(description, LONGEST_QUOTED)})" if short else ""


def range_words(bounds: Mapping[str, Any]) -> str:
    """A range in words, ``over 0 and under 1``; empty where there is none."""
    if "at_least" in bounds and "at_most" in bounds:
        return f"from {bounds['at_least']:g} to {bounds['at_most']:g}"
    words = {"at_least": "at least", "over": "over", "at_most": "at most", "under": "under"}
    return " and ".join(f"{words[name]} {bounds[name]:g}" for name in _BOUNDS if name in bounds)


def require_ranges(settings: Any, table: str) -> None:
    """Check every field of a dataclass against the range that it was given.

    Args:
        settings: the dataclass.
        table: its dotted name, for the message.

    Raises:
        SettingsError: a value lies outside; the message gives name, range and value, and the description if it is
            short. None is never outside.
    """
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        words = range_words(field.metadata)
        if words and value is not None and not _within(value, field.metadata):
            name = f"{table}.{field.name}"
            told = quoted(name, field.metadata.get("description", ""))
            raise SettingsError(f"{name} must be {words}, got {value}.{told}")


def _within(value: float, bounds: Mapping[str, Any]) -> bool:
    """NaN lies within no range."""
    return (
        ("at_least" not in bounds or value >= bounds["at_least"])
        and ("over" not in bounds or value > bounds["over"])
        and ("at_most" not in bounds or value <= bounds["at_most"])
        and ("under" not in bounds or value < bounds["under"])
    )
