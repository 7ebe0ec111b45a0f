"""Settings of a search inside one training with shared weights."""

from __future__ import annotations

from netwright.errors import SettingsError
from netwright.planning.context import Context
from netwright.planning.draft import Draft
from netwright.planning.recipe import recipes_space
from netwright.searches.one_shot import shares_weights
from netwright.strategies.natural_gradient import NaturalGradient


def drop_foreign_space_options(draft: Draft, _: Context) -> None:
    """Drop the options that the search has for the recipe's space if the user named another space."""
    supernet = draft.supernet
    if supernet is None or "space.name" not in draft.user_set or draft.space.name == recipes_space(draft):
        return
    given = {
        name: value
        for name, value in supernet.space.items()
        if not draft.user_set.isdisjoint({"supernet", "supernet.space", f"supernet.space.{name}"})
    }
    draft.change({"supernet.space": given})


def drop_supernet(draft: Draft, _: Context) -> None:
    """Train candidate after candidate if the user named a space or a strategy that shares no weights."""
    if draft.supernet is None or any(name.partition(".")[0] == "supernet" for name in draft.user_set):
        return
    shared = draft.strategy.name == NaturalGradient().name
    if "space.name" in draft.user_set:
        shared = shared and shares_weights(draft.space)
    if not shared:
        draft.change({"supernet": None})


def choose_one_shot_length(draft: Draft, context: Context) -> None:
    """Limit a one-shot search by the hours of the run. It has no trials, and no candidates with epochs of their own.

    Raises:
        SettingsError: trials, or epochs of each candidate, were asked for.
    """
    if draft.supernet is None:
        return
    if context.user.epochs is not None:
        raise SettingsError(
            "--epochs: a search inside one training has no candidates to train. Give --hours, or --set "
            f"supernet.epochs={context.user.epochs} for the search; the training of what it finds is 'netwright train "
            "--epochs'."
        )
    if "budget.trials" in draft.user_set:
        raise SettingsError(
            "--trials: a search inside one training has no trials. Give --hours, or --set supernet.epochs=...; or "
            "--set supernet=null, to train candidate after candidate."
        )
    if context.repeats and "budget.hours" not in draft.user_set:
        return  # the repeated run has supernet.seconds already
    hours = draft.budget.hours
    draft.choose({"supernet.seconds": None if hours is None else 3600.0 * hours})
