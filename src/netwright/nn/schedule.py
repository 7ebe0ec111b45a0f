"""Modules that change as a training goes on."""

from __future__ import annotations

from typing import Protocol, runtime_checkable


@runtime_checkable
class Scheduled(Protocol):
    """A module that is told how far the training is, before every step of it."""

    def set_progress(self, share: float) -> None:
        """``share``: of the training that is over, from 0 to 1."""
