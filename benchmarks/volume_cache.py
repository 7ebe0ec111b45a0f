"""Disk space and seconds a patch of several formats for prepared volumes, beside the memory map that is used.

python benchmarks/volume_cache.py [FOLDER]

It needs `pip install blosc2 zarr`, which netwright does not. A made-up CT of 512 x 512 x 75 voxels is normalised and
written to FOLDER in each format, as it is and resampled to other voxels; then random patches of 240 x 240 x 36 voxels
are read as float32. "cold": the file is dropped from the memory of the operating system before each patch.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import blosc2
import numpy as np
import zarr

from large_volumes import SHAPE, made_up_ct
from netwright.data.volumes.interpolation import resample

SIZE = (240, 240, 36)
CHUNKS, BLOCKS = (128, 128, 40), (32, 32, 20)
PATCHES = 15

Reader = Callable[[tuple[slice, ...]], Any]


def memory_map(folder: Path, ct: np.ndarray) -> Callable[[], Reader]:
    """As netwright keeps volumes, in the type of the array."""
    np.save(folder / "ct.npy", ct)
    return lambda: lambda patch: np.load(folder / "ct.npy", mmap_mode="r")[patch]


def with_blosc2(folder: Path, ct: np.ndarray) -> Callable[[], Reader]:
    """Chunks and blocks compressed with zstd, as nnU-Net keeps volumes."""
    parameters = {"codec": blosc2.Codec.ZSTD, "clevel": 5, "nthreads": 1}
    path = str(folder / "ct.b2nd")
    blosc2.asarray(ct, urlpath=path, chunks=CHUNKS, blocks=BLOCKS, cparams=parameters, mode="w")
    return lambda: lambda patch: blosc2.open(path, mode="r", dparams={"nthreads": 1})[patch]


def with_zarr(folder: Path, ct: np.ndarray) -> Callable[[], Reader]:
    """Chunks compressed as Zarr does by default."""
    stored = zarr.create_array(folder / "ct.zarr", shape=ct.shape, dtype=ct.dtype, chunks=(64, 64, 20))
    stored[:] = ct
    return lambda: lambda patch: zarr.open_array(folder / "ct.zarr", mode="r")[patch]


FORMATS = {
    "memory map, float32": (memory_map, np.float32),
    "memory map, float16": (memory_map, np.float16),
    "blosc2, float32": (with_blosc2, np.float32),
    "blosc2, float16": (with_blosc2, np.float16),
    "zarr, float32": (with_zarr, np.float32),
    "zarr, float16": (with_zarr, np.float16),
}


def drop_from_memory(folder: Path) -> None:
    """Makes the operating system read the files of a folder from the disk again."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def seconds_a_patch(reader: Reader, folder: Path, *, cold: bool) -> float:
    """The median time in which a random patch is read as float32."""
    rng, times = np.random.default_rng(0), []
    for _ in range(PATCHES):
        starts = [int(rng.integers(length - wanted + 1)) for length, wanted in zip(SHAPE, SIZE, strict=True)]
        patch = tuple(slice(start, start + wanted) for start, wanted in zip(starts, SIZE, strict=True))
        if cold:
            drop_from_memory(folder)
        begun = time.perf_counter()
        np.array(reader(patch), dtype=np.float32)
        times.append(time.perf_counter() - begun)
    return median(times)


def compare(ct: np.ndarray, root: Path) -> None:
    """Prints a line for each format, as ratios to the first."""
    first: tuple[float, ...] = ()
    for number, (name, (write, kind)) in enumerate(FORMATS.items()):
        folder = root / str(number)
        folder.mkdir()
        reader = write(folder, ct.astype(kind))()
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        seconds_a_patch(reader, folder, cold=False)
        measured = (size, *(seconds_a_patch(reader, folder, cold=cold) for cold in (False, True)))
        first = first or measured
        disk, warm, cold = (value / of_first for value, of_first in zip(measured, first, strict=True))
        print(f"{name:<22} disk {disk:5.2f}   seconds a patch {warm:5.2f}   cold {cold:5.2f}", flush=True)
        shutil.rmtree(folder)


def main(root: Path) -> None:
    """Prints a table for a CT as it was scanned, and one for a CT that was resampled."""
    scanned, _ = made_up_ct(0)
    low, high = np.percentile(scanned[::8, ::8], [5, 99.5])
    normalised = (np.clip(scanned, low, high) - 60) / np.float32(40)
    positions = [np.linspace(0.2, length - 1.3, length) for length in SHAPE]
    for title, ct in (("as it was scanned", normalised), ("resampled", resample(normalised, positions))):
        print(title)
        with tempfile.TemporaryDirectory(dir=root) as folder:
            compare(ct.astype(np.float32), Path(folder))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(tempfile.gettempdir()))
