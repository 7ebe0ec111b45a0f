"""The published systems, one file each."""

from __future__ import annotations

import difflib

from netwright.errors import SettingsError
from netwright.recipes import marl, pdas, policy_gradient, segnas
from netwright.recipes.base import Recipe

RECIPES: dict[str, Recipe] = {**segnas.RECIPES, **marl.RECIPES, **policy_gradient.RECIPES, **pdas.RECIPES}


def find_recipe(name: str) -> Recipe:
    """The recipe of that name.

    Raises:
        SettingsError: there is none; the names are given.
    """
    if name in RECIPES:
        return RECIPES[name]
    near = difflib.get_close_matches(name, RECIPES, n=1)
    advice = f"Did you mean {near[0]}? " if near else ""
    raise SettingsError(f"There is no recipe {name!r}. {advice}There are: {', '.join(RECIPES)}.")


__all__ = ["RECIPES", "Recipe", "find_recipe"]
