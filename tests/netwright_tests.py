"""What several test files share."""

import sys
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
from PIL import Image

from netwright.strategies import Observation

EXECUTABLE = Path(sys.executable).with_name("netwright")
ONE_TRIAL = "--recipe segnas4 --trials 1 --epochs 1 --set space.n=[1,2] --set space.p=[1,2]"
ONE_TRIAL += " --set verdict.epochs=1 --set verdict.references=[]"
"""What stands for the hours of a printed command where these are to cost seconds."""

SMALL = ("--epochs", "1", "--workers", "1", "--set", "space.n=[1,4]", "--set", "space.p=[1,3]")

_LAYERS = ("--trials", "8", "--epochs", "1", "--workers", "1", "--seed", "3")
_LAYERS += ("--set", "training.batch_size=8", "--set", "space.values.kernels=[2,4,8]")
_LAYERS += ("--set", "space.values.units=[4,16]", "--set", "termination.slower_than_start=null")
LAYERS = {name: (*_LAYERS, "--set", f"strategy.variant={name}") for name in ("published", "coordinated")}
"""Searches of a tiny network's layers that depend on nothing but the seed: no time is measured."""


def save_picture(path: Path, pixels: Any, **options: Any) -> Path:
    """Pixels (height, width) or (height, width, channels) as a file, its folders made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)
    return path


def save_photograph(path: Path) -> Path:
    """A picture of noise (24, 32, 3), another one for each name."""
    random = np.random.default_rng(crc32(path.as_posix().encode()))
    return save_picture(path, random.integers(0, 256, (24, 32, 3), dtype=np.uint8))


def mean_dice(found: Any, truth: Any, labels: int) -> float:
    """Of two label maps: the mean over the labels 1, 2, ... that either of them has."""
    dice = [
        2 * ((found == k) & (truth == k)).sum() / ((found == k).sum() + (truth == k).sum())
        for k in range(1, labels + 1)
        if ((found == k) | (truth == k)).any()
    ]
    return float(np.mean(dice))


def told(strategy: Any, state: Any, choice: Any, reward: float | None, stamp: Any = None) -> Any:
    """A strategy's state after one more result; None: the candidate has no reward."""
    status = "pruned" if reward is None else "complete"
    return strategy.tell(state, Observation(0, choice, reward, status, stamp))
