"""Learning curves for `race_rules.py`: recorded ones, or made-up ones where there are none.

A file of recorded curves is a JSON list of {"choice", "seconds", "scores", "dataset"}: a choice by name, the seconds of
training at each validation, ascending, and their scores, to be maximised. The first of a dataset is the default.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Recorded:
    """One curve.

    Args:
        choice: by name.
        seconds: of each validation, ascending.
        scores: of each validation.
        smooth: its scores without noise: the truth by which a rule is judged.
    """

    choice: Mapping[str, Any]
    seconds: Array
    scores: Array
    smooth: Array

    def until(self, start: float, end: float) -> tuple[tuple[float, float], ...]:
        """The validations after ``start``, and one at ``end``: the curve is straight between its points."""
        inside = (self.seconds > start + 1e-9) & (self.seconds < end - 1e-9)
        last = float(np.interp(end, self.seconds, self.scores))
        return (*zip(self.seconds[inside].tolist(), self.scores[inside].tolist(), strict=True), (end, last))

    def truth(self, seconds: float) -> float:
        """The score without noise."""
        return float(np.interp(seconds, self.seconds, self.smooth))


def recorded(files: Sequence[Path]) -> dict[str, list[Recorded]]:
    """Curves by dataset. Their noise is taken away by the mean of five neighbours."""
    curves: dict[str, list[Recorded]] = {}
    for entry in (entry for file in files for entry in json.loads(file.read_text(encoding="utf-8"))):
        scores = np.array(entry["scores"], dtype=float)
        if len(scores):
            around = np.array([scores[max(i - 2, 0) : i + 3].mean() for i in range(len(scores))])
            curve = Recorded(entry["choice"], np.array(entry["seconds"], dtype=float), scores, around)
            curves.setdefault(str(entry["dataset"]), []).append(curve)
    return curves


def made_up(seed: int, count: int = 300, seconds: float = 3600.0) -> list[Recorded]:
    """Curves that nobody measured, so that the benchmark runs before there are others.

    What is like the real ones: wide networks are slower and end higher; a rate too high ends early or low; strong
    augmentation begins slowly and ends high; weak augmentation overfits; so curves cross. Scores have noise, of which a
    part is shared by neighbouring validations. None of them has exactly a shape that a rule assumes.

    Args:
        seed: of the dataset: where its best choices lie.
        count: curves; the first is a good choice, as a default is.
        seconds: their length.
    """
    rng = np.random.default_rng([seed, 15])
    best_rate, best_augmentation = rng.uniform(-3.2, -2.2), rng.uniform(0.4, 0.9)
    best_normalisation = int(rng.integers(3))
    curves = []
    for number in range(count):
        width, rate, augmentation = 2 ** rng.uniform(3, 6), rng.uniform(-4.5, -1.0), rng.uniform(0, 1)
        depth, normalisation, batch = (
            int(rng.integers(2, 6)),
            int(rng.integers(3)),
            int(2 ** rng.integers(1, 5)),
        )
        if number == 0:
            width, rate, augmentation, depth, normalisation = 24, best_rate + 0.4, 0.5, 3, best_normalisation
        step = (width / 16) ** 0.7 * (0.8 + 0.07 * depth)
        off = rate - best_rate
        end = (
            0.90
            - 0.06 * (16 / width) ** 0.7
            - 0.012 * off**2
            - 0.05 * (augmentation - best_augmentation) ** 2
        )
        end -= 0.008 * (normalisation != best_normalisation) + 0.006 * abs(depth - 4) - rng.normal(0, 0.003)
        scale = 8 * step * (0.8 + 0.5 * augmentation) * 10 ** (0.25 * abs(off)) * (1.3 if batch > 8 else 1.0)
        t = np.arange(20.0, seconds + 1, 20.0)
        slow, fast = (
            (1 + t / scale) ** -rng.uniform(0.6, 1.1),
            np.exp(-((t / (1.5 * scale)) ** rng.uniform(0.8, 1.6))),
        )
        smooth = end - (0.3 * slow + 0.5 * fast) * (end - 0.05)
        smooth -= 0.03 * max(best_augmentation - augmentation, 0) * np.log1p(t / (40 * scale))
        if off > 1.2 and rng.random() < 0.5:
            smooth = np.where(t > rng.uniform(0, 600), 0.05, smooth)
        noise = rng.normal(0, 0.002, len(t))
        shared = np.convolve(rng.normal(0, 0.001, len(t) + 4), np.ones(5) / 5**0.5, mode="valid")
        choice = {
            "width": float(width),
            "rate": float(10**rate),
            "augmentation": float(augmentation),
            "depth": depth,
            "normalisation": ("instance", "batch", "group")[normalisation],
            "batch": batch,
        }
        curves.append(Recorded(choice, t, smooth + noise + shared, smooth))
    return curves
