"""The published systems and `auto`, one file each."""

from __future__ import annotations

from netwright.recipes import auto, marl, pdas, policy_gradient, segnas
from netwright.recipes.base import Recipe
from netwright.spec import entry_of

RECIPES: dict[str, Recipe] = {
    **segnas.RECIPES,
    **marl.RECIPES,
    **policy_gradient.RECIPES,
    **pdas.RECIPES,
    **auto.RECIPES,
}


def find_recipe(name: str) -> Recipe:
    """The recipe of that name.

    Raises:
        SettingsError: there is none; the names are given.
    """
    return entry_of("recipe", RECIPES, name)


__all__ = ["RECIPES", "Recipe", "find_recipe"]
