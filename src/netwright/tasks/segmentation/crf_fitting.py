"""Fits the weights of the fully connected CRF for a trained network on validation cases."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netwright.means import mean_known
from netwright.report.formatting import signed
from netwright.tasks.segmentation.dense_crf import DenseCRF, refine
from netwright.tasks.segmentation.metrics.dice import dice_per_label, mean_dice

USELESS_KEPT = 1 / 40
"""How often a CRF that changes nothing on average may be kept: the upper tail of Student's t."""

EDGES = (1.0, 2.0, 4.0)
"""Reaches that are tried, in edges of a voxel: its shortest, of the axes that are longer than one voxel."""

COORDINATES: tuple[tuple[str, tuple[float, ...]], ...] = (
    ("intensity", (0.05, 0.1, 0.2, 0.5)),
    ("appearance_mm", EDGES),
    ("appearance_weight", (0.0, 0.3, 1.0, 3.0, 6.0)),
    ("smoothness_weight", (0.0, 0.3, 1.0, 3.0)),
    ("smoothness_mm", EDGES[:2]),
)
"""What is tried of each setting, one after the other, the others staying at the best so far. Reaches are in edges,
intensities in standard deviations of the images.
"""

PASSES = 2

ASKED = "postprocessing.crf=always keeps it, whatever it does on the validation cases"

UNDEFINED_AS_NULL = ("dice_without", "dice_with", "gain", "standard_error")


@dataclass(frozen=True)
class FittingCase:
    """A validation case on its prepared grid.

    Args:
        probabilities: of the network, (K, X, Y, Z).
        image: (C, X, Y, Z).
        truth: class indices (X, Y, Z).
        spacing: of the voxels in mm.
        group: cases of one group, such as the frames of a patient's heart, are not independent.
    """

    probabilities: NDArray[np.float32]
    image: NDArray[np.float32]
    truth: NDArray[np.uint8]
    spacing: tuple[float, float, float]
    group: str


@dataclass(frozen=True)
class FittedCRF:
    """The CRF that was fitted, and whether it is kept.

    ``crf``: the best weights, whether kept or not; None where no weights raised the mean Dice of the cases.
    ``groups``: of how many groups the ``cases`` are, as many where each is one by itself. ``dice_without`` and
    ``dice_with``: that mean, of the cases that the weights were fitted on. ``gain``: the mean over the groups of their
    mean difference in Dice, each half of the groups under the weights that were fitted on the other half alone, and
    ``standard_error`` of that mean. ``tried``: how many settings; ``time_limited``: whether there was time for all.
    """

    kept: bool
    reason: str
    crf: DenseCRF | None
    cases: int
    groups: int
    dice_without: float
    dice_with: float
    gain: float
    standard_error: float
    tried: int
    seconds: float
    time_limited: bool

    @property
    def words(self) -> tuple[str, str]:
        """Whether the CRF is kept, and why."""
        gain = f" ({signed(self.gain)} Dice)" if self.kept else ""
        return "CRF", f"{'kept' if self.kept else 'not kept'}: {self.reason}{gain}"

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {**asdict(self), "crf": None if self.crf is None else self.crf.to_dict()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> FittedCRF:
        """The inverse of `to_dict`; unknown keys of a newer version are ignored, and an early one counted no groups.
        A number that is not defined is null in the file.
        """
        values = {"groups": values["cases"], **values}
        known = {field.name: values[field.name] for field in fields(cls)}
        known |= {name: math.nan for name in UNDEFINED_AS_NULL if known[name] is None}
        return cls(**{**known, "crf": None if known["crf"] is None else DenseCRF.from_dict(known["crf"])})


def fit_crf(
    cases: Sequence[FittingCase],
    classes: int,
    *,
    iterations: int = 5,
    seconds: float = 600.0,
    always: bool = False,
) -> FittedCRF:
    """The CRF with the greatest mean Dice over some validation cases, and whether it is worth keeping.

    It is a coordinate search over a small grid (`COORDINATES`). The same cases give the same result unless the time
    runs out. The Dice of the best CRF on these cases is partly luck. So the CRF is fitted twice more, on the groups at
    even and at odd positions, and each time judged on the other half. It is kept if the mean gain over all groups
    exceeds its standard error by the factor `standard_errors`.

    Args:
        cases: at least one. Those of a single group say nothing about others, and nothing is kept.
        classes: background included.
        iterations: of the mean field.
        seconds: wall time. The search then ends with the best so far, no later than after one more setting.
        always: keep the best whatever its effect on the cases, as papers that apply a CRF do.

    Raises:
        MemoryError: there is not enough for a case.
        ValueError: no cases.
    """
    if not cases:
        raise ValueError("a CRF is fitted on at least one case, got none")
    began = time.monotonic()
    scores = _Scores(cases, classes)
    units = _Units.of(cases)
    everyone, members = range(len(cases)), _members(cases)
    even, odd = ([case for group in members[half::2] for case in group] for half in (0, 1))
    limited = False
    gains = np.full(len(cases), np.nan)
    if len(members) > 1:
        for share, fitted_on, judged_by in ((0.25, even, odd), (0.5, odd, even)):
            best, cut = _searched(scores, fitted_on, units, iterations, began + share * seconds)
            limited |= cut
            for case in judged_by:
                gains[case] = scores.mean_of(best, case) - scores.mean_of(None, case)
    crf, cut = _searched(scores, everyone, units, iterations, began + seconds, always=always)
    known = _means([gains[group] for group in members])
    gain = float(known.mean()) if known.size else 0.0
    error = float(known.std(ddof=1) / np.sqrt(known.size)) if known.size > 1 else float("nan")
    helps = crf is not None and known.size > 1 and gain > standard_errors(known.size) * error
    return FittedCRF(
        kept=helps or always,
        reason=ASKED if always else _reason(helps, crf, known.size, patients=len(members) < len(cases)),
        crf=crf,
        cases=len(cases),
        groups=len(members),
        dice_without=mean_dice(scores.of(None, everyone)),
        dice_with=mean_dice(scores.of(crf, everyone)),
        gain=gain,
        standard_error=error,
        tried=scores.tried,
        seconds=time.monotonic() - began,
        time_limited=limited or cut,
    )


def standard_errors(groups: int) -> float:
    """How many of its standard errors a mean gain over ``groups`` (at least 2) must exceed to be kept.

    It is a quantile of Student's t: the gain of a useless CRF exceeds it in `USELESS_KEPT` of all cases. It is 12.7 for
    two groups and 2.1 for twenty.
    """
    from scipy import stats  # takes long to load

    return float(stats.t.ppf(1 - USELESS_KEPT, groups - 1))


def _members(cases: Sequence[FittingCase]) -> list[list[int]]:
    """The positions of each group's cases, the groups in order of their first case."""
    members: dict[str, list[int]] = {}
    for position, case in enumerate(cases):
        members.setdefault(case.group, []).append(position)
    return list(members.values())


def _means(groups: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """The mean of each group's values, without NaN. Groups with only NaN are left out."""
    means = [mean_known(values.tolist()) for values in groups]
    return np.array([mean for mean in means if not math.isnan(mean)])


def _reason(kept: bool, crf: DenseCRF | None, judged: int, *, patients: bool) -> str:
    units = "patients" if patients else "cases"
    if kept:
        return f"it raises the Dice of validation {units} that it was not fitted on"
    if crf is None:
        return "no weights raised the Dice of the validation cases"
    if judged < 2:
        return f"it takes two validation {units} or more to tell whether it helps"
    return f"the gain on validation {units} that it was not fitted on is no larger than chance would have it"


class _Scores:
    """The Dice of cases under settings. Each is computed once."""

    def __init__(self, cases: Sequence[FittingCase], classes: int) -> None:
        self._cases = cases
        self._classes = classes
        self._known: dict[tuple[DenseCRF | None, int], NDArray[np.float64]] = {}

    @property
    def tried(self) -> int:
        """How many settings have been tried."""
        return len({crf for crf, _ in self._known if crf is not None})

    def of(self, crf: DenseCRF | None, indices: Sequence[int]) -> NDArray[np.float64]:
        """(cases, foreground labels); None: the network's own."""
        return np.array([self._of(crf, index) for index in indices])

    def mean_of(self, crf: DenseCRF | None, index: int) -> float:
        """The mean over a case's labels; NaN where it has none."""
        return mean_known(self._of(crf, index).tolist())

    def _of(self, crf: DenseCRF | None, index: int) -> NDArray[np.float64]:
        key = crf, index
        if key not in self._known:
            case = self._cases[index]
            probabilities = case.probabilities
            if crf is not None:
                probabilities = refine(probabilities, case.image, case.spacing, crf)
            self._known[key] = dice_per_label(probabilities.argmax(0), case.truth, self._classes)
        return self._known[key]


@dataclass(frozen=True)
class _Units:
    """The units of the grid: the edge of a voxel in mm, and the standard deviation of the images' intensities."""

    edge: float
    intensity: float

    @classmethod
    def of(cls, cases: Sequence[FittingCase]) -> _Units:
        """The medians over the cases."""
        edges, widths = [], []
        for case in cases:
            axes = zip(case.spacing, case.truth.shape, strict=True)
            edges.append(min([step for step, length in axes if length > 1] or case.spacing))
            widths.append(float(case.image.std(axis=(1, 2, 3), dtype=np.float64).mean()))
        return cls(float(np.median(edges)), float(np.median(widths)) or 1.0)

    def scaled(self, name: str, value: float) -> float:
        """A value of the grid in the units of `DenseCRF`."""
        return value * (self.edge if name.endswith("_mm") else self.intensity if name == "intensity" else 1.0)

    def start(self, iterations: int) -> DenseCRF:
        """Where the search begins: what an early run on the hippocampus ended near."""
        return DenseCRF(0.0, self.edge, 3.0, 2 * self.edge, 0.1 * self.intensity, iterations)


def _searched(
    scores: _Scores,
    indices: Sequence[int],
    units: _Units,
    iterations: int,
    deadline: float,
    *,
    always: bool = False,
) -> tuple[DenseCRF | None, bool]:
    """The best setting (None where that is no CRF, unless ``always``), and whether the time ran out.

    Among equals, the first one stays. A mean that no case defines is better than none.
    """
    none = mean_dice(scores.of(None, indices))
    best = units.start(iterations)
    best_dice = mean_dice(scores.of(best, indices))
    for _ in range(PASSES):
        for name, values in COORDINATES:
            for candidate in _candidates(best, name, values, units):
                if time.monotonic() > deadline:
                    return (best if always or best_dice > none else None), True
                dice = mean_dice(scores.of(candidate, indices))
                if dice > best_dice:
                    best, best_dice = candidate, dice
    return (best if always or best_dice > none else None), False


def _candidates(best: DenseCRF, name: str, values: Sequence[float], units: _Units) -> Iterator[DenseCRF]:
    """``best`` with each value of one setting, if that setting has an effect."""
    term = "smoothness" if name.startswith("smoothness") else "appearance"
    if not name.endswith("_weight") and getattr(best, f"{term}_weight") == 0:
        return
    for value in values:
        changed = DenseCRF.from_dict({**best.to_dict(), name: units.scaled(name, value)})
        if changed.smoothness_weight > 0 or changed.appearance_weight > 0:
            yield changed
