"""Settings of a search whose trainings go on, see `netwright.searches.multi_fidelity`."""

from __future__ import annotations

import math
import time
import warnings
from dataclasses import replace

from netwright.comparison.seconds_at_end import crf_seconds
from netwright.data.open import split_any
from netwright.errors import SettingsError, SettingsWarning
from netwright.objective import COSTS, read_limit
from netwright.planning.context import Context
from netwright.planning.draft import Draft
from netwright.report.statistics import fewest_units
from netwright.runs.only_default import units_among, units_of, unproven
from netwright.searches.components import problem_of
from netwright.searches.race import RULES
from netwright.spec import entry_of
from netwright.strategies.makers import START

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
    asked = "race.only_default" in draft.user_set and draft.race.only_default
    if asked and not _begins_with_default(draft):
        raise SettingsError(
            f"race.only_default is set, but the strategy {draft.strategy.name} does not begin with the default: "
            f"expected strategy.first={START}. Set it, or leave race.only_default out."
        )
    unused = [n for n in UNUSED if n in draft.user_set and getattr(draft.verdict, n.partition(".")[2])]
    if unused:
        raise SettingsError(
            f"{unused[0]} was set, but a search whose trainings go on does not train networks again to compare them. "
            f"Leave it out, or name {ONCE}."
        )


def choose_only_default(draft: Draft, context: Context) -> None:
    """Give all the hours to the default where too few validation cases could show that anything is better.

    Others run beside it where the user says how many candidates there are (``budget.trials``), and where there are
    limits, which the default may break.

    Warns:
        SettingsWarning: nothing can be better than the default beyond chance.
    """
    if draft.race is None:
        return
    told = unproven(context.splits) if _falls_back(draft) else ""
    only = bool(told) and draft.budget.trials is None and not draft.objective.limits
    draft.choose({"race.only_default": only})
    if not told:
        return
    limited = ", if it keeps the limits" if draft.objective.limits else ""
    so = "all the hours go to the default" if draft.race.only_default else f"you get the default{limited}"
    anyway = " To search all the same, set race.only_default=false." * draft.race.only_default
    fewest, units = fewest_units(), units_of(context.splits)
    warnings.warn(
        f"{told[0].upper()}{told[1:]}, so {so}. Expected at least {fewest}: label more {units}"
        f"{_larger_share(draft, context, fewest)}.{anyway}",
        SettingsWarning,
        stacklevel=4,
    )


def _falls_back(draft: Draft) -> bool:
    """Whether the default is in the race, and used unless something is better beyond chance.

    Where costs are weighed, the better choice is taken.
    """
    return draft.objective.plain and _begins_with_default(draft)


def _begins_with_default(draft: Draft) -> bool:
    return draft.strategy.options.get("first") == START


def _larger_share(draft: Draft, context: Context, fewest: int) -> str:
    """The share that gives validation the fewest cases; empty where training would be left with fewer than that."""
    training, validation, test = draft.split
    for percent in range(math.ceil(100 * validation) + 1, math.ceil(100 * (training + validation))):
        share = percent / 100
        shares = (round(training + validation - share, 2), share, test)
        if min(shares) <= 0 or abs(sum(shares) - 1) > 1e-6:
            continue
        splits = split_any(context.prepared, draft.seed, shares, context.given)
        if units_among(splits, splits.training) < fewest:
            break
        if not unproven(splits):
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
    whole = validation * _times_as_long_if_whole(draft, context)
    changes = {"race.first_seconds": round(first, 1), "race.validation_seconds": round(whole, 2)}
    if context.flops is not None and validation > 0:
        larger = max(MARGIN, VALIDATION_SHARE * first / validation)
        changes["race.most_flops"] = float(f"{larger * context.flops:.3g}")
    draft.choose(changes)


def _times_as_long_if_whole(draft: Draft, context: Context) -> float:
    """How many times as long whole validation cases take as what networks are judged by in the race.

    Large volumes are judged by a few patches until the choice at the end and the test.
    """
    problem, of_one_image = problem_of(draft, context.prepared), replace(draft.training, batch_size=1)
    images, whole = (
        problem.validation_batches(context.cases[1], one)
        for one in (of_one_image, of_one_image.validating_whole)
    )
    return max(1.0, whole / max(1, images))


def count_planning(draft: Draft, context: Context) -> None:
    """Count the time of the planning as part of the hours."""
    if draft.race is not None:
        draft.change({"race.used_seconds": round(time.monotonic() - context.begun, 1)})
