"""Modules that change during a training."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import nn


class Scheduled(nn.Module, ABC):
    """A module that is told the progress of its training."""

    @abstractmethod
    def set_progress(self, share: float) -> None:
        """Set the progress: 0 at the first step, towards 1 at the last."""
