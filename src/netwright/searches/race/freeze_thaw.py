"""Whoever promises most a second goes on: extrapolated curves, ours.

After K. Swersky, J. Snoek, R. P. Adams: "Freeze-thaw Bayesian optimization" (2014), and H. Rakotoarison et al.:
"In-context freeze-thaw Bayesian optimization" (ICML 2024). As there, all trainings can go on, each curve is
extrapolated, and a free worker goes where it is worth most. What differs:

- The end is known. What counts is the best score when the race ends, not the best after the next part. Swersky et al.
  ask for the entropy of the optimum, Rakotoarison et al. for the chance to pass a bar drawn at random.
- A part's value is what is learned by it: by how much the expected best score at the end rises if, after the part, all
  time that is left goes to whoever then looks best; less what the leader loses by standing still (the knowledge
  gradient of Frazier, Powell and Dayanik, 2009). It is divided by the part's seconds, and lengths compete, too.
- A new candidate is as one of the n that were begun, drawn at random; with a chance of 1 / (n + 1) it is the best of
  all. A first part tells as much of it as such parts usually tell. Near the end none is begun: none would get far.
- The default has a share of its own until it is beaten.
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
"""Lengths of parts that compete, in shortest ones."""

UNLIKELY = 0.01
"""A candidate whose chance to be the best is below this is dropped, as things stand."""


@dataclass(frozen=True)
class Field:
    """All curves of a race, extrapolated, in units of the race: shares of its time, and scores of which the best is 0.

    Args:
        candidates: those that have a validation, by number.
        curves: their extrapolation.
        new: that of a new candidate.
        best: the best score so far.
        scale: what 1 is in scores.
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
        """Mean and standard deviation of each candidate's score if it gets all that is left but ``lost``."""
        return self.curves.at(self.curves.last + max(self.remaining - lost, 0.0))


def field_of(race: Race) -> Field | None:
    """The curves of a race; None where no candidate that can be the best was validated."""
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
    """Goes on with whoever's next part is worth most a second, judged by extrapolated curves.

    Args:
        shortest: the shortest part, as a share of the race; at least ``race.first`` seconds.
        growth: a part lasts at least this share of what its candidate was trained before.
        fewest: candidates that are begun before curves are compared, the default among them.

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

    def expected(self, race: Race) -> dict[int, float]:
        """The score of each if it got all the time that is left."""
        field = field_of(race)
        if field is None:
            return {candidate.number: candidate.score for candidate in race.by_number() if candidate.curve}
        means, _ = field.at_the_end()
        scores = field.best + field.scale * means
        return {c.number: float(score) for c, score in zip(field.candidates, scores, strict=True)}

    def dropped(self, race: Race) -> dict[int, str]:
        """Those that ended, and those that will hardly be the best."""
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
        """What a second of each part is worth, and the parts in shares of the race, (candidates + 1, lengths).

        The last row is a new candidate's. What cannot be trained now is worth -inf.
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
        """The best score to be expected at the end if a new candidate is begun, and the leader else gets ``behind``.

        Of n + 1 candidates drawn alike the last is the best with a chance of 1 / (n + 1); by how much is as wide as the
        better half of them. Else it is as one of the n.
        """
        count = len(field.candidates)
        means, sds = field.curves.at(np.full(count, field.remaining))
        joint = field.new.joint(np.array([part]), np.array([field.remaining]))
        told = float(joint.learned(field.noise)[0] / math.sqrt(joint.later_variance[0]))
        better = np.sort(means)[count // 2 :]
        width = max(float(better[-1] - better.mean()), field.noise)
        middle, others = means.mean(), np.full(count + 1, behind)
        drawn = np.append(means, better[-1] + width)
        spreads = np.append(sds, width)
        values = expected_maximum(middle + told * (drawn - middle), told * spreads, others)
        return float(values.mean())


def expected_maximum(means: Array, sds: Array, others: Array) -> Array:
    """The expected larger one of a normally distributed number and another number, each of one shape."""
    safe = np.maximum(sds, 1e-12)
    z = (means - others) / safe
    z = np.clip(z, -30, 30)
    density = np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    improvement = safe * (density + z * (1 - _above(z)))
    return np.maximum(others + improvement, np.maximum(means, others))


_erfc = np.vectorize(math.erfc, otypes=[float])


def _above(z: Array) -> Array:
    """The chance that a standard normal number is above z."""
    chance: Array = _erfc(np.asarray(z) / math.sqrt(2)) / 2
    return chance
