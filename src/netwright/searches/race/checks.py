"""Checks of options that several rules share."""

from __future__ import annotations

from netwright.errors import SettingsError


def require_share(name: str, value: object) -> None:
    """Check an option that is a share of the race.

    Raises:
        SettingsError: it is no number above 0 and at most 1.
    """
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 < value <= 1:
        raise SettingsError(f"{name} is {value!r}, but expected a number above 0 and at most 1")


def require_whole(name: str, value: object, least: int) -> None:
    """Check an option that is a whole number.

    Args:
        name: of the option.
        value: to check.
        least: the smallest allowed value.

    Raises:
        SettingsError: it is not a whole number of at least ``least``.
    """
    if type(value) is not int or value < least:
        raise SettingsError(f"{name} is {value!r}, but expected a whole number of at least {least}")
