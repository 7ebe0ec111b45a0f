"""From which probability on a picture is taken to have a label: chosen once a network is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netwright.errors import RunError
from netwright.files import read_json, write_json

USUAL = 0.5
FILE = "thresholds.json"
"""Of a trained network, beside its weights."""


@dataclass(frozen=True)
class Thresholds:
    """One for each label, in their order.

    Args:
        values: a picture has a label where the probability is at least so much.
        chosen: whether validation cases that the network was not trained on chose them; else all are 0.5.
    """

    values: tuple[float, ...]
    chosen: bool = False

    @classmethod
    def usual(cls, labels: int) -> Thresholds:
        """0.5 for all."""
        return cls((USUAL,) * labels)

    def decide(self, probabilities: NDArray[np.floating]) -> NDArray[np.bool_]:
        """Which labels pictures are taken to have, (pictures, labels)."""
        return np.asarray(np.asarray(probabilities, dtype=np.float64) >= np.array(self.values))

    def write(self, folder: Path) -> None:
        """Keep them in a network's folder."""
        write_json(folder / FILE, asdict(self))


def read_thresholds(folder: Path, labels: int) -> Thresholds:
    """Those that are kept in a network's folder; 0.5 for all where none are.

    Raises:
        RunError: the file is damaged.
    """
    path = folder / FILE
    if not path.exists():
        return Thresholds.usual(labels)
    try:
        return _checked(read_json(path), labels)
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(
            f"{path} is damaged ({error!r}). Restore it from a copy, or delete it to decide from 0.5 on."
        ) from None


def mean_thresholds(folders: Sequence[Path], labels: int) -> Thresholds:
    """The means of those that are kept in the folders of several networks.

    Raises:
        RunError: a file is damaged.
    """
    kept = [read_thresholds(folder, labels) for folder in folders]
    means = np.mean([one.values for one in kept], axis=0)
    return Thresholds(tuple(means.tolist()), all(one.chosen for one in kept))


def _checked(values: Mapping[str, Any], labels: int) -> Thresholds:
    thresholds = tuple(float(value) for value in values["values"])
    if len(thresholds) != labels or not all(np.isfinite(thresholds)):
        raise ValueError(f"{len(thresholds)} numbers for {labels} labels")
    return Thresholds(thresholds, bool(values["chosen"]))


def best_thresholds(probabilities: NDArray[np.floating], truths: NDArray[np.integer]) -> Thresholds:
    """The thresholds with the greatest F1 of each label, both (pictures, labels)."""
    return Thresholds(tuple(map(best_threshold, probabilities.T, truths.T)), chosen=True)


def best_threshold(
    probabilities: Sequence[float] | NDArray[np.floating], truth: Sequence[int] | NDArray[np.integer]
) -> float:
    """The threshold with the greatest F1 on some pictures.

    It lies halfway between two probabilities that occur. Of several with the same F1 it is 0.5, if that is as good,
    else the one nearest to it, then the higher; 0.5 where no picture has the label.

    >>> best_threshold([0.1, 0.3, 0.4], [0, 1, 1])
    0.2
    >>> best_threshold([0.1, 0.9], [0, 1])
    0.5

    Args:
        probabilities: of the label, (pictures,).
        truth: 1 for pictures that have it, else 0.
    """
    values, groups = np.unique(-np.asarray(probabilities, dtype=np.float64), return_inverse=True)
    values = -values  # the highest first
    has = np.asarray(truth, dtype=np.float64)
    if not has.any():
        return USUAL
    right = np.bincount(groups, weights=has, minlength=len(values)).cumsum()
    decided = np.bincount(groups, minlength=len(values)).cumsum()
    scores = 2 * right / (decided + has.sum())
    best = np.flatnonzero(scores == scores.max())
    below = np.append(values[1:], 0.0)
    if np.any((below[best] < USUAL) & (values[best] >= USUAL)):
        return USUAL
    candidates = (values[best] + below[best]) / 2
    return float(min(candidates.tolist(), key=lambda value: (abs(value - USUAL), -value)))
