"""Candidates that hang or take all memory, and a disk that is full: what they cost is said, and the rest goes on."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from fault_rounds import Rounds
from processes import run
from tabulated import REFUSED, TRIALS, Conditions, Drivers
from whole_runs import Machine, require_nothing_left, require_whole

pytestmark = pytest.mark.cluster
NewRun = Callable[..., Path]


def test_a_candidate_that_hangs_or_takes_all_memory_costs_only_itself(
    new_run: NewRun, fleet: Drivers, machine: Machine
) -> None:
    folder = new_run("run", **{"machine.workers": 2, "machine.hang_minutes": 0.1})
    fleet.conduct(folder, Conditions(hanging=(2,), greedy=(4,), memory_mb=100.0))
    records = require_whole(folder, TRIALS)
    statuses = {record.number: record.status for record in records if record.status != "complete"}
    assert statuses == {2: "crashed", 4: "out_of_memory"}
    assert "hanging: no batch was finished" in records[2].reason
    assert "Unable to allocate" in records[4].reason
    require_nothing_left([folder], fleet.sessions, machine)


@pytest.mark.skipif(os.geteuid() != 0, reason="a small disk is mounted by root alone")
def test_a_full_disk_costs_nothing(
    rounds: Rounds, chance: random.Random, new_run: NewRun, fleet: Drivers, machine: Machine, tmp_path: Path
) -> None:
    """It is full before the database is made (the first round), while it grows, or when the report is written, which
    takes 5 MB.
    """
    disk = tmp_path / "disk"
    disk.mkdir()
    for number in rounds:
        size = chance.choice([chance.randint(16, 250), chance.randint(250, 4800)]) if number else 64
        if run(["mount", "-t", "tmpfs", "-o", f"size={size}k", "none", disk]).returncode:
            pytest.skip("mounting a small disk is not allowed here")
        try:
            folder = Path(shutil.copytree(new_run(f"run-{number}"), disk / "run"))
            first = fleet.begin(folder)
            code = fleet.finish(first, REFUSED)
            assert number or code == REFUSED
            said = fleet.said(first)
            assert "Traceback" not in said
            assert code == 0 or "full" in said or "Make room" in said, said
            assert run(["mount", "-o", "remount,size=200m", disk]).returncode == 0
            fleet.conduct(folder)
            require_whole(folder, TRIALS)
            require_nothing_left([folder], fleet.sessions, machine)
        finally:
            run(["umount", "-l", disk])
