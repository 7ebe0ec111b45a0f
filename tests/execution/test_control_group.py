"""Limits of control groups, from files as the system has them."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from netwright.execution.control_group import OWN, ROOT, core_limit, memory_left_mb, memory_limit_mb
from processes import run

UNLIMITED = 9223372036854771712
"""So version 1 of control groups writes that there is no limit."""


def group(root: Path, **files: object) -> None:
    """Writes the files of a control group; the first _ of a name stands for the dot."""
    root.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (root / name.replace("_", ".", 1)).write_text(f"{text}\n")


@pytest.fixture
def own(tmp_path: Path) -> Path:
    return tmp_path / "own"


def test_without_control_groups_nothing_is_known(tmp_path: Path) -> None:
    for own in (tmp_path / "no such file", OWN):
        assert memory_limit_mb(tmp_path, own) is None
        assert memory_left_mb(tmp_path, own) is None
        assert core_limit(tmp_path, own) is None


def test_of_version_2_the_closest_limit_of_the_groups_above_holds(tmp_path: Path, own: Path) -> None:
    """As in a step of a job of Slurm, whose limit is the job's."""
    own.write_text("0::/slurm/job_7/step_0/user\n")
    root = tmp_path / "groups"
    stat = "anon 300000000\ninactive_file 60000000\nactive_file 40000000\nfile 150000000"
    group(root / "slurm" / "job_7" / "step_0" / "user", memory_max="max", cpu_max="max 100000")
    group(root / "slurm" / "job_7", memory_max=900000000, memory_current=500000000, memory_stat=stat)
    group(root / "slurm", memory_max=1200000000, memory_current=900000000, cpu_max="150000 100000")
    assert memory_limit_mb(root, own) == 900
    assert memory_left_mb(root, own) == 300, "1200 - 900; the job alone would have 900 - 500 + 100"
    group(root / "slurm", memory_current=500000000)
    assert memory_left_mb(root, own) == 500
    assert core_limit(root, own) == 1.5


def test_of_version_1_too_and_where_a_container_does_not_see_its_path(tmp_path: Path, own: Path) -> None:
    own.write_text("5:cpu,cpuacct:/docker/abc\n4:memory:/docker/abc\n1:name=systemd:/docker/abc\n0::/\n")
    group(
        tmp_path / "memory",
        memory_limit_in_bytes=800000000,
        memory_usage_in_bytes=700000000,
        memory_stat="inactive_file 1\ntotal_inactive_file 200000000\ntotal_active_file 0",
    )
    group(tmp_path / "cpu", cpu_cfs_quota_us=200000, cpu_cfs_period_us=100000)
    assert memory_limit_mb(tmp_path, own) == 800
    assert memory_left_mb(tmp_path, own) == 300
    assert core_limit(tmp_path, own) == 2
    group(tmp_path / "memory", memory_limit_in_bytes=UNLIMITED)
    group(tmp_path / "cpu", cpu_cfs_quota_us=-1)
    assert memory_limit_mb(tmp_path, own) is None
    assert memory_left_mb(tmp_path, own) is None
    assert core_limit(tmp_path, own) is None


@pytest.fixture
def limited() -> Iterator[Path]:
    """A control group of this system with 1 GB, without a process."""
    version_1 = next((line for line in OWN.read_text().splitlines() if ":memory:" in line), None)
    inside = (version_1 or OWN.read_text().splitlines()[-1]).split(":", 2)[2].lstrip("/")
    made = ROOT / ("memory" if version_1 else "") / inside / f"netwright-{os.getpid()}"
    limit = made / ("memory.limit_in_bytes" if version_1 else "memory.max")
    try:
        made.mkdir()
    except OSError as error:
        pytest.skip(f"no control group can be made here: {error}")
    try:
        limit.write_text("1000000000")
        yield made
    except OSError as error:
        pytest.skip(f"control groups cannot limit memory here: {error}")
    finally:
        made.rmdir()


def test_a_process_knows_the_limit_that_the_system_holds_it_to(limited: Path) -> None:
    code = """
import os, sys
from netwright.execution.control_group import memory_left_mb, memory_limit_mb
open(sys.argv[1], "w").write(str(os.getpid()))
print(memory_limit_mb(), memory_left_mb())
filled = bytearray(os.urandom(1)) * 200_000_000
print(memory_left_mb())
"""
    words = [sys.executable, "-c", code, str(limited / "cgroup.procs")]
    done = run(words)
    if "cgroup.procs" in done.stderr:
        pytest.skip("no process may be moved into a control group here")
    assert done.returncode == 0, done.stderr
    limit, before, after = map(float, done.stdout.split())
    assert limit == pytest.approx(1000, abs=1)
    assert 900 < before <= limit
    assert 190 < before - after < 300
