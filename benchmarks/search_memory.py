"""The memory of a whole search on large volumes, and whether the work of an epoch grows with them.

    python benchmarks/search_memory.py search FOLDER [--hours 0.3] [--limit 1900] [--stages] [--run RUN]
    python benchmarks/search_memory.py epoch

`search` makes four CTs of 512 x 512 x 75 voxels in FOLDER (those of `large_volumes.py`), searches on them with `auto`
and two workers of one thread, and prints the peak of the memory of all processes of the search together: the sum of
their proportional set sizes (PSS), in which what several processes share counts once; and of what lies at that moment
in files that are mapped, which the system may drop. With `--stages` all networks have two stages; with `--run` the run
is kept in that folder.

`epoch` makes prepared volumes without contents, of 1, 4 and 16 times the voxels of the CTs, each with its copy at low
resolution, and prints for an epoch of `auto`'s starting network on two of them and a validation on one: the bytes of
the pages of the files that were mapped, and the processor time of batches, training steps and validation.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from large_volumes import MAIN, SHAPE, SPACING, write_dataset

SIZE, FACTORS = (240, 240, 36), (2, 2, 1)
"""The input that `auto` has for such CTs, and how many times as long voxels are at low resolution."""
CASES, LABELLED = 2, 1000


def rollup(process: int) -> tuple[int, int]:
    """The PSS of a process in bytes, and the part of it that is mapped from files."""
    values = {}
    for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()[1:]:
        name, size, *_ = line.split()
        values[name] = 1024 * int(size)
    return values["Pss:"], values["Pss_File:"]


class PeakOfAll:
    """The largest sum of the PSS of a process and all that it started."""

    def __init__(self, process: int) -> None:
        self.largest: tuple[int, int] = (0, 0)
        self.each: list[int] = []
        self._process = psutil.Process(process)
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._done.wait(0.3):
            sizes = []
            try:
                for process in (self._process, *self._process.children(recursive=True)):
                    sizes.append(rollup(process.pid))
            except (psutil.Error, OSError, KeyError):
                continue
            whole = sum(pss for pss, _ in sizes), sum(mapped for _, mapped in sizes)
            if whole > self.largest:
                self.largest, self.each = whole, sorted((pss for pss, _ in sizes), reverse=True)

    def stop(self) -> None:
        """Ends the watch."""
        self._done.set()
        self._thread.join()


def search(arguments: argparse.Namespace) -> None:
    """Searches, and prints the peak."""
    root = arguments.folder.resolve()
    if not (root / "dataset.json").exists():
        write_dataset(root, 4)
    with tempfile.TemporaryDirectory(dir=root) as folder:
        environment = {**os.environ, "NETWRIGHT_CACHE": f"{folder}/cache"}
        run = str(arguments.kept or f"{folder}/run")
        command = [sys.executable, "-c", MAIN, "search", str(root), "-o", run, "--recipe", "auto"]
        command += [
            "--hours",
            str(arguments.hours),
            "--set",
            "machine.workers=2",
            "--set",
            "machine.threads=1",
        ]
        command += ["--set", f"machine.memory_limit_mb={arguments.limit}"]
        if arguments.stages:
            command += ["--set", 'space.fixed={"low_resolution": true}']
        begun = time.perf_counter()
        process = subprocess.Popen(command, env=environment)
        peak = PeakOfAll(process.pid)
        code = process.wait()
        peak.stop()
        print(f"exit code {code} after {time.perf_counter() - begun:.0f} s")
        print(
            f"peak of all processes {peak.largest[0] / 1e6:,.0f} MB, {peak.largest[1] / 1e6:,.0f} of it mapped files"
        )
        print("each", ", ".join(f"{pss / 1e6:,.0f}" for pss in peak.each))
        subprocess.run([sys.executable, "-c", MAIN, "status", run], env=environment, check=False)


def made_up_prepared(folder: Path, shape: tuple[int, int, int]) -> Any:
    """Two prepared CTs whose files are holes, with a thousand voxels of one label."""
    from netwright.data import PreprocessingSettings
    from netwright.data.build_once import write_header
    from netwright.data.io.grid import Grid
    from netwright.data.volumes.prepared import Prepared, PreparedCase
    from netwright.data.volumes.preprocessing import coarse_shape

    affine = tuple(map(tuple, np.diag([*SPACING, 1.0]).tolist()))
    settings = PreprocessingSettings(spacing=SPACING, size=SIZE, low_resolution=FACTORS)
    geometry = settings.geometry(Grid(shape, affine))
    voxels, coarse = prod(shape), prod(coarse_shape(shape, FACTORS))
    for name, values, kind in (
        ("images", voxels, "<f4"),
        ("labels", voxels, "|u1"),
        ("low-resolution", coarse, "<f4"),
    ):
        with (folder / f"{name}.npy").open("wb") as file:
            write_header(file, (CASES * values,), kind)
            file.truncate(file.tell() + CASES * values * np.dtype(kind).itemsize)
    places = np.random.default_rng(0).integers(0, voxels, CASES * LABELLED)
    np.save(folder / "foreground.npy", places)
    cases = [
        PreparedCase(f"ct {n}", geometry, (voxels - LABELLED, LABELLED), f"{n}", (), None, (LABELLED,))
        for n in range(CASES)
    ]
    return Prepared(folder, "CTs", ("CT",), ("ball",), (0, 1), settings, tuple(cases))


def mapped_bytes(folder: Path) -> int:
    """How much of the files in a folder this process has mapped pages of."""
    lines, inside, kilobytes = Path("/proc/self/smaps").read_text().splitlines(), False, 0
    for line in lines:
        if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
            inside = str(folder) in line
        elif inside and line.startswith("Rss:"):
            kilobytes += int(line.split()[1])
    return 1024 * kilobytes


def an_epoch(times: int) -> None:
    """Prints one line for volumes so many times as large."""
    import torch

    from netwright.recipes import RECIPES
    from netwright.tasks.segmentation.problem import make_problem
    from netwright.training.config import TrainingProtocol
    from netwright.training.step import TrainingStep

    torch.set_num_threads(1)
    x, y, z = SHAPE
    shape = {1: SHAPE, 4: (2 * x, 2 * y, z), 16: (2 * x, 2 * y, 4 * z)}[times]
    values = RECIPES["auto"].values["training"]
    protocol = TrainingProtocol(**{**values, "batch_size": 2})
    device = torch.device("cpu")
    with tempfile.TemporaryDirectory() as folder:
        problem = make_problem(made_up_prepared(Path(folder), shape))
        network = start_network()
        step = TrainingStep(network, protocol, device, problem.loss(range(CASES), protocol, device), 4)
        step.train_mode()
        reading, training, patches, last = 0.0, 0.0, 0, time.process_time()
        for images, labels in problem.batches(range(CASES), protocol, device, seed=0):
            reading += time.process_time() - last
            patches, last = patches + len(images), time.process_time()
            step(images, labels, protocol.epochs)
            training, last = training + time.process_time() - last, time.process_time()
        mapped = mapped_bytes(Path(folder))
        begun = time.process_time()
        problem.scores(network, [0], protocol, device)
        validation = time.process_time() - begun
        size = sum(path.stat().st_size for path in Path(folder).iterdir())
    print(
        f"{times:2} times, files {size / 1e6:6,.0f} MB: {patches} patches, pages of {mapped / 1e6:5,.0f} MB; "
        f"processor: batches {reading:.1f} s, steps {training:.1f} s, validation {validation:.1f} s",
        flush=True,
    )


def start_network() -> Any:
    """That of `auto` for such CTs."""
    from netwright.spaces.auto import EncoderDecoderSpace
    from netwright.tasks.segmentation.network_task import SegmentationTask

    space = EncoderDecoderSpace(channels=2, classes=2, size=SIZE, spacing=SPACING, low_resolution=FACTORS)
    return space.build(space.starting_choice(), SegmentationTask(2, ("ball",), SIZE))


def epoch(_: argparse.Namespace) -> None:
    """Each size in a process of its own."""
    for times in (1, 4, 16):
        process = multiprocessing.get_context("spawn").Process(target=an_epoch, args=(times,))
        process.start()
        process.join()


def main() -> None:
    """Prints what the module's text says."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True)
    one = commands.add_parser("search")
    one.add_argument("folder", type=Path)
    one.add_argument("--hours", type=float, default=0.3)
    one.add_argument("--limit", type=float, default=1900.0)
    one.add_argument("--stages", action="store_true")
    one.add_argument("--run", type=Path, dest="kept")
    one.set_defaults(run=search)
    commands.add_parser("epoch").set_defaults(run=epoch)
    arguments = parser.parse_args()
    arguments.run(arguments)


if __name__ == "__main__":
    main()
