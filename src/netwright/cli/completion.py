"""What the shell offers to complete a setting: ``--set <TAB>``, ``--kind <TAB>``."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import typer

from netwright.errors import SettingsError
from netwright.setting_fields import brief

if TYPE_CHECKING:
    from netwright.settings.fields import SettingField

MOST_LETTERS = 75
"""A description is shortened to this length, so that it fits on a line beside the name."""


def complete_sample(incomplete: str) -> list[str]:
    """Kinds of generated data that begin with the given text."""
    from netwright.data.samples import SAMPLES

    return [name for name in SAMPLES if name.startswith(incomplete)]


def complete_export(incomplete: str) -> list[str]:
    """Formats of exports that begin with the given text."""
    from netwright.models.export import EXPORTERS

    return [name for name in EXPORTERS if name.startswith(incomplete)]


def complete_setting(context: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Settings that begin with the given text, each with its description; after ``NAME=`` its values, if possible.

    Options of the space and of the strategy are among them where the command line names those, or a recipe.
    """
    from netwright.settings.fields import setting_fields

    name, equals, _ = incomplete.partition("=")
    fields = setting_fields() | _options(context.params, incomplete)
    if equals and name in fields:
        choices = _components(name) or fields[name].choices
        offered = [(f"{name}={choice}", "") for choice in choices]
    else:
        offered = [
            (f"{name}=", _short(field.description))
            for name, field in fields.items()
            if field.table is None or field.optional
        ]
    return [(text, help) for text, help in offered if text.startswith(incomplete)]


def _components(name: str) -> list[str]:
    """What ``space.name`` and ``strategy.name`` can be."""
    if name == "space.name":
        from netwright.spaces import SPACES

        return list(SPACES)
    if name == "strategy.name":
        from netwright.strategies.makers import PROPOSERS

        return list(PROPOSERS)
    return []


def _options(given: Mapping[str, Any], incomplete: str) -> dict[str, SettingField]:
    """The options of the space and the strategy that the command line names, if one may begin with the text.

    Spaces take a second to import, so they are asked only then.
    """
    fields: dict[str, SettingField] = {}
    for component in ("space", "strategy"):
        table = f"{component}."
        if not (table.startswith(incomplete) or incomplete.startswith(table)):
            continue
        name, variant = _named(component, given)
        if name is not None:
            from netwright.settings.options import option_fields

            with suppress(
                SettingsError
            ):  # a wrong name elsewhere on the line, which the command itself will refuse
                fields |= option_fields(component, name, variant)
    return {name: field for name, field in fields.items() if not field.filled_in}


def _named(component: str, given: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """The name of the space or the strategy, and its variant, as the command line gives them, or else its recipe."""
    assigned = dict(text.split("=", 1) for text in given.get("assignments") or () if "=" in text)
    name = assigned.get(f"{component}.name") or given.get(component)
    variant = assigned.get(f"{component}.variant")
    recipe = given.get("recipe") or ("marl" if given.get("network") else None)
    if recipe is not None:
        from netwright.recipes import RECIPES

        own = RECIPES[recipe].values[component] if recipe in RECIPES else {}
        name = name or own.get("name")
        if name == own.get("name"):
            variant = variant or own.get("variant")
    return name, variant


def _short(description: str) -> str:
    return brief(description, MOST_LETTERS).replace("[", "\\[")  # Typer reads it as Rich's markup
