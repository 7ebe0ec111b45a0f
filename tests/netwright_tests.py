"""Constants that several test files share."""

import sys
from pathlib import Path

EXECUTABLE = Path(sys.executable).with_name("netwright")
SMALL = ("--epochs", "1", "--workers", "1", "--set", "space.n=[1,4]", "--set", "space.p=[1,3]")

_LAYERS = ("--trials", "8", "--epochs", "1", "--workers", "1", "--seed", "3")
_LAYERS += ("--set", "training.batch_size=8", "--set", "space.values.kernels=[2,4,8]")
_LAYERS += ("--set", "space.values.units=[4,16]", "--set", "termination.slower_than_start=null")
LAYERS = {name: (*_LAYERS, "--set", f"strategy.variant={name}") for name in ("published", "coordinated")}
"""Searches of a tiny network's layers that depend on nothing but the seed: no time is measured."""
