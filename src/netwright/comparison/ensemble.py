"""Greedy ensemble selection, with a test whether the ensemble is better than chance would make it.

Caruana, Niculescu-Mizil, Crew and Ksikes, "Ensemble Selection from Libraries of Models", ICML 2004. The selection
begins with the best member (their sorted initialisation). It repeatedly adds, with replacement, the member that gives
the mean of the probabilities the best value on the validation cases. The best ensemble on the way is proposed.

On few cases the selection finds a gain in noise. Therefore it is tested by cross-fitting: for each fold it is repeated
on the other cases, and its proposal is compared with the best single member, both on the cases of the fold. The
proposal from all cases is taken if these differences are significantly above 0.

All functions are pure; a `Library` has the data of the members.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from netwright.report.statistics import CHANCE, PairedComparison, p_value_of_best, paired_comparison

Counts = tuple[int, ...]
"""How often each member of a library was taken: its weight in the mean."""
Rows = NDArray[np.float64]
"""The scores of an ensemble, one row a case, as `netwright.training.problem.Problem.scores` has them."""

MOST_UNITS = 200
"""More cases than these are compared in groups, which keeps the test quick."""


class OutOfTimeError(Exception):
    """There is not enough time for the next step."""


@dataclass(frozen=True)
class Library:
    """The members, and functions that evaluate any ensemble of them.

    Args:
        size: how many members there are.
        rows: the scores of an ensemble on all cases. It may raise `OutOfTimeError`.
        value: the value to maximise, from an ensemble (for its cost) and the rows of some cases; NaN if undefined.
        allowed: whether an ensemble keeps all limits.
    """

    size: int
    rows: Callable[[Counts], Rows]
    value: Callable[[Counts, Rows], float]
    allowed: Callable[[Counts], bool] = field(default=lambda counts: True)

    def known_value(self, counts: Counts, cases: NDArray[np.int64]) -> float:
        """The value on some cases; minus infinity if undefined."""
        value = self.value(counts, self.rows(counts)[cases])
        return -math.inf if math.isnan(value) else value


@dataclass(frozen=True)
class Rule:
    """How members are selected, and what counts as a gain.

    Args:
        steps: members taken at most, the first among them and with repetitions.
        patience: steps without a gain after which a selection ends.
        bags: selections, each from a random half of the members, of which all are taken together (Caruana et al.,
            Section 2.3); 0: one selection from all members.
        folds: of the cross-fitting; as many as there are cases (or patients), if these are fewer.
        chance: the largest one-sided p-value of a gain.
        seed: of folds, bags and tests.
    """

    steps: int = 12
    patience: int = 2
    bags: int = 0
    folds: int = 5
    chance: float = CHANCE
    seed: int = 0


@dataclass(frozen=True)
class Step:
    """A member that was added, and the value with it."""

    member: int
    value: float


@dataclass(frozen=True)
class Gain:
    """How much better one way is than another over the same cases, and whether that is beyond chance.

    ``of_several``: how often chance alone brings as much to the best of those that it was chosen from.
    """

    comparison: PairedComparison
    chance: float
    of_several: float | None = None

    @property
    def p_value(self) -> float:
        """One-sided: how often chance alone brings as much."""
        if self.of_several is not None:
            return self.of_several
        two_sided, mean = self.comparison.p_value, self.comparison.mean_difference
        if math.isnan(two_sided):
            return 1.0
        return two_sided / 2 if mean > 0 else 1 - two_sided / 2

    @property
    def proven(self) -> bool:
        """Whether it is beyond chance."""
        return self.comparison.mean_difference > 0 and self.p_value <= self.chance


@dataclass(frozen=True)
class Selection:
    """What is to be used.

    ``counts``: the ensemble, or a single member. ``single``: the best single member. ``proposed``: what the greedy
    selection proposes on all cases. ``gain``: of the cross-fitted selection over the best single member; None where
    nothing was proposed or there was no time. ``reason``: for the decision, in words.
    """

    counts: Counts
    single: Counts
    proposed: Counts
    gain: Gain | None
    reason: str


def alone(member: int, size: int) -> Counts:
    """The counts of a single member."""
    return tuple(int(index == member) for index in range(size))


def reduced(counts: Sequence[int]) -> Counts:
    """The smallest counts with the same mean."""
    divisor = math.gcd(*counts) or 1
    return tuple(count // divisor for count in counts)


def best_single(library: Library, cases: NDArray[np.int64]) -> Counts | None:
    """The single member that keeps the limits and has the best value, the first of equals; None: none does."""
    singles = [alone(member, library.size) for member in range(library.size)]
    kept = [counts for counts in singles if library.allowed(counts)]
    return max(kept, key=lambda counts: library.known_value(counts, cases), default=None)


def greedy(
    library: Library, cases: NDArray[np.int64], rule: Rule, members: Sequence[int] | None = None
) -> tuple[Step, ...]:
    """Members in the order in which the selection took them, until the best value on the way.

    Args:
        library: of all members.
        cases: indices of the cases to select on.
        rule: of the selection.
        members: the members to choose from; None: all.
    """
    known = range(library.size) if members is None else members
    counts: Counts = (0,) * library.size
    path: list[Step] = []
    best = 0
    while len(path) < rule.steps and len(path) - best <= rule.patience:
        options = [
            (member, added)
            for member in known
            if library.allowed(added := tuple(c + (i == member) for i, c in enumerate(counts)))
        ]
        if not options:
            break
        values = [library.known_value(reduced(added), cases) for _, added in options]
        chosen = int(np.argmax(values))  # the first of equals
        path.append(Step(options[chosen][0], values[chosen]))
        counts = options[chosen][1]
        if best == 0 or path[-1].value > path[best - 1].value:
            best = len(path)
    return tuple(path[:best])


def propose(library: Library, cases: NDArray[np.int64], rule: Rule) -> Counts:
    """The ensemble that the greedy selection proposes, with bags where the rule has them.

    A bag with which the ensemble would break a limit is left out. All 0 where no member keeps the limits.

    Args:
        library: of all members.
        cases: indices of the cases to select on.
        rule: of the selection.
    """
    if not rule.bags:
        return reduced(_counts(greedy(library, cases, rule), library.size))
    generator = np.random.default_rng(rule.seed)
    total: Counts = (0,) * library.size
    for _ in range(rule.bags):
        half = generator.choice(library.size, math.ceil(library.size / 2), replace=False)
        taken = _counts(greedy(library, cases, rule, sorted(half.tolist())), library.size)
        added = tuple(a + b for a, b in zip(total, taken, strict=True))
        if any(taken) and library.allowed(added):
            total = added
    return reduced(total)


def _counts(path: Sequence[Step], size: int) -> Counts:
    return tuple(sum(step.member == member for step in path) for member in range(size))


def select(library: Library, units: NDArray[np.int64], rule: Rule) -> Selection | None:
    """The ensemble where it is better than the best single member beyond chance, else that member.

    Args:
        library: the members.
        units: which cases belong together, such as those of a patient: a number for each case.
        rule: how to select, and what counts as a gain.

    Returns:
        None where no single member keeps the limits.
    """
    everything = np.arange(len(units))
    single = best_single(library, everything)
    if single is None:
        return None
    try:
        proposed = propose(library, everything, rule)
        if sum(map(bool, proposed)) < 2:
            return Selection(single, single, single, None, "no ensemble is better on the validation cases")
        gain = _cross_fitted_gain(library, units, rule, proposed)
    except OutOfTimeError:
        return Selection(single, single, single, None, "there was no time to test an ensemble")
    if gain.proven and not math.isinf(library.known_value(proposed, everything)):
        return Selection(proposed, single, proposed, gain, f"better than one network ({words(gain)})")
    return Selection(
        single, single, proposed, gain, f"no better than one network beyond chance ({words(gain)})"
    )


def unless_better(
    chosen: Selection, default: Counts, library: Library, units: NDArray[np.int64], rule: Rule
) -> Selection:
    """A selection; the default alone, where the selection is not better than it beyond chance.

    It was chosen among several, of which one is the best by chance alone. So chance is asked what it brings to the best
    of all single members and the selection.

    Args:
        chosen: an ensemble or a single member.
        default: the single member that is used unless another way is better. Both their rows are known.
        library: of all members. Those whose rows are not known in time were not chosen from.
        units: which cases belong together, such as those of a patient: a number for each case.
        rule: what counts as a gain.
    """
    if reduced(chosen.counts) == default:
        return chosen
    singles = [
        one for one in (alone(member, library.size) for member in range(library.size)) if one != default
    ]
    known = [library.rows(chosen.counts)]
    with contextlib.suppress(OutOfTimeError):
        known += [library.rows(one) for one in singles if library.allowed(one)]

    def value(rows: Rows) -> float:
        return library.value(default, rows)

    values = [_pseudo_values(value, rows, _grouped(units, rule)) for rows in (library.rows(default), *known)]
    gain = compare(value, known[0], library.rows(default), units, rule)
    gain = replace(gain, of_several=p_value_of_best(np.array(values[1:]) - values[0], rule.seed))
    if gain.proven:
        return chosen
    reason = f"nothing was better than the default beyond chance ({words(gain)})"
    return replace(chosen, counts=default, single=default, reason=reason)


def _cross_fitted_gain(library: Library, units: NDArray[np.int64], rule: Rule, proposed: Counts) -> Gain:
    """How much better the selection is than the best single member, each chosen without the cases it is tested on."""
    known = np.random.default_rng(rule.seed).permutation(np.unique(units))
    together, one = (np.full_like(library.rows(proposed), np.nan) for _ in range(2))
    for fold in np.array_split(known, min(rule.folds, len(known))):
        tested = np.isin(units, fold)
        rest = np.flatnonzero(~tested)
        ensemble, single = propose(library, rest, rule), best_single(library, rest)
        assert single is not None  # as limits do not depend on cases
        if not any(ensemble):
            ensemble = single
        together[tested] = library.rows(ensemble)[tested]
        one[tested] = library.rows(single)[tested]
    return compare(lambda rows: library.value(proposed, rows), together, one, units, rule)


def compare(
    value: Callable[[Rows], float], rows: Rows, other: Rows, units: NDArray[np.int64], rule: Rule
) -> Gain:
    """How much better the first rows are than the second, over cases.

    The value of all cases need not be a mean, as average precision is not. So each case has its jackknife pseudo-value,
    n times the value of all cases less (n - 1) times that without it (Tukey; Efron and Tibshirani 1993, section 11.5),
    which is its own score where the value is a mean. Their differences are put to the paired sign-flip test of the
    report, exact for few cases.

    Args:
        value: of the rows of some cases.
        rows: one row a case.
        other: the rows of what it is compared with, of the same cases.
        units: which cases belong together: they are left out together.
        rule: what counts as beyond chance.
    """
    numbers = _grouped(units, rule)
    first, second = (_pseudo_values(value, one, numbers) for one in (rows, other))
    return Gain(paired_comparison(first, second, rule.seed), rule.chance)


def _grouped(units: NDArray[np.int64], rule: Rule) -> NDArray[np.int64]:
    """Numbers of the units; of many, those of groups of them."""
    _, numbers = np.unique(units, return_inverse=True)
    if (count := int(numbers.max(initial=-1)) + 1) > MOST_UNITS:
        numbers = np.random.default_rng(rule.seed).permutation(count)[numbers] % MOST_UNITS
    return np.asarray(numbers, dtype=np.int64)


def _pseudo_values(
    value: Callable[[Rows], float], rows: Rows, units: NDArray[np.int64]
) -> NDArray[np.float64]:
    count = int(units.max(initial=-1)) + 1
    whole = value(rows)
    without = np.array([value(rows[units != unit]) for unit in range(count)])
    return np.asarray(count * whole - (count - 1) * without, dtype=np.float64)


def words(gain: Gain) -> str:
    """A gain in a few words."""
    comparison = gain.comparison
    return f"{comparison.mean_difference:+.4f} over {comparison.n} cases left out, p = {gain.p_value:.2g}"
