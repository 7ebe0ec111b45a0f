"""Modules that change in the course of a training."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import nn


class Scheduled(nn.Module, ABC):
    """A module that is told how far its training is; only those that derive from it are."""

    @abstractmethod
    def set_progress(self, share: float) -> None:
        """``share``: 0 at the first step, towards 1 at the last."""
