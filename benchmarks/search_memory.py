"""The memory of a whole search on large volumes, and whether the work of an epoch grows with them.

    python benchmarks/search_memory.py search FOLDER [--hours 0.3] [--limit 1900]
    python benchmarks/search_memory.py epoch

`search` makes four CTs of 512 x 512 x 75 voxels in FOLDER (those of `large_volumes.py`), searches on them with `auto`
and two workers of one thread, and prints the peak of the memory of all processes of the search together: the sum of
their proportional set sizes (PSS), in which what several processes share counts once; and of what lies at that moment
in files that are mapped, which the system may drop.

`epoch` makes prepared volumes of noise in memory-mapped files, of 1, 4 and 16 times the voxels of the CTs, and prints
for one epoch of each: the pages that were read from files, the processor time of reading and augmenting its batches,
and that of one validation by patches, both without the network.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil

from large_volumes import MAIN, write_dataset


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
        command = [sys.executable, "-c", MAIN, "search", str(root), "-o", f"{folder}/run", "--recipe", "auto"]
        command += [
            "--hours",
            str(arguments.hours),
            "--set",
            "machine.workers=2",
            "--set",
            "machine.threads=1",
        ]
        command += ["--set", f"machine.memory_limit_mb={arguments.limit}"]
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
        subprocess.run([sys.executable, "-c", MAIN, "status", f"{folder}/run"], env=environment, check=False)


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
    one.set_defaults(run=search)
    arguments = parser.parse_args()
    arguments.run(arguments)


if __name__ == "__main__":
    main()
