"""The values to search for each hyperparameter of a layer, as a user gives them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from netwright.errors import SettingsError

HYPERPARAMETERS = ("kernels", "kernel_size", "stride", "pool_size", "units")
"""The hyperparameters that a layer can have, in the order of Table III's columns."""

Given = Mapping[str, Sequence[int] | None]
"""Values as given by the user: a hyperparameter that is empty or None is not searched."""


def checked_values(given: Given) -> dict[str, tuple[int, ...]]:
    """The values in rising order without repetition; those given as None are empty.

    Raises:
        SettingsError: a hyperparameter is unknown, or values are not positive whole numbers.

    >>> checked_values({"kernels": [32, 16, 16], "stride": None})
    {'kernels': (16, 32), 'stride': ()}
    """
    if not isinstance(given, Mapping):
        raise SettingsError(f"values: expected a table such as {{kernels: [16, 32, 64]}}, got {given!r}.")
    checked: dict[str, tuple[int, ...]] = {}
    for key, numbers in given.items():
        if key not in HYPERPARAMETERS:
            raise SettingsError(f"values: layers have no {key!r}. There are: {', '.join(HYPERPARAMETERS)}.")
        chosen = () if numbers is None else numbers
        if isinstance(chosen, str) or not isinstance(chosen, Sequence):
            raise SettingsError(f"values.{key}: expected a list of positive whole numbers, got {numbers!r}.")
        for number in chosen:
            if isinstance(number, bool) or not isinstance(number, int) or number < 1:
                raise SettingsError(f"values.{key}: expected positive whole numbers, got {number!r}.")
        checked[key] = tuple(sorted(set(chosen)))
    return checked
