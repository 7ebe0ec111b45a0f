"""Functions that the executor's tests run in real worker processes."""

from __future__ import annotations

import os
import time
from pathlib import Path


def identify(_: int = 0) -> tuple[int, str | None]:
    return os.getpid(), os.environ.get("OMP_NUM_THREADS")


def announce_and_sleep(path: str, seconds: float) -> str:
    Path(path).write_text(str(os.getpid()))
    time.sleep(seconds)
    return "slept"


def fail(text: str) -> None:
    raise ValueError(text)


def allocate(megabytes: int) -> int:
    import numpy as np

    return int(np.ones(megabytes * 125_000).sum())
