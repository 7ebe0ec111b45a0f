"""Time, memory and disk that CTs of 512 x 512 x 75 voxels cost, from files to trainings with `auto`.

python benchmarks/large_volumes.py FOLDER [CASES]

It writes made-up CTs to FOLDER (0.8 x 0.8 x 5 mm; the label is a bright ball of 0.07 % of the voxels) and prints what
inspection, preprocessing and `netwright plan` take. To compare versions, run it with each of them on the same machine.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import psutil

SHAPE, SPACING = (512, 512, 75), (0.8, 0.8, 5.0)
RADIUS = 21.9
"""Of the ball, in mm."""
PLAN_SECONDS = 120
MAIN = "from netwright.cli import main; main()"


def made_up_ct(number: int) -> tuple[np.ndarray, np.ndarray]:
    """A body of soft tissue with a spine, noise of 20 HU, and a ball that is 80 HU brighter; and where the ball is."""
    rng = np.random.default_rng(number)
    x, y, z = np.ogrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
    millimetres = [
        (axis - length / 2) * edge for axis, length, edge in zip((x, y, z), SHAPE, SPACING, strict=True)
    ]
    ct = np.full(SHAPE, -1000, np.float32)
    ct[np.broadcast_to((millimetres[0] / 170) ** 2 + (millimetres[1] / 120) ** 2 < 1, SHAPE)] = 40
    ct[np.broadcast_to((millimetres[0]) ** 2 + (millimetres[1] + 70) ** 2 < 20**2, SHAPE)] = 400
    centre = rng.uniform((-80, -20, -120), (80, 60, 120))
    ball = sum((a - c) ** 2 for a, c in zip(millimetres, centre, strict=True)) < RADIUS**2
    ct[ball] += 80
    ct += rng.normal(0, 20, SHAPE).astype(np.float32)
    return ct.round().astype(np.int16), ball.astype(np.uint8)


def write_ct(root: Path, number: int) -> None:
    """A made-up CT and its label map as files."""
    affine = np.diag([*SPACING, 1.0])
    for folder, values in zip(("imagesTr", "labelsTr"), made_up_ct(number), strict=True):
        (root / folder).mkdir(parents=True, exist_ok=True)
        nibabel.save(nibabel.Nifti1Image(values, affine), root / folder / f"ct_{number}.nii.gz")


def write_dataset(root: Path, cases: int) -> None:
    """A folder in the layout of the Medical Segmentation Decathlon."""
    for number in range(cases):
        write_ct(root, number)
    training = [
        {"image": f"imagesTr/ct_{n}.nii.gz", "label": f"labelsTr/ct_{n}.nii.gz"} for n in range(cases)
    ]
    description = {
        "name": "MadeUpCT",
        "modality": {"0": "CT"},
        "labels": {"0": "background", "1": "ball"},
        "training": training,
    }
    (root / "dataset.json").write_text(json.dumps(description))


class Peak:
    """The most memory of a process and its children that is not shared with files, in MB."""

    def __init__(self, process: int) -> None:
        self.mb = 0.0
        self._process = psutil.Process(process)
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._done.wait(0.05):
            used = 0
            try:
                for process in (self._process, *self._process.children(recursive=True)):
                    memory = process.memory_info()
                    used += memory.rss - memory.shared
            except psutil.Error:
                continue
            self.mb = max(self.mb, used / 1e6)

    def stop(self) -> float:
        """The peak so far."""
        self._done.set()
        self._thread.join()
        return self.mb


def measured(what: str, run: Callable[[], None]) -> None:
    """Runs it in a process of its own, and prints its time and peak memory."""
    process = multiprocessing.get_context("spawn").Process(target=run)
    begun = time.perf_counter()
    process.start()
    peak = Peak(process.pid or 0)
    process.join()
    print(f"{what:<14} {time.perf_counter() - begun:7.1f} s   {peak.stop():6.0f} MB", flush=True)


def inspect() -> None:
    """Reads every file."""
    from netwright.data import inspect_any, open_any

    inspect_any(open_any(Path(sys.argv[1])), workers=2)


def prepare() -> None:
    """Prepares the cases as `auto` does."""
    from netwright.data import PreprocessingSettings, open_any, prepare_any
    from netwright.recipes import RECIPES

    auto = RECIPES["auto"].values
    settings = PreprocessingSettings(**auto.get("preprocessing", {}))
    cache = Path(os.environ["NETWRIGHT_CACHE"])
    prepare_any(open_any(Path(sys.argv[1])), settings, cache, fractions=auto["split"], workers=2)


def plan(root: Path) -> None:
    """Measures what trainings cost; the data is in the cache already."""
    command = [sys.executable, "-c", MAIN, "plan", str(root), "--json", "--hours", "1"]
    begun = time.perf_counter()
    process = subprocess.Popen(
        [*command, "--seconds", str(PLAN_SECONDS), "--set", "machine.workers=1"],
        stdout=subprocess.PIPE,
        text=True,
    )
    peak = Peak(process.pid)
    values = json.loads(process.communicate()[0])
    print(f"{'plan':<14} {time.perf_counter() - begun:7.1f} s   {peak.stop():6.0f} MB")
    start = values["measurements"][0]
    print(f"input          {values['size']}")
    for name in ("seconds_an_epoch", "seconds_a_batch", "seconds_a_validation", "peak_memory_mb", "status"):
        print(f"{name:<21} {start[name]}")


def main(root: Path, cases: int) -> None:
    """Prints one line for each step, with a cache that is thrown away."""
    if not (root / "dataset.json").exists():
        write_dataset(root, cases)
    with tempfile.TemporaryDirectory(dir=root) as cache:
        os.environ["NETWRIGHT_CACHE"] = cache
        measured("inspection", inspect)
        measured("preprocessing", prepare)
        stored = sum(path.stat().st_size for path in Path(cache).rglob("*") if path.is_file())
        print(f"cache          {stored / 1e6:7.0f} MB")
        plan(root)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), int(sys.argv[2]) if len(sys.argv) > 2 else 4)
