"""Settings of a search whose trainings go on, see `netwright.searches.multi_fidelity`."""

from __future__ import annotations

import time

from netwright.errors import SettingsError
from netwright.planning.context import Context
from netwright.planning.draft import Draft
from netwright.searches.race import RULES
from netwright.spec import entry_of

SHORTEST_PART_SECONDS = 10.0
EPOCHS_A_PART = 1.5
VALIDATION_SHARE = 0.5
"""A candidate whose validation would take more than this share of the first part is not trained."""
MARGIN = 1.02
"""The limit is above the starting network itself, also after rounding."""
LARGEST_SHARE = 0.1
"""The first part of a candidate takes no more of the hours than this, however long an epoch is."""


def require_race(draft: Draft, _: Context) -> None:
    """Refuse a search whose trainings go on without a limit of time, or with an unknown rule.

    Raises:
        SettingsError: with what to do.
    """
    if draft.race is None:
        return
    entry_of("rule", RULES, draft.race.rule)
    if draft.supernet is not None:
        raise SettingsError("race and supernet are two kinds of search. Set one of them to null.")
    if draft.budget.hours is None:
        raise SettingsError(
            "A search whose trainings go on (race) is limited by time, but budget.hours is null. Give --hours, or set "
            "race=null to train each candidate once."
        )


def choose_first_part(draft: Draft, context: Context) -> None:
    """Choose the shortest training of a candidate that says something: about an epoch of the starting one."""
    if context.repeats or draft.race is None or context.epoch_seconds is None or draft.budget.hours is None:
        return
    measured = max(EPOCHS_A_PART * context.epoch_seconds, SHORTEST_PART_SECONDS)
    longest = max(LARGEST_SHARE * 3600.0 * draft.budget.hours, 1.0)
    first, validation = min(measured, longest), context.validation_seconds or 0.0
    changes = {"race.first_seconds": round(first, 1), "race.validation_seconds": round(validation, 2)}
    if context.flops is not None and validation > 0:
        larger = max(MARGIN, VALIDATION_SHARE * first / validation)
        changes["race.most_flops"] = float(f"{larger * context.flops:.3g}")
    draft.choose(changes)


def count_planning(draft: Draft, context: Context) -> None:
    """Count the time of the planning as part of the hours."""
    if draft.race is not None:
        draft.change({"race.used_seconds": round(time.monotonic() - context.begun, 1)})
