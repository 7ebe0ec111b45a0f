"""Some steps of `netwright.planning.resolve`, without the others."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from netwright.planning.context import Context
from netwright.planning.draft import Draft
from netwright.planning.recipe import first_draft
from netwright.planning.resolve import STEPS, Chapter, Step, take_steps
from netwright.planning.user_settings import UserSettings
from netwright.settings import RunSettings

CHAPTER = dict(STEPS[Chapter.DATA])
CHOOSE_FROM_DATA: tuple[Step, ...] = tuple(
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
"""The steps that choose settings from prepared data."""


def resolve(dataset: Path, recipe: str | None, user: UserSettings) -> RunSettings:
    """The settings as far as they are known before the dataset is opened."""
    draft = first_draft(dataset, recipe, user)
    take_steps(draft, Context(user), Chapter.SETTINGS)
    return draft.finished()


def after(settings: RunSettings, *steps: Step, user_set: Collection[str] = (), **context: Any) -> RunSettings:
    """The settings after some steps. ``context`` has the attributes of `Context` that these need."""
    draft, at = Draft.begin(settings.model_dump(mode="json"), user_set), Context()
    for name, value in context.items():
        setattr(at, name, value)
    for step in steps:
        step(draft, at)
    return draft.finished()
