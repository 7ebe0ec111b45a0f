"""A recipe: a published system as the settings that make it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from netwright.spaces.kinds import KINDS, Kind


@dataclass(frozen=True)
class Recipe:
    """``values``: the settings in which the system differs from the defaults of `netwright.settings`."""

    name: str
    title: str
    paper: str
    task: str
    values: Mapping[str, Any]

    @property
    def kind(self) -> Kind:
        """What its space is for."""
        return KINDS[self.values["space"]["name"]]
