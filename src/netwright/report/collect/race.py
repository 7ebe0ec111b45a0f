"""The race of a search whose trainings go on, for its report."""

from __future__ import annotations

from collections.abc import Sequence

from netwright.comparison.finish import ENSEMBLE
from netwright.files import read_json
from netwright.report.draw.race import BEST, DEFAULT, FinalChoice, Racer
from netwright.runs.candidates import TrainedCandidate, best_candidate, candidates_of, curve_of
from netwright.runs.folder import RunFolder
from netwright.runs.marks import COMPARING, is_of_earlier_study
from netwright.runs.results import openings_file
from netwright.runs.trials import TrialRecord
from netwright.searches.race import Race, expected_scores
from netwright.searches.race_view import rule_of, view_of
from netwright.settings import RunSettings


def racers_of(folder: RunFolder, settings: RunSettings, records: Sequence[TrialRecord]) -> tuple[Racer, ...]:
    """The candidates of the race; none where the run is of another kind.

    Args:
        folder: of the run.
        settings: of the run.
        records: its trials.
    """
    if settings.race is None:
        return ()
    candidates = candidates_of(records)
    rule = rule_of(settings)
    race = view_of(folder, settings, candidates, remaining=0.0)
    dropped = rule.dropped(race)
    expected = expected_scores(race, _seconds_left(folder, race, candidates))
    best = best_candidate(candidates)
    began = min((r.started for r in records if r.started is not None), default=0.0)
    return tuple(
        Racer(
            number=candidate.number,
            choice=candidate.words,
            role=", ".join([BEST] * (candidate is best) + [DEFAULT] * candidate.default),
            parameters=_parameters(candidate),
            curve=curve_of(folder, candidate, within=settings.objective.of_task),
            parts=tuple(
                (part.started - began, part.finished - began)
                for part in candidate.parts
                if part.started is not None and part.finished is not None
            ),
            expected=expected.get(candidate.number),
            reason=candidate.ended or dropped.get(candidate.number, ""),
            joined=sum(part.joined for part in candidate.parts),
        )
        for candidate in candidates
    )


def _seconds_left(folder: RunFolder, race: Race, candidates: Sequence[TrainedCandidate]) -> dict[int, float]:
    """How much longer each candidate could have been trained: from its last part to the end of the race.

    Only the time in which something was trained counts, because a run may be stopped for hours.
    """
    spans = sorted(
        (part.started, part.finished)
        for candidate in candidates
        for part in candidate.parts
        if part.started is not None and part.finished is not None
    )
    busy = {0.0: 0.0}
    until, total = 0.0, 0.0
    for begin, end in spans:
        total += max(0.0, end - max(begin, until))
        until = max(until, end)
        busy[end] = total
    whole = total if _has_ended(folder) else max(total, race.total)
    ends = {c.number: max((p.finished or 0.0 for p in c.complete), default=0.0) for c in candidates}
    return {number: whole - busy.get(end, 0.0) for number, end in ends.items()}


def final_choice_of(folder: RunFolder) -> FinalChoice | None:
    """What was chosen in the end of the race; None while it has not ended."""
    if not _has_ended(folder):
        return None
    choice = read_json(folder.root / ENSEMBLE)
    openings = openings_file(folder)
    return FinalChoice(
        members=tuple((m["name"], m["weight"], m["alone"], m["without"]) for m in choice["members"]),
        mirror_axes=tuple(choice["mirror_axes"]),
        reason=choice["selection"]["reason"],
        reward=choice["reward"],
        left_out=tuple((one["name"], one["reason"]) for one in choice.get("left_out", [])),
        openings=len(read_json(openings)) if openings.exists() else 1,
    )


def _has_ended(folder: RunFolder) -> bool:
    """Whether there is a choice of the end, made since the space was changed last."""
    return (folder.root / ENSEMBLE).exists() and not is_of_earlier_study(folder, COMPARING)


def _parameters(candidate: TrainedCandidate) -> int | None:
    return next((p.outcome.cost.parameters for p in reversed(candidate.parts) if p.outcome is not None), None)
