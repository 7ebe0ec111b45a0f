"""Steps of `netwright.planning.resolve`, one by one."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from netwright.planning.context import Context
from netwright.planning.draft import Draft
from netwright.planning.resolve import STEPS, Chapter, Step
from netwright.settings import RunSettings

CHAPTER = dict(STEPS[Chapter.DATA])
FIT: tuple[Step, ...] = tuple(
    CHAPTER[name]
    for name in (
        "how it was prepared",
        "pictures with masks are slices",
        "what is the task's own",
        "the task",
        "cutout",
        "shape of the space",
        "loss",
        "metric",
    )
)
"""What is chosen from data that is prepared."""


def after(settings: RunSettings, *steps: Step, user_set: Collection[str] = (), **context: Any) -> RunSettings:
    """The settings after some steps; ``context``: what these find there."""
    draft, at = Draft.begin(settings.model_dump(mode="json"), user_set), Context()
    for name, value in context.items():
        setattr(at, name, value)
    for step in steps:
        step(draft, at)
    return draft.finished()
