"""Single settings set by their dotted names: ``--set training.epochs=20``."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

import yaml

from netwright.errors import SettingsError
from netwright.objective import ObjectiveSettings
from netwright.settings.old_names import rename_assignments, rename_settings

_COMPONENTS = (("space",), ("strategy",))
_OPEN_TABLES = (*_COMPONENTS, ("space", "values"), ("objective", "costs"), ("supernet", "space"))
"""Tables that take any name; their makers check the names later."""
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
"""How many names are offered for one that does not exist."""


def override(values: Mapping[str, Any], assignments: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of nested settings, in which some are set by their dotted names.

    Another ``space.name`` or ``strategy.name`` drops the options of the old one. The options of ``space`` and
    ``strategy`` are checked later, by their makers.

    Example:
        >>> override({"training": {"epochs": 100}}, {"training.epochs": 5})
        {'training': {'epochs': 5}}

    Raises:
        SettingsError: no setting has that name; the message gives the nearest names.
    """
    result: dict[str, Any] = _copied(values)
    assignments = rename_assignments(assignments)
    for name, value in sorted(assignments.items(), key=lambda item: not item[0].endswith(".name")):
        *parents, last = name.split(".")
        table_name = tuple(parents)
        table: Any = result
        for parent in parents:
            if isinstance(table, dict) and table_name in _OPTIONAL_TABLES and table.get(parent) is None:
                table[parent] = {}
            table = table.get(parent) if isinstance(table, dict) else None
        known = isinstance(table, dict) and (
            last in table or table_name in (*_OPEN_TABLES, *_OPTIONAL_TABLES)
        )
        if not known:
            raise SettingsError(_unknown_name(name, values))
        if name == "objective" and isinstance(value, str):
            value = ObjectiveSettings(metric=value).model_dump(mode="json")
        if table_name in _COMPONENTS and last == "name" and value != table["name"]:
            table.clear()  # its options belong to the component that is replaced
        table[last] = value
    return rename_settings(result)


def read_assignments(texts: list[str]) -> dict[str, Any]:
    """``key=value`` texts as a table. Values are read as YAML (numbers, true, lists).

    Example:
        >>> read_assignments(["training.learning_rate=2e-3", "slices={}"])
        {'training.learning_rate': 0.002, 'slices': {}}

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
    """The number in a text: YAML 1.1 reads 1e-3 as a text."""
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
