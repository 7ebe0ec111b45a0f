"""Notes to the user that do not stop anything. Each is shown once, however many workers raise it."""

from __future__ import annotations

import logging
from collections.abc import Callable

LOGGER = "netwright.notes"
_SAID: set[str] = set()
_TO: list[Callable[[str], None]] = [logging.getLogger(LOGGER).warning]


def say_once(text: str) -> None:
    """Show a note, unless this process has shown it already."""
    if text not in _SAID:
        _SAID.add(text)
        _TO[-1](text)


def send_notes(to: Callable[[str], None]) -> None:
    """From now on send this process's notes there, not to its own log."""
    _TO.append(to)
