"""Old names of settings. They are still read, from ``run.yaml`` and after ``--set``."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from typing import Any

from netwright.errors import SettingsWarning

OLD_NAMES = {
    "train.on": "train.cases",  # a bare ``on`` is ``true`` in YAML
}
"""Old dotted name -> current one, in the same table."""


def rename_settings(values: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of nested settings with current names. If a setting has both names, the value of the current one stays."""
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


def rename_assignments(assignments: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of settings by dotted name, with current names."""
    return {OLD_NAMES.get(name, name): value for name, value in assignments.items()}


def warn_of_old_names(names: Iterable[str]) -> None:
    """Warn of old names among dotted names.

    Warns:
        SettingsWarning: for each of them.
    """
    for name in names:
        if name in OLD_NAMES:
            words = f"The setting {name} is called {OLD_NAMES[name]} now; the old name still works."
            warnings.warn(words, SettingsWarning, stacklevel=5)
