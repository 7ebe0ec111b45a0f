"""Settings of a search whose trainings go on, see `netwright.searches.multi_fidelity`."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Sequence

from netwright.comparison.ensemble import fewest_units
from netwright.comparison.finish import crf_seconds
from netwright.data.open import split_any
from netwright.data.splits import Splits
from netwright.errors import SettingsError, SettingsWarning
from netwright.objective import COSTS, read_limit
from netwright.planning.context import Context
from netwright.planning.draft import Draft
from netwright.searches.race import RULES
from netwright.spec import entry_of

UNUSED = ("verdict.hours", "verdict.epochs", "verdict.references", "verdict.random_choices", "verdict.rival")
"""Settings of a final comparison, which such a search does not have."""
SHORTEST_PART_SECONDS = 10.0
EPOCHS_A_PART = 1.5
VALIDATION_SHARE = 0.5
"""A candidate whose validation would take more than this share of the first part is not trained."""
MARGIN = 1.02
"""The limit is above the starting network itself, also after rounding."""
CRF_SHARE, LARGEST_CRF_SHARE = 0.1, 0.5
"""The share of the hours in which CRFs are fitted, by default and at most."""
SHORTEST_CRF_MINUTES = 0.05
BYTES_A_PARAMETER = 24
"""What a training that can go on keeps on disk: in its checkpoint the weights, their average and two values of the
optimizer, and the networks of its last two parts, all in single precision."""
LARGEST_SHARE = 0.1
"""The first part of a candidate takes no more of the hours than this, however long an epoch is."""

ONCE = "a recipe that trains each candidate once, such as segnas4 ('netwright recipes' lists them)"
"""What to take in place of a search whose trainings go on, for messages."""


def disk_mb(parameters: int) -> float:
    """What a training that can go on keeps on disk, in MB of 1e6 bytes.

    >>> disk_mb(600_000)
    14.4
    """
    return BYTES_A_PARAMETER * parameters / 1e6


def require_race(draft: Draft, _: Context) -> None:
    """Refuse a search whose trainings go on without a limit of time, with an unknown rule, or with settings that it
    cannot use.

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
            "A search whose trainings go on (race) is limited by time, but budget.hours is null. Give --hours, or "
            f"name {ONCE}."
        )
    metrics = [text for text in draft.objective.limits if read_limit(text).name not in COSTS]
    if metrics:
        raise SettingsError(
            f"The limit {metrics[0]!r} is on a metric, which a training that goes on may still reach. Limit one of "
            f"{', '.join(COSTS)}, or name {ONCE}."
        )
    unused = [n for n in UNUSED if n in draft.user_set and getattr(draft.verdict, n.partition(".")[2])]
    if unused:
        raise SettingsError(
            f"{unused[0]} was set, but a search whose trainings go on does not train networks again to compare them. "
            f"Leave it out, or name {ONCE}."
        )


def warn_of_few_cases(draft: Draft, context: Context) -> None:
    """Warn where there are too few validation cases for anything to be better than the default beyond chance.

    Warns:
        SettingsWarning: there are.
    """
    if draft.race is None or not draft.objective.plain:  # where costs are weighed, the better choice is taken
        return
    validation, fewest = _units(context.splits, context.splits.validation), fewest_units()
    if validation >= fewest:
        return
    units = "patients" if context.splits.groups else "cases"
    those = units.removesuffix("s") if validation == 1 else units
    limited = ", if it keeps the limits" if draft.objective.limits else ""
    larger = _larger_share(draft, context, fewest)
    warnings.warn(
        f"With {validation} validation {those} no network can be better than the default beyond chance, so you get the "
        f"default{limited}. Expected at least {fewest}: label more {units}{larger}.",
        SettingsWarning,
        stacklevel=4,
    )


def _units(splits: Splits, names: Sequence[str]) -> int:
    """How many of some cases are independent: a patient's count once."""
    return len({splits.groups.get(name, name) for name in names})


def _larger_share(draft: Draft, context: Context, fewest: int) -> str:
    """The share that gives validation the fewest cases; empty where training would be left with fewer than that."""
    training, validation, test = draft.split
    for percent in range(math.ceil(100 * validation) + 1, math.ceil(100 * (training + validation))):
        share = percent / 100
        shares = (round(training + validation - share, 2), share, test)
        if min(shares) <= 0 or abs(sum(shares) - 1) > 1e-6:
            continue
        splits = split_any(context.prepared, draft.seed, shares, context.given)
        if _units(splits, splits.training) < fewest:
            break
        if _units(splits, splits.validation) >= fewest:
            return f", or give validation a larger share (--set split=[{','.join(f'{s:g}' for s in shares)}])"
    return ""


def choose_crf_minutes(draft: Draft, _: Context) -> None:
    """Choose how long a CRF is fitted to each network that is tested: it is part of the hours.

    Raises:
        SettingsError: the user's minutes leave too little for the search.
    """
    hours = draft.budget.hours
    if draft.race is None or hours is None or not draft.postprocessing.crf:
        return
    minutes = draft.postprocessing.minutes
    each = minutes * CRF_SHARE * 3600.0 * hours / crf_seconds(draft)
    draft.choose({"postprocessing.minutes": max(SHORTEST_CRF_MINUTES, round(min(minutes, each), 2))})
    share = crf_seconds(draft) / (3600.0 * hours)
    if share > LARGEST_CRF_SHARE:
        raise SettingsError(
            f"To fit a CRF to the networks that are tested may take {share:.0%} of budget.hours={hours:g}: "
            f"postprocessing.minutes is {draft.postprocessing.minutes:g} for each. Expected at most "
            f"{LARGEST_CRF_SHARE:.0%}: give more --hours, or fewer minutes."
        )


def choose_first_part(draft: Draft, context: Context) -> None:
    """Choose the shortest training of a candidate that says something: about an epoch of the starting one."""
    if draft.race is None or draft.budget.hours is None:
        return
    longest = max(LARGEST_SHARE * 3600.0 * draft.budget.hours, 1.0)
    if context.repeats:  # perhaps in fewer hours
        draft.choose({"race.first_seconds": min(draft.race.first_seconds, round(longest, 1))})
        return
    if context.epoch_seconds is None:
        return
    measured = max(EPOCHS_A_PART * context.epoch_seconds, SHORTEST_PART_SECONDS)
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
