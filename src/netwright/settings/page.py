"""Makes the tables of docs/settings.md from the fields of the settings: ``python -m netwright.settings.page FILE``.

A line ``<!-- settings: training, budget.trials -->`` in the page stands above the table of these settings, a line
``<!-- options: space segnas4, segnas7 -->`` above that of the options of these spaces, with a column of defaults for
each, and ``<!-- options: strategy q-learning/published -->`` names a strategy's variant. What is between the tables is
written by hand.
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
from netwright.settings.options import option_fields
from netwright.settings.reading import parse_settings

RECIPE = "segnas4"
"""The recipe whose settings are the defaults on the page."""

FILLED_IN = {
    "dataset.path": "the argument",
    "machine.workers": "one a GPU, else one a core that the container or the job has; on Ray as many as the cluster "
    "has room for",
    "machine.gpus_per_trial": "`training.devices` where the Ray cluster has GPUs, else 0",
    "machine.cpus_per_trial": "`machine.threads`, times `training.devices` on CPUs",
    "machine.memory_limit_mb": "nine tenths of the free memory, divided by the workers that share it: of the GPU with "
    "least of it, else main memory, or what the container or the job has left of it",
}
"""Defaults that come from the command or the machine, in words."""

_TABLE = re.compile(r"^<!-- (settings|options): (.+?) -->\n(?:\n(?:\|.*\n)+)?", re.MULTILINE)


def with_tables(page: str) -> str:
    """The text of a page, each table made anew.

    Raises:
        SettingsError: the page names a setting, space, strategy or variant that does not exist.
    """
    defaults = parse_settings({**RECIPES[RECIPE].values, "dataset": {"path": "."}}).model_dump(mode="json")

    def table(match: re.Match[str]) -> str:
        kind, given = match.groups()
        if kind == "options":
            lines = _option_table(given)
        else:
            names = [name.strip() for name in given.split(",")]
            rows = [_row(field, defaults) for name in names for field in _rows_of(name)]
            lines = ["| setting | default | values | meaning |", "|---|---|---|---|", *rows]
        return f"<!-- {kind}: {given} -->\n\n" + "".join(f"{line}\n" for line in lines)

    return _TABLE.sub(table, page)


def _option_table(given: str) -> list[str]:
    """The table of a line's spaces or strategies: a row for each option that one of them has."""
    component, _, rest = given.partition(" ")
    if component not in ("space", "strategy"):
        raise SettingsError(f"There are no options of {component!r}: expected space or strategy.")
    owners = [name.strip() for name in rest.split(",")]
    options: dict[str, dict[str, SettingField]] = {}
    for owner in owners:
        name, _, variant = owner.partition("/")
        for option, field in option_fields(component, name, variant or None).items():
            options.setdefault(option, {})[owner] = field
    columns = ["default"] if len(owners) == 1 else [f"`{owner.rpartition('/')[2]}`" for owner in owners]
    lines = [f"| setting | {' | '.join(columns)} | values | meaning |", "|---" * (len(columns) + 3) + "|"]
    for option, fields in options.items():
        defaults = [_option_default(fields.get(owner)) for owner in owners]
        cells = (f"`{option}`", *defaults, next(iter(fields.values())).values, _meaning(fields))
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _option_default(field: SettingField | None) -> str:
    """The default of one owner, which may have no such option."""
    if field is None:
        return "–"
    if field.filled_in:
        return "filled in"
    if field.default is None and not field.optional:
        return "required"
    default = float(f"{field.default:.4g}") if isinstance(field.default, float) else field.default
    return f"`{_yaml(default)}`"


def _meaning(fields: Mapping[str, SettingField]) -> str:
    """The description of an option; where owners differ, that of each."""
    told: dict[str, list[str]] = {}
    for owner, field in fields.items():
        told.setdefault(field.description, []).append(f"`{owner.rpartition('/')[2]}`")
    if len(told) == 1:
        return next(iter(told))
    return "; ".join(f"{', '.join(owners)}: {description}" for description, owners in told.items())


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
