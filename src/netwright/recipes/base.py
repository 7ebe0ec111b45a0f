"""A recipe: a system as the settings that make it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from netwright.spaces.kinds import KINDS, Kind


@dataclass(frozen=True)
class Recipe:
    """A published system, or one of netwright's own.

    Args:
        name: as in `netwright.recipes.RECIPES`.
        title: what it does, in one line.
        paper: where it was published.
        task: what it is for, in words.
        values: the settings in which it differs from the defaults of `netwright.settings`.
        spaces: where it has a space for each task: its name by the task of `netwright.spaces.kinds`.
    """

    name: str
    title: str
    paper: str
    task: str
    values: Mapping[str, Any]
    spaces: Mapping[str, str] = field(default_factory=dict)

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """What its spaces are for."""
        return tuple(KINDS[name] for name in self.spaces.values() or (self.values["space"]["name"],))
