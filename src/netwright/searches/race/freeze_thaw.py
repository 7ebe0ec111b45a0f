"""Trains the candidate that promises the largest gain per second, judged by extrapolated learning curves.

After K. Swersky, J. Snoek, R. P. Adams: "Freeze-thaw Bayesian optimization" (2014), and H. Rakotoarison et al.:
"In-context freeze-thaw Bayesian optimization" (ICML 2024). As there, all trainings can go on, each curve is
extrapolated, and a free worker trains the most promising one. This rule differs in four points:

- The end is known. What counts is the best score when the race ends, not the best after the next part. Swersky et al.
  ask for the entropy of the optimum, Rakotoarison et al. for the chance to pass a bar drawn at random.
- The value of a part is the knowledge gradient of Frazier, Powell and Dayanik (2009). It is the increase of the
  expected best score at the end, if all time after the part goes to the candidate that looks best then; minus what the
  leader loses while it waits. The value is divided by the seconds of the part. Several lengths of parts are compared.
- A new candidate is treated as one of the n that were begun, drawn at random. With probability 1 / (n + 1) it is the
  best of all. Its first part is as informative as first parts usually are. Near the end of the race none is begun,
  because it could not be trained long enough.
- The default keeps a share of the time until it is beaten.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from netwright.searches.race.base import Begin, Candidate, Decision, Race
from netwright.searches.race.checks import require_share, require_whole
from netwright.searches.race.default import owed, validation_noise
from netwright.searches.race.extrapolation import Array, Extrapolation, averaged, extrapolate

LENGTHS = (1, 2, 4, 8)
"""The lengths of parts that are compared, as multiples of the shortest."""

UNLIKELY = 0.01
"""A candidate is dropped while its probability to be the best is below this."""


@dataclass(frozen=True)
class Field:
    """The extrapolated curves of a race. Times are shares of the race; scores are shifted and scaled, the best is 0.

    Args:
        candidates: the candidates with at least one validation, by number.
        curves: the extrapolation of their curves.
        new: the extrapolation for a new candidate.
        best: the best score so far.
        scale: the unit of the scaled scores.
        noise: the standard deviation of a validation.
        remaining: share of the race that is left.
    """

    candidates: tuple[Candidate, ...]
    curves: Extrapolation
    new: Extrapolation
    best: float
    scale: float
    noise: float
    remaining: float

    def at_the_end(self, lost: float = 0.0) -> tuple[Array, Array]:
        """Mean and standard deviation of each candidate's score after the rest of the race except ``lost``."""
        return self.curves.at(self.curves.last + max(self.remaining - lost, 0.0))


def field_of(race: Race) -> Field | None:
    """The curves of a race; None if no candidate that can go on was validated."""
    every = [(candidate, averaged(candidate.curve)) for candidate in race.by_number()]
    known = [(candidate, points) for candidate, points in every if len(points.seconds)]
    if all(candidate.ended for candidate, _ in known):
        return None
    scores = np.concatenate([points.scores for _, points in known])
    best = float(scores.max())
    # Scores far below the middle are all the same: far too low.
    lowest = max(float(scores.min()), best - 4 * (best - float(np.median(scores))))
    scale = best - lowest if best > lowest else 1.0
    candidates = tuple(candidate for candidate, _ in known)
    noise = validation_noise(candidates)
    share = max(noise / scale if noise is not None else 0.03, 2e-3)
    units = [
        points._replace(scores=(np.maximum(points.scores, lowest) - best) / scale) for _, points in known
    ]
    curves, new = extrapolate(units, race.total, share)
    return Field(candidates, curves, new, best, scale, share, race.remaining / race.total)


@dataclass(frozen=True)
class FreezeThaw:
    """Trains the candidate whose next part has the largest value per second, judged by extrapolated curves.

    Args:
        shortest: the shortest part, as a share of the race; at least ``race.first`` seconds.
        growth: a part lasts at least this share of the time that its candidate was trained before.
        fewest: how many candidates are begun, including the default, before curves are compared.

    Raises:
        SettingsError: a value is out of range.

    >>> rule = FreezeThaw()
    >>> rule.decide(Race((), remaining=3600, total=3600, workers=1, first=20))
    Begin(seconds=36.0)
    """

    shortest: float = 0.01
    growth: float = 0.25
    fewest: int = 4

    def __post_init__(self) -> None:
        for name in ("shortest", "growth"):
            require_share(name, getattr(self, name))
        require_whole("fewest", self.fewest, least=1)

    @property
    def name(self) -> str:
        """Its key in `RULES`."""
        return "freeze-thaw"

    @property
    def joins(self) -> bool:
        """Every candidate is trained with the threads of one worker."""
        return False

    def decide(self, race: Race) -> Decision:
        """What a free worker does now."""
        if race.over():
            return None
        shortest = max(self.shortest * race.total, race.first)
        default = owed(race)
        if default is not None:
            return race.go_on(default, max(shortest, self.growth * default.seconds))
        field = field_of(race) if len(race.candidates) >= self.fewest else None
        if field is None:
            return Begin(race.part(shortest))
        lengths = [race.part(length * shortest) / race.total for length in LENGTHS]
        rates, parts = self._rates(field, np.array(lengths))
        row, column = np.unravel_index(np.argmax(rates), rates.shape)
        seconds = float(parts[row, column]) * race.total
        if row == len(field.candidates):
            return Begin(race.part(seconds))
        return race.go_on(field.candidates[row], seconds)

    def dropped(self, race: Race) -> dict[int, str]:
        """The candidates that ended, and those that are unlikely to be the best."""
        reasons = {candidate.number: candidate.ended for candidate in race.by_number() if candidate.ended}
        field = field_of(race)
        if field is None:
            return reasons
        means, sds = field.at_the_end()
        able = np.array([not candidate.ended for candidate in field.candidates])
        leader = int(np.argmax(np.where(able, means, -np.inf)))
        for candidate, mean, sd in zip(field.candidates, means, sds, strict=True):
            gap = (means[leader] - mean) / max(math.hypot(sd, sds[leader]), 1e-12)
            if candidate.number not in reasons and _above(gap) < UNLIKELY:
                expected, best = (field.best + field.scale * score for score in (mean, means[leader]))
                reasons[candidate.number] = (
                    f"expected to reach {expected:.4g} with all the time that is left; the best would reach {best:.4g}"
                )
        return reasons

    def _rates(self, field: Field, lengths: Array) -> tuple[Array, Array]:
        """The value per second of each part, and its length as a share of the race; both (candidates + 1, lengths).

        The last row is for a new candidate. The value is -inf for candidates that cannot be trained now.
        """
        curves, last, left = field.curves, field.curves.last, field.remaining
        able = np.array([not candidate.ended for candidate in field.candidates])
        waiting = np.array([candidate.waiting for candidate in field.candidates])
        ends, _ = field.at_the_end()
        leader = int(np.argmax(np.where(able, ends, -np.inf)))
        others = able & (np.arange(len(able)) != leader)
        rates = np.full((len(able) + 1, len(lengths)), -np.inf)
        parts = np.zeros_like(rates)
        for column, length in enumerate(lengths):
            part = np.minimum(np.maximum(length, self.growth * last), left)
            parts[:, column] = *part, length
            # While another is trained, the leader stands still, unless a worker of its own goes on with it.
            behind = curves.means_of(leader, last[leader] + left - parts[:, column] * waiting[leader])
            second, _ = curves.at(last + left - part[leader] * waiting)
            behind[leader] = np.where(others, second, -np.inf).max()
            joint = curves.joint(last + part, last + left)
            value = expected_maximum(joint.later_mean, joint.learned(field.noise), behind[:-1])
            rates[:-1, column] = np.where(waiting, (value - ends[leader]) / part, -np.inf)
            rates[-1, column] = (self._value_of_new(field, length, behind[-1]) - ends[leader]) / length
        return rates, parts

    @staticmethod
    def _value_of_new(field: Field, part: float, behind: float) -> float:
        """The expected best score at the end if a new candidate is begun. ``behind`` is the leader's score without it.

        The new one is equally likely to be like each of the n known candidates, or better than all of them. In that
        case it is better by as much as the best is above the mean of the better half.
        """
        count = len(field.candidates)
        means, sds = field.curves.at(np.full(count, field.remaining))
        joint = field.new.joint(np.array([part]), np.array([field.remaining]))
        informative = float(joint.learned(field.noise)[0] / math.sqrt(joint.later_variance[0]))
        better = np.sort(means)[count // 2 :]
        width = max(float(better[-1] - better.mean()), field.noise)
        middle, others = means.mean(), np.full(count + 1, behind)
        drawn = np.append(means, better[-1] + width)
        spreads = np.append(sds, width)
        values = expected_maximum(middle + informative * (drawn - middle), informative * spreads, others)
        return float(values.mean())


def expected_maximum(means: Array, sds: Array, others: Array) -> Array:
    """The expectation of the larger of a normally distributed number and a known number, element by element.

    Args:
        means: of the normally distributed numbers.
        sds: their standard deviations.
        others: the known numbers.
    """
    safe = np.maximum(sds, 1e-12)
    z = (means - others) / safe
    z = np.clip(z, -30, 30)
    density = np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    improvement = safe * (density + z * (1 - _above(z)))
    return np.maximum(others + improvement, np.maximum(means, others))


_erfc = np.vectorize(math.erfc, otypes=[float])


def _above(z: Array) -> Array:
    """The probability that a standard normal number is above z."""
    chance: Array = _erfc(np.asarray(z) / math.sqrt(2)) / 2
    return chance
