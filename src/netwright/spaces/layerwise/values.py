"""The values that are searched of each hyperparameter of a layer, as they are given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from netwright.errors import SettingsError

HYPERPARAMETERS = ("kernels", "kernel_size", "stride", "pool_size", "units")
"""Those that a layer can have, in the order of Table III's columns."""

Given = Mapping[str, Sequence[int] | None]
"""Value sets as they are set: what is empty or None is not searched."""


def checked_values(given: Given) -> dict[str, tuple[int, ...]]:
    """Value sets in rising order, each value once; those given as None are empty.

    Raises:
        SettingsError: a hyperparameter is unknown, or values are not positive whole numbers.
    """
    if not isinstance(given, Mapping):
        raise SettingsError(f"values: expected a table such as {{kernels: [16, 32, 64]}}, got {given!r}.")
    checked: dict[str, tuple[int, ...]] = {}
    for key, numbers in given.items():
        if key not in HYPERPARAMETERS:
            raise SettingsError(f"values: layers have no {key!r}. There are: {', '.join(HYPERPARAMETERS)}.")
        found = () if numbers is None else numbers
        if isinstance(found, str) or not isinstance(found, Sequence):
            raise SettingsError(f"values.{key}: expected a list of positive whole numbers, got {numbers!r}.")
        for number in found:
            if isinstance(number, bool) or not isinstance(number, int) or number < 1:
                raise SettingsError(f"values.{key}: expected positive whole numbers, got {number!r}.")
        checked[key] = tuple(sorted(set(found)))
    return checked
