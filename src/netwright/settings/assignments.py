"""Single settings set by their dotted names: ``--set training.epochs=20``."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

import yaml

from netwright.errors import SettingsError
from netwright.objective import ObjectiveSettings
from netwright.settings.old_names import assignments_of_today, with_names_of_today

_FAMILIES = (("space",), ("strategy",))
_OPEN_TABLES = (*_FAMILIES, ("space", "values"), ("objective", "costs"), ("supernet", "space"))
"""Tables that take names beyond those that they have; they are checked where they are used."""
_OPTIONAL_TABLES = (
    ("slices",),
    ("inpainting",),
    ("supernet",),
    ("space", "values"),
    ("training", "early"),
    ("training", "augmentation"),
)
"""Tables that may be absent; a name in one of them makes it."""


NEAREST = 3
"""So many names are offered in place of one that does not exist."""


def override(values: Mapping[str, Any], assignments: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of nested settings with dotted names set: ``{"training.epochs": 5}``.

    A new ``space.name`` or ``strategy.name`` leaves the options of the old one behind. Options of ``space`` and
    ``strategy`` are checked later, by their makers.

    Raises:
        SettingsError: no setting has that name; the nearest names are given.
    """
    result: dict[str, Any] = _copied(values)
    assignments = assignments_of_today(assignments)
    for name, value in sorted(assignments.items(), key=lambda item: not item[0].endswith(".name")):
        *parents, last = name.split(".")
        place = tuple(parents)
        table: Any = result
        for parent in parents:
            if isinstance(table, dict) and place in _OPTIONAL_TABLES and table.get(parent) is None:
                table[parent] = {}
            table = table.get(parent) if isinstance(table, dict) else None
        known = isinstance(table, dict) and (last in table or place in (*_OPEN_TABLES, *_OPTIONAL_TABLES))
        if not known:
            raise SettingsError(_unknown_name(name, values))
        if name == "objective" and isinstance(value, str):
            value = ObjectiveSettings(metric=value).model_dump(mode="json")
        if place in _FAMILIES and last == "name" and value != table["name"]:
            table.clear()  # options belong to the member that is replaced
        table[last] = value
    return with_names_of_today(result)


def read_assignments(texts: list[str]) -> dict[str, Any]:
    """``key=value`` texts as a table, values read as YAML (numbers, true, lists).

    Raises:
        SettingsError: a text has no ``=``, or its value is no YAML.
    """
    result: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise SettingsError(
                f"--set expects key=value (for example training.learning_rate=0.002), got {text!r}."
            )
        try:
            result[name.strip()] = _number(yaml.safe_load(value))
        except yaml.YAMLError:
            raise SettingsError(
                f"--set {name}: the value {value!r} cannot be read; quote texts with ':'."
            ) from None
    return result


def _number(value: Any) -> Any:
    """YAML 1.1 reads 1e-3 as a text; people mean the number."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value


def _copied(values: Any) -> Any:
    return {k: _copied(v) for k, v in values.items()} if isinstance(values, Mapping) else values


def _names(values: Mapping[str, Any], prefix: str = "") -> list[str]:
    names = []
    for key, value in values.items():
        names += _names(value, f"{prefix}{key}.") if isinstance(value, Mapping) else [prefix + key]
    return names


def _unknown_name(name: str, values: Mapping[str, Any]) -> str:
    known = _names(values)
    last = name.rsplit(".", 1)[-1]
    near = [k for k in known if k.rsplit(".", 1)[-1] == last]
    near += [k for k in difflib.get_close_matches(name, known, n=NEAREST, cutoff=0.0) if k not in near]
    return f"There is no setting {name!r}. Did you mean {' or '.join(near[:NEAREST])}? All: docs/settings.md."
