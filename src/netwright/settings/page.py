"""Makes the tables of docs/settings.md from the fields of the settings: ``python -m netwright.settings.page FILE``.

A line ``<!-- settings: training, budget.trials -->`` in the page stands above the table of these settings. What is
between the tables is written by hand, and so are the tables of the options of spaces and strategies.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from netwright.errors import SettingsError
from netwright.recipes import RECIPES
from netwright.settings.fields import SettingField, setting_fields
from netwright.settings.reading import parse_settings

RECIPE = "segnas4"
"""The recipe whose settings are the defaults on the page."""

FILLED_IN = {
    "dataset.path": "the argument",
    "machine.workers": "one a GPU, else one a core",
    "machine.memory_limit_mb": "nine tenths of the free memory, divided by the workers that share it: of the GPU with "
    "least of it, else main memory",
}
"""Defaults that come from the command or the machine, in words."""

_TABLE = re.compile(r"^<!-- settings: (.+?) -->\n\n?(?:\|.*\n)*", re.MULTILINE)


def with_tables(page: str) -> str:
    """The text of a page, each table made anew.

    Raises:
        SettingsError: the page names a setting that does not exist.
    """
    defaults = parse_settings({**RECIPES[RECIPE].values, "dataset": {"path": "."}}).model_dump(mode="json")

    def table(match: re.Match[str]) -> str:
        names = [name.strip() for name in match[1].split(",")]
        rows = [_row(field, defaults) for name in names for field in _rows_of(name)]
        lines = ["| setting | default | values | meaning |", "|---|---|---|---|", *rows]
        return f"<!-- settings: {match[1]} -->\n\n" + "".join(f"{line}\n" for line in lines)

    return _TABLE.sub(table, page)


def _rows_of(name: str) -> Iterator[SettingField]:
    """The setting with that name, or the settings of the table. A table that is absent by default has a row, too."""
    fields = setting_fields()
    if name not in fields:
        raise SettingsError(f"There is no setting {name!r} to make a table of.")
    for inner, field in fields.items():
        within = inner == name or inner.startswith(f"{name}.")
        if within and (field.table is None or (field.optional and field.default is None)):
            yield field


def _row(field: SettingField, defaults: Mapping[str, Any]) -> str:
    default = FILLED_IN.get(field.name) or f"`{_yaml(_default(field, defaults))}`"
    cells = (f"`{field.name}`", default, field.values, field.description)
    return f"| {' | '.join(cells)} |"


def _default(field: SettingField, defaults: Mapping[str, Any]) -> Any:
    """The default of the recipe, or of the class if the recipe has no such table."""
    value: Any = defaults
    for key in field.name.split("."):
        if not isinstance(value, Mapping) or key not in value:
            return field.default
        value = value[key]
    return value


def _yaml(value: Any) -> str:
    return yaml.safe_dump(value, default_flow_style=True, width=10_000).removesuffix("...\n").strip()


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(with_tables(path.read_text(encoding="utf-8")), encoding="utf-8")
