"""Names that settings had before: they are still read, from ``run.yaml`` and after ``--set``."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from typing import Any

from netwright.errors import SettingsWarning

OLD_NAMES = {
    "train.on": "train.cases",  # a bare ``on`` is ``true`` in YAML
}
"""Old dotted name -> the name today, in the same table."""


def with_names_of_today(values: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of nested settings in which no setting has an old name. A setting that has both keeps that of today."""
    result = dict(values)
    for old, new in OLD_NAMES.items():
        *parents, last = old.split(".")
        table = result
        for parent in parents:
            inner = table.get(parent)
            if not isinstance(inner, Mapping):
                break
            table[parent] = dict(inner)
            table = table[parent]
        else:
            if last in table:
                value = table.pop(last)
                table.setdefault(new.rsplit(".", 1)[-1], value)
    return result


def assignments_of_today(assignments: Mapping[str, Any]) -> dict[str, Any]:
    """Settings by their dotted names, with no old name among them."""
    return {OLD_NAMES.get(name, name): value for name, value in assignments.items()}


def warn_of_old_names(names: Iterable[str]) -> None:
    """Say what is called otherwise today.

    Warns:
        SettingsWarning: for each old name among the dotted names.
    """
    for name in names:
        if name in OLD_NAMES:
            words = f"The setting {name} is called {OLD_NAMES[name]} now; the old name still works."
            warnings.warn(words, SettingsWarning, stacklevel=5)
