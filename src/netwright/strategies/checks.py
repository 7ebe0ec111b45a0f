"""Checks of settings that several strategies share."""

from __future__ import annotations

from netwright.errors import SettingsError


def require_whole(**values: tuple[object, int]) -> None:
    """Check that settings are whole numbers.

    Args:
        values: for each setting, by name, its value and the least value that is allowed.

    Raises:
        SettingsError: a value is not a whole number, or is too small.

    >>> require_whole(population=(20, 4))
    >>> require_whole(population=(2, 4))
    Traceback (most recent call last):
    ...
    netwright.errors.SettingsError: population is 2, but expected a whole number of at least 4
    """
    for name, (value, least) in values.items():
        if type(value) is not int or value < least:
            raise SettingsError(f"{name} is {value!r}, but expected a whole number of at least {least}")
