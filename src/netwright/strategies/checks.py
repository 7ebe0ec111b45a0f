"""Checks of settings that several strategies share."""

from __future__ import annotations

from netwright.errors import SettingsError


def require_whole(**values: tuple[object, int]) -> None:
    """Settings by name, each with the least that it may be.

    Raises:
        SettingsError: one is no whole number, or is less.
    """
    for name, (value, least) in values.items():
        if type(value) is not int or value < least:
            raise SettingsError(f"{name} is {value!r}, but expected a whole number of at least {least}")
