"""Modules that change in the course of a training."""

from __future__ import annotations

from typing import Protocol, runtime_checkable


@runtime_checkable
class Scheduled(Protocol):
    """A module that is told how far its training is."""

    def set_progress(self, share: float) -> None:
        """``share``: 0 at the first step, towards 1 at the last."""
