"""The table of costs: size and times a batch beside the original's (multi-agent Q-learning, section VIII-B)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from netwright.report import formatting
from netwright.report.metrics import Metric
from netwright.report.summaries import Summary

SAME = 1.05
"""Ratios of size or time up to this value are called the same."""

ORDER = ("original", "random network", "random search", "searched")


def cost_rows(summaries: Sequence[Summary], metric: Metric) -> list[dict[str, Any]]:
    """One row for each network with a role: the original first and the searched one last. Empty without an original.

    Beside each cost stands its relation to the original's: ``24.1 × smaller``, ``38 % less time``.
    """
    original = next((s for s in summaries if s.original), None)
    if original is None:
        return []
    played = [s for s in summaries if s.contestant.role is not None]
    played.sort(key=lambda s: ORDER.index(s.contestant.role) if s.contestant.role in ORDER else 1)
    return [_row(s, original, metric) for s in played]


def _row(summary: Summary, original: Summary, metric: Metric) -> dict[str, Any]:
    mine = summary.contestant
    base = None if summary.original else original.contestant
    difference = ""
    if base is not None and summary.tested and original.tested:
        difference = metric.difference(summary.overall.mean - original.overall.mean)
    return {
        "title": formatting.sentence_case(mine.title),
        "role": mine.role,
        "searched": summary.searched,
        "score": metric.value(summary.overall.mean),
        "interval": metric.interval(summary.overall.low, summary.overall.high),
        "difference": difference,
        "size": formatting.mb(mine.size_mb),
        "size_ratio": "" if base is None else times_smaller(mine.size_mb, base.size_mb),
        "training": formatting.milliseconds(mine.training_batch_ms),
        "training_ratio": "" if base is None else time_saved(mine.training_batch_ms, base.training_batch_ms),
        "inference": formatting.milliseconds(mine.inference_batch_ms),
        "inference_ratio": ""
        if base is None
        else time_saved(mine.inference_batch_ms, base.inference_batch_ms),
    }


def times_smaller(mine: float | None, original: float | None) -> str:
    """``24.1 × smaller``, ``1.3 × larger`` or ``the same size``; empty where either is unknown."""
    if not mine or not original:
        return ""
    ratio = ratio_text(mine, original)
    return f"{ratio} × {'smaller' if mine < original else 'larger'}" if ratio else "the same size"


def time_saved(mine: float | None, original: float | None) -> str:
    """``38 % less time``, ``12 % more time``, ``3.1 × the time`` or ``the same time``; empty where unknown."""
    if not mine or not original:
        return ""
    if not (ratio := ratio_text(mine, original)):
        return "the same time"
    if mine >= 2 * original:
        return f"{ratio} × the time"
    share = 100 * abs(1 - mine / original)
    text = f"{share:.1f}" if share > 99 else f"{share:.0f}"
    return f"{text} % {'less' if mine < original else 'more'} time"


def ratio_text(a: float, b: float) -> str:
    """How many times the larger number is the smaller one, with enough digits; empty where they are the same."""
    ratio = max(a, b) / min(a, b)
    if ratio <= SAME:
        return ""
    return f"{ratio:.2f}" if ratio < 1.1 else f"{ratio:.1f}" if ratio < 9.95 else f"{ratio:.0f}"
