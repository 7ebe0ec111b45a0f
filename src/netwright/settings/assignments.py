"""Single settings set by their dotted names: ``--set training.epochs=20``."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import yaml

from netwright.errors import SettingsError
from netwright.objective import ObjectiveSettings
from netwright.setting_fields import LONGEST_QUOTED, brief
from netwright.settings.fields import SettingField, setting_fields
from netwright.settings.old_names import rename_assignments, rename_settings

_COMPONENTS = (("space",), ("strategy",))
_OF_DIMENSIONS = (("space", "values"), ("space", "fixed"), ("space", "start"))
"""Options of spaces with an entry for some of the dimensions."""
_OPEN_TABLES = (*_COMPONENTS, *_OF_DIMENSIONS, ("objective", "costs"), ("supernet", "space"))
"""Tables that take any name; their makers check the names later."""
_OPTIONAL_TABLES = (
    ("slices",),
    ("inpainting",),
    ("supernet",),
    ("race",),
    ("start_from",),
    *_OF_DIMENSIONS,
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
            last in table
            or table_name in _OPEN_TABLES
            or (table_name in _OPTIONAL_TABLES and name in setting_fields())
        )
        if not known:
            raise SettingsError(_unknown_name(name, values))
        if name == "objective" and isinstance(value, str):
            value = ObjectiveSettings(metric=value).model_dump(mode="json")
        if table_name in _COMPONENTS and last == "name" and value != table["name"]:
            table.clear()  # its options belong to the component that is replaced
        table[last] = value
    return rename_settings(result)


def read_assignments(texts: list[str], option: str = "--set") -> dict[str, Any]:
    """``key=value`` texts as a table. Values are read as YAML (numbers, true, lists). ``option`` is what gave them.

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
                f"{option} expects key=value (for example training.learning_rate=0.002), got {text!r}."
            )
        try:
            result[name.strip()] = _number(yaml.safe_load(value))
        except yaml.YAMLError:
            raise SettingsError(
                f"{option} {name}: the value {value!r} cannot be read; quote texts with ':'."
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
    """The message for a setting that does not exist: the nearest names, and what the very nearest is."""
    fields = setting_fields() | _option_fields(values)
    settings = [known for known, field in fields.items() if field.table is None or field.optional]
    known = list(dict.fromkeys([*_names(values), *settings]))
    last = _last(name)
    near = [k for k in known if last in (_last(k), _initials(k))]
    near.sort(key=lambda k: difflib.SequenceMatcher(None, name, k).ratio(), reverse=True)
    near += [k for k in difflib.get_close_matches(name, known, n=NEAREST, cutoff=0.0) if k not in near]
    quoted = ""
    if near[0] in fields:
        told = brief(fields[near[0]].description, LONGEST_QUOTED)
        quoted = f" {near[0]}: {told}{'' if told.endswith('...') else '.'}"
    return f"There is no setting {name!r}. Did you mean {' or '.join(near[:NEAREST])}?{quoted} All: docs/settings.md."


def _last(name: str) -> str:
    return name.rsplit(".", 1)[-1]


def _initials(name: str) -> str:
    """Of the words in the last part of a name: ``lr`` for ``training.learning_rate``."""
    return "".join(word[:1] for word in _last(name).split("_"))


def _option_fields(values: Mapping[str, Any]) -> dict[str, SettingField]:
    """The options of the space and the strategy in some settings, as far as these are known."""
    from netwright.settings.options import option_fields  # spaces take a second to import

    fields: dict[str, SettingField] = {}
    for (component,) in _COMPONENTS:
        table = values.get(component, {})
        with suppress(SettingsError):
            fields |= option_fields(component, table.get("name", ""), table.get("variant"))
    return {name: field for name, field in fields.items() if not field.filled_in}
