"""The candidates of a search whose trainings go on. Each part of a training is a trial of its own."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from netwright.runs.folder import RunFolder
from netwright.runs.left_out import LEFT_OUT
from netwright.runs.trials import RUNNING, STOPPED, TrialRecord
from netwright.training.files import CURVES
from netwright.training.outcome import VALIDATION_SCORE, Status


@dataclass(frozen=True)
class TrainedCandidate:
    """One training, in all its parts.

    Args:
        parts: its trials, in the order of training. The first began it.
    """

    parts: tuple[TrialRecord, ...]

    @property
    def number(self) -> int:
        """The number of its first trial, by which it is known."""
        return self.parts[0].number

    @property
    def choice(self) -> dict[str, Any]:
        """Its choice in the space."""
        return self.parts[0].choice

    @property
    def words(self) -> str:
        """Its choice in words."""
        return self.parts[0].words

    @property
    def default(self) -> bool:
        """Whether it is the space's starting choice."""
        return self.parts[0].default

    @property
    def complete(self) -> tuple[TrialRecord, ...]:
        """The parts with a score. The training can go on from the last one's checkpoint."""
        return tuple(
            part for part in self.parts if part.status == Status.COMPLETE and part.reward is not None
        )

    @property
    def latest(self) -> TrialRecord | None:
        """The last part with a score; None while there is none."""
        return self.complete[-1] if self.complete else None

    @property
    def reward(self) -> float | None:
        """The reward after the last part with a score; None while there is none."""
        return None if self.latest is None else self.latest.reward

    @property
    def seconds(self) -> float:
        """How long it was trained in all, up to the last part with a score."""
        return 0.0 if self.latest is None else _seconds(self.latest)

    @property
    def running(self) -> bool:
        """Whether a part is being trained."""
        return any(part.status == RUNNING for part in self.parts)

    @property
    def ended(self) -> str:
        """Why it cannot go on; empty if it can."""
        last = self.parts[-1]
        if last.status in (RUNNING, Status.COMPLETE):
            return "" if last.status == RUNNING or last.reward is not None else last.reason
        if last.status == STOPPED:  # the time was up; there may be more
            return ""
        return last.reason or last.status


def candidates_of(records: Iterable[TrialRecord]) -> tuple[TrainedCandidate, ...]:
    """The candidates of a run in the order in which they began, without repeated proposals and without those that a
    change of the space left out.
    """
    parts: dict[int, list[TrialRecord]] = {}
    first: dict[int, int] = {}
    for record in records:
        if record.cached_from is not None or not record.choice or record.status == LEFT_OUT:
            continue
        root = record.number if record.continues is None else first.get(record.continues, record.continues)
        first[record.number] = root
        parts.setdefault(root, []).append(record)
    return tuple(TrainedCandidate(tuple(of_one)) for of_one in parts.values())


def best_candidate(candidates: Iterable[TrainedCandidate]) -> TrainedCandidate | None:
    """The candidate with the best reward after its last part; among equals the earliest. None while there is none."""
    scored = [candidate for candidate in candidates if candidate.reward is not None]
    return max(scored, key=lambda c: (c.reward or 0.0, -c.number), default=None)


def curve_of(
    folder: RunFolder, candidate: TrainedCandidate, *, within: bool
) -> tuple[tuple[float, float], ...]:
    """Seconds of training in all, and the score then, in ascending order.

    Args:
        folder: of the run.
        candidate: in it.
        within: whether to read the validations within parts, too. Their scores are the task's metric, so this holds
            where the reward is the metric itself.
    """
    points = {_seconds(part): float(part.reward or 0.0) for part in candidate.complete}
    if within and candidate.latest is not None:
        points = {**_validations(folder, candidate.latest.number, candidate.seconds), **points}
    return tuple(sorted(points.items()))


def _seconds(part: TrialRecord) -> float:
    fidelity = None if part.outcome is None else part.outcome.fidelity
    return 0.0 if fidelity is None else fidelity.amount


def _validations(folder: RunFolder, number: int, until: float) -> dict[float, float]:
    """The validations before the last one of a part. Its own stands in the trial."""
    points: dict[float, float] = {}
    try:
        lines = (folder.trial(number) / CURVES).read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    for line in lines:
        try:
            values = json.loads(line)
        except ValueError:
            continue
        score, seconds = values.get(VALIDATION_SCORE), values.get("seconds")
        if score is not None and seconds is not None and seconds < 0.98 * until:
            points[float(seconds)] = float(score)
    return points


@dataclass(frozen=True)
class RaceStatus:
    """The state of a search whose trainings go on.

    Args:
        begun: how many trainings were begun.
        going: how many of them can go on.
        best_trial: the first trial of the best candidate; None before there is one.
        best_seconds: how long it was trained in all.
        default_reward: what the space's starting choice has reached; None: it has no score yet.
        default_seconds: how long that was trained in all.
        only_default: why nothing but that is trained, and what to do about it, in words; empty: others are, too.
    """

    begun: int
    going: int
    best_trial: int | None
    best_seconds: float
    default_reward: float | None
    default_seconds: float
    only_default: str = ""


def race_status(records: Iterable[TrialRecord]) -> RaceStatus:
    """The state of the race, from the trials."""
    candidates = candidates_of(records)
    best = best_candidate(candidates)
    default = next((candidate for candidate in candidates if candidate.default), None)
    return RaceStatus(
        begun=len(candidates),
        going=sum(not candidate.ended for candidate in candidates),
        best_trial=None if best is None else best.number,
        best_seconds=0.0 if best is None else best.seconds,
        default_reward=None if default is None else default.reward,
        default_seconds=0.0 if default is None else default.seconds,
    )
