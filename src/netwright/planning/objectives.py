"""Several objectives: what is asked for, and which searches can find a Pareto front."""

from __future__ import annotations

from typing import Any

from netwright.errors import SettingsError
from netwright.planning.context import Context
from netwright.planning.draft import Draft
from netwright.planning.user_settings import UserSettings

ONE = {
    "objective.weight": 1.0,
    "objective.percent": False,
    "objective.per_epoch": False,
    "objective.costs": {},
}
"""What a recipe may set to make one objective of several, without effect."""


def named_objectives(user: UserSettings) -> tuple[Any, Any]:
    """What the user gave to be maximised and minimised, not checked yet; empty where that is nothing."""
    values = user.values()
    table = values.get("objective")
    named = table if isinstance(table, dict) else {}
    higher, lower = (
        values.get(f"objective.{name}", named.get(name)) or () for name in ("maximize", "minimize")
    )
    return higher, lower


def asks_for_front(user: UserSettings) -> bool:
    """Whether the user named several objectives."""
    higher, lower = named_objectives(user)
    return bool(lower) or (isinstance(higher, list | tuple) and len(higher) > 1)


def choose_objectives(draft: Draft, _: Context) -> None:
    """Take the first metric that is maximised as the metric of the run, and refuse searches without a Pareto front.

    A single metric that is maximised, with nothing to minimise, is one objective.

    Raises:
        SettingsError: the search ends in one network, or the user set another metric.
    """
    objective = draft.objective
    if objective.several and (draft.race is not None or draft.supernet is not None):
        way = "trainings go on" if draft.race is not None else "networks share their weights"
        raise SettingsError(
            f"Several objectives ({', '.join((*objective.maximize, *objective.minimize))}) were given, but a search "
            f"whose {way} ends in one network, and the recipe {draft.recipe} is one. For a Pareto front name a recipe "
            "that trains each candidate once, such as segnas4 or marl-vgg16, or another --strategy, such as nsga-ii. "
            "For one network within limits, give --limit."
        )
    if not objective.maximize:
        return
    first = objective.maximize[0]
    if "objective.metric" in draft.user_set and objective.metric != first:
        raise SettingsError(
            f"objective.metric is {objective.metric}, but the first that is maximised is {first}: expected the same. "
            "Leave one of them out."
        )
    draft.change(
        {
            "objective.metric": first,
            "objective.maximize": list(objective.maximize) if objective.several else [],
        }
    )
