"""Random numbers: seeds derived from names, and a context that sets all generators."""

from __future__ import annotations

import hashlib
import json
import random
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np


def derive_seed(*parts: int | str) -> int:
    """A seed (0 to 2^63 - 1) from numbers and names, for example (7, "trial", 12). It is equal on every machine."""
    digest = hashlib.sha256(json.dumps(parts).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


@contextmanager
def seeded(seed: int, *, deterministic: bool = True) -> Iterator[None]:
    """Seeds torch, numpy and random, asks torch for deterministic algorithms, and restores everything at the end.

    Args:
        seed: for all generators.
        deterministic: ask for deterministic algorithms. An operation that has none is used all the same. Not useful on
            a GPU: several operations of a training have no such algorithm there, so results differ anyway, and cuDNN
            may then choose only among few, slower algorithms.
    """
    import torch

    python_state, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002  networks may use them
    before = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    memory: Any = torch.utils.deterministic
    fill = memory.fill_uninitialized_memory
    # Asking for the state of a GPU that is not in use yet would take memory on it.
    in_use = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    devices = [torch.cuda.current_device()] if in_use else []
    with torch.random.fork_rng(devices=devices), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*does not have a deterministic implementation")
        try:
            torch.manual_seed(seed)
            random.seed(seed)
            np.random.seed(seed % 2**32)  # noqa: NPY002
            if deterministic:
                torch.use_deterministic_algorithms(True, warn_only=True)
            memory.fill_uninitialized_memory = False  # costs time, changes no result
            yield
        finally:
            torch.use_deterministic_algorithms(before, warn_only=warn_only)
            memory.fill_uninitialized_memory = fill
            random.setstate(python_state)
            np.random.set_state(numpy_state)  # noqa: NPY002
