"""The verdict in sentences: what the searched network reaches, and against whom it is better or worse."""

from __future__ import annotations

import math
from collections.abc import Sequence

from netwright.report import formatting
from netwright.report.content import Contestant, ReportContent
from netwright.report.statistics import PairedComparison
from netwright.report.summaries import Summary, summarise

SIGNIFICANCE = 0.05

SAME = 1.05
"""Ratios of size or time up to here are called the same."""

NOT_TESTED = {
    "too_slow": "could not finish an epoch in its share of the time",
    "out_of_memory": "ran out of memory",
    "infeasible": "could not be built",
    "diverged": "diverged in training",
    "loss_stalled": "did not learn",
    "crashed": "crashed",
    "complete": "has no result on the test cases",
}


def verdict_sentences(contestants: Sequence[Contestant], labels: Sequence[str]) -> tuple[str, ...]:
    """What came of the final comparison, one sentence or line each, the searched network first.

    "Better" and "worse" need p < 0.05 in the paired test over the test cases, adjusted for the number of
    comparisons; all else is called no measurable difference.

    Args:
        contestants: all networks of the comparison, finished or not, in the order to be told.
        labels: names of the foreground labels; the Dice compared is the mean over them.

    Returns:
        Empty for no contestants.
    """
    return sentences(summarise(contestants, labels))


def sentences(summaries: Sequence[Summary]) -> tuple[str, ...]:
    """`verdict_sentences` for contestants that are summarised already."""
    if not summaries:
        return ()
    searched = next((s for s in summaries if s.searched), None)
    others = [s for s in summaries if not s.searched]
    told = [_searched_sentence(searched)]
    if searched is not None and searched.tested:
        told += [_against(searched, s) for s in others if s.tested]
    elif any(s.tested for s in others):
        told.append(f"Tested without it: {formatting.names([_score(s) for s in others if s.tested])}.")
    told += [_not_tested(s.contestant) for s in others if not s.tested]
    told += _in_short(others)
    return tuple(told)


def progress_sentences(content: ReportContent) -> tuple[str, ...]:
    """What can be said before the final comparison: how many trials ran, and the best of them."""
    finished = [t for t in content.trials if t.reward is not None]
    best = next((t for t in finished if t.number == content.best_trial), None)
    if not content.trials:
        return ("No trial has been run yet.",)
    if best is None or best.reward is None:
        return (f"None of {len(content.trials)} trials has trained a network to its end yet.",)
    size = f" with {formatting.parameters(best.parameters)} parameters" if best.parameters else ""
    return (
        f"The best of {len(content.trials)} trials so far is trial {best.number}: "
        f"{content.reward_name} {formatting.dice(best.reward)}{size} ({best.choice}).",
        "The final comparison on the unseen test cases has not been run yet.",
    )


def _searched_sentence(searched: Summary | None) -> str:
    if searched is None:
        return "The searched network is missing from the final comparison."
    contestant = searched.contestant
    if not searched.tested:
        return _not_tested(contestant, subject="The searched network")
    low, high = searched.overall.low, searched.overall.high
    if math.isnan(low):
        certainty = "one case only, so no interval can be given"
    else:
        certainty = f"95 % interval {formatting.interval(low, high)}"
    size = f" with {formatting.parameters(contestant.parameters)} parameters" if contestant.parameters else ""
    mean = formatting.dice(searched.overall.mean)
    return f"The searched network segments unseen cases at {mean} Dice ({certainty}){size}."


def _against(searched: Summary, other: Summary) -> str:
    contestant = other.contestant
    numbers = formatting.dice(other.overall.mean)
    if contestant.parameters:
        numbers += f", {formatting.parameters(contestant.parameters)}"
    parts = [_difference(other.comparison)]
    mine = searched.contestant
    parts += _ratio(mine.parameters, contestant.parameters, "smaller", "larger", "the same size")
    parts += _ratio(mine.inference_ms, contestant.inference_ms, "faster", "slower", "as fast")
    return f"Against {contestant.title} ({numbers}): {', '.join(parts)}."


def _difference(comparison: PairedComparison | None) -> str:
    if comparison is None or comparison.n == 0:
        return "no test case in common"
    cases = "1 case" if comparison.n == 1 else f"{comparison.n} cases"
    # The sign-flip test's smallest possible p-value is 2 / 2^n.
    if 2 / 2**comparison.n >= SIGNIFICANCE:
        return f"{cases} {'is' if comparison.n == 1 else 'are'} too few to tell a difference"
    evidence = f"{formatting.p_value(comparison.p_value)} over {cases}"
    kind = outcome(comparison)
    if kind == "equal":
        return "no measurable difference in Dice"
    return f"{kind} by {abs(comparison.mean_difference):.3f} Dice, {evidence}"


def outcome(comparison: PairedComparison) -> str:
    """The searched network against another: "better", "worse" or "equal" (no measurable difference)."""
    if not comparison.p_value < SIGNIFICANCE:
        return "equal"
    return "better" if comparison.mean_difference > 0 else "worse"


def _ratio(mine: float | None, theirs: float | None, smaller: str, larger: str, same: str) -> tuple[str, ...]:
    if not mine or not theirs:
        return ()
    ratio = max(mine, theirs) / min(mine, theirs)
    if ratio <= SAME:
        return (same,)
    times = f"{ratio:.2f}" if ratio < 1.1 else f"{ratio:.1f}" if ratio < 9.95 else f"{ratio:.0f}"
    return (f"{times} times {smaller if mine < theirs else larger}",)


def _in_short(others: Sequence[Summary]) -> list[str]:
    """The plain word where the searched network is not better than all."""
    compared = [(s, outcome(s.comparison)) for s in others if s.comparison is not None and s.comparison.n]
    worse = [s.contestant.title for s, kind in compared if kind == "worse"]
    equal = [s.contestant.title for s, kind in compared if kind == "equal"]
    told = []
    if worse:
        told.append(f"In Dice the searched network is worse than {formatting.names(worse)}.")
    if equal:
        told.append(f"In Dice the search brought no measurable gain over {formatting.names(equal)}.")
    return told


def _score(summary: Summary) -> str:
    return f"{summary.contestant.title} {formatting.dice(summary.overall.mean)}"


def _not_tested(contestant: Contestant, subject: str | None = None) -> str:
    what = NOT_TESTED.get(contestant.status, f"was not tested ({formatting.status(contestant.status)})")
    reason = f": {contestant.reason.rstrip('.')}" if contestant.reason else ""
    return f"{subject or formatting.sentence_case(contestant.title)} {what}{reason}."
