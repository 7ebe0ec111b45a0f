"""What a user should know although all goes on. Each is said once, however many workers meet it."""

from __future__ import annotations

import logging
from collections.abc import Callable

LOGGER = "netwright.notes"
_SAID: set[str] = set()
_TO: list[Callable[[str], None]] = [logging.getLogger(LOGGER).warning]


def say_once(text: str) -> None:
    """Say it, unless this process has."""
    if text not in _SAID:
        _SAID.add(text)
        _TO[-1](text)


def send_notes(to: Callable[[str], None]) -> None:
    """From now on what is said in this process goes there, not into its own log."""
    _TO.append(to)
