"""Seconds that fingerprint and preprocessing take: python benchmarks/preprocessing.py [DATASET] [WORKERS]."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from netwright.data import PreprocessingSettings, inspect_dataset, open_any, prepare

DEFAULT = Path(__file__).resolve().parents[2] / "shared" / "data" / "Task04_Hippocampus"


def main(root: Path, workers: int) -> None:
    """Print the seconds of each step, into a cache that is thrown away."""
    start = time.perf_counter()
    dataset = open_any(root)
    inspect_dataset(dataset, workers=workers)
    inspected = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        prepare(dataset, PreprocessingSettings(), Path(folder), workers=workers)
        prepared = time.perf_counter()
        prepare(dataset, PreprocessingSettings(), Path(folder), workers=workers)
        found = time.perf_counter()
    print(f"{len(dataset.cases)} cases of {dataset.name}, {workers} workers")
    print(f"fingerprint      {inspected - start:6.2f} s")
    print(f"preprocessing    {prepared - inspected:6.2f} s")
    print(f"found in cache   {found - prepared:6.2f} s")
    print(f"fingerprint and preprocessing {prepared - start:.2f} s in all")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT, int(sys.argv[2]) if len(sys.argv) > 2 else 2)
