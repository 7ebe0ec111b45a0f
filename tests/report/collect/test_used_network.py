"""Which network of a race a report draws: the one that is used, and not always the one that scored best."""

from __future__ import annotations

from netwright.report.collect.run import _used
from netwright.report.draw.race import FinalChoice
from netwright.runs.trials import TrialRecord


def record(number: int, reward: float) -> TrialRecord:
    return TrialRecord(number, {"n": number}, "complete", "", reward, None, None, None, None)


def chosen(*names: str) -> FinalChoice:
    return FinalChoice(tuple((name, 1.0, None, None) for name in names), (), "why", 0.5, (), 1)


def test_it_is_the_first_member_of_what_is_used_else_the_best() -> None:
    records = [record(0, 0.7), record(1, 0.9), record(2, 0.8)]
    best = records[1]
    assert _used(records, chosen("0"), best) is records[0]
    assert _used(records, chosen("2", "0"), best) is records[2]
    assert _used(records, None, best) is best
    assert _used([], None, None) is None
