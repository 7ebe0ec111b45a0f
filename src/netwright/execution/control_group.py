"""What the control group (version 2 or 1) of a container, or of a job of a cluster, allows.

A group may use no more than each of those above it. Slurm, for example, limits the group of a job, and a search runs in
one of its steps.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path("/sys/fs/cgroup")
OWN = Path("/proc/self/cgroup")
"""The group of this process, a line for each hierarchy of groups: its number, what it limits, and the path."""
_NO_LIMIT = 2**60
"""Version 1 has a number above this, in bytes, where there is no limit."""


class _MemoryFiles(NamedTuple):
    """The names of the files with a limit and with what is used, and of the parts that the system can take back."""

    limit: str
    used: str
    cache: tuple[str, str]


_MEMORY = (
    _MemoryFiles("memory.max", "memory.current", ("inactive_file", "active_file")),
    _MemoryFiles(
        "memory.limit_in_bytes", "memory.usage_in_bytes", ("total_inactive_file", "total_active_file")
    ),
)


def memory_limit_mb(root: Path = ROOT, own: Path = OWN) -> float | None:
    """The memory that the control group allows, in MB of 1e6 bytes; None: no limit is known."""
    limits = [limit for _, _, limit in _memory_limits(root, own)]
    return round(min(limits) / 1e6) if limits else None


def memory_left_mb(root: Path = ROOT, own: Path = OWN) -> float | None:
    """The memory that the control group has left, in MB of 1e6 bytes; None: no limit is known.

    What it keeps of files counts as left: the system takes that back where memory is needed.
    """
    left = []
    for group, files, limit in _memory_limits(root, own):
        used = _number(group / files.used)
        if used is not None:
            left.append(max(0, limit - max(0, used - _cached(group, files))))
    return round(min(left) / 1e6) if left else None


def core_limit(root: Path = ROOT, own: Path = OWN) -> float | None:
    """The cores' worth of time that the control group allows; None: no limit is known."""
    limits = []
    for group in _groups("cpu", root, own):
        quota, period = _number(group / "cpu.cfs_quota_us"), _number(group / "cpu.cfs_period_us")
        with contextlib.suppress(OSError, ValueError):  # not there, or "max 100000"
            quota, period = map(int, (group / "cpu.max").read_text().split())
        if quota is not None and quota > 0 and period:
            limits.append(quota / period)
    return min(limits, default=None)


def _groups(controller: str, root: Path, own: Path) -> Iterator[Path]:
    """The folders of this process's group and of those above it, also where a container does not see all of them."""
    try:
        lines = own.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:  # version 2
            top = root
        elif controller in controllers.split(","):
            top = root / controller
        else:
            continue
        inside = Path(path.lstrip("/"))
        yield from (top / group for group in (inside, *inside.parents))


def _memory_limits(root: Path, own: Path) -> Iterator[tuple[Path, _MemoryFiles, int]]:
    """Each group with a limit, the names of its files, and the limit in bytes."""
    for group in _groups("memory", root, own):
        for files in _MEMORY:
            limit = _number(group / files.limit)
            if limit is not None and limit < _NO_LIMIT:
                yield group, files, limit


def _cached(group: Path, files: _MemoryFiles) -> int:
    """What a group keeps of files in memory, in bytes."""
    try:
        lines = (line.split() for line in (group / "memory.stat").read_text().splitlines())
        return sum(int(value) for name, value in lines if name in files.cache)
    except (OSError, ValueError):
        return 0


def _number(file: Path) -> int | None:
    """The number in a file; None: there is no such file, or it holds a word, such as "max"."""
    try:
        return int(file.read_text())
    except (OSError, ValueError):
        return None
