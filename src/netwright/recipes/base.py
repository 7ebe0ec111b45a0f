"""A recipe: a published system as the settings that make it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Recipe:
    """``values``: the settings in which the system differs from the defaults of `netwright.settings`.

    ``tasks``: the tasks that it is for: "segmentation", "classification". ``volumes``: it is for volumes alone.
    """

    name: str
    title: str
    paper: str
    task: str
    values: Mapping[str, Any]
    tasks: tuple[str, ...] = ("segmentation",)
    volumes: bool = False
