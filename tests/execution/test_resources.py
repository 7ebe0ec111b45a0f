"""What a run takes of the machine, on this one and on one with GPUs (whose answers are given)."""

from __future__ import annotations

import os

import psutil
import pytest
import torch

from netwright.errors import SettingsError
from netwright.execution import resources as machine


def test_without_a_gpu_the_cores_decide() -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    assert machine.devices("auto") == ("cpu",)
    assert machine.default_workers("auto", 1) == len(os.sched_getaffinity(0))
    assert machine.default_workers("auto", 1000) == 1
    total = psutil.virtual_memory().total / 1e6
    assert 0 < machine.memory_share_mb("cpu", 4) <= 0.9 * total / 4
    assert machine.process_limit_mb("auto", 100.0) == 100.0


def test_with_gpus_each_worker_has_one(monkeypatch: pytest.MonkeyPatch) -> None:
    free = {"cuda:0": 16e9, "cuda:1": 10e9}
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free[str(device)], 24e9))
    assert machine.devices("auto") == ("cuda:0", "cuda:1")
    assert machine.devices("cuda:1") == ("cuda:1",)
    assert machine.devices("cpu") == ("cpu",)
    assert machine.default_workers("auto", 1) == 2
    assert machine.memory_share_mb("auto", 2) == 9000
    assert machine.memory_share_mb("auto", 3) == 4500
    assert machine.process_limit_mb("auto", 100.0) is None


def test_candidates_on_several_gpus_have_groups_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 7)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (10e9, 24e9))
    assert machine.devices("auto", 3) == ("cuda:0", "cuda:3")
    with pytest.raises(SettingsError, match=r"training\.devices is 8, but there are 7 GPUs here.*resume"):
        machine.devices("cuda", 8)
    with pytest.raises(SettingsError, match="on a machine with 8 GPUs"):
        machine.default_workers("auto", 1, 8)
    assert machine.default_workers("auto", 4, 3) == 2
    assert machine.memory_share_mb("auto", 2, 3) == 9000
    assert machine.default_workers("cpu", 1, 1000) == 1


def test_workers_share_what_the_control_group_has_left_and_its_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """As for a job with 1 GB and the time of one and a half cores on a node that has more of both."""
    monkeypatch.setattr(machine, "memory_left_mb", lambda: 1000.0)
    monkeypatch.setattr(machine, "core_limit", lambda: 1.5)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(64)))
    assert machine.default_workers("cpu", 1) == 2
    assert machine.memory_share_mb("cpu", 2) == 450
    monkeypatch.setattr(machine, "core_limit", lambda: 0.5)
    assert machine.default_workers("cpu", 1) == 1
    monkeypatch.setattr(machine, "memory_left_mb", lambda: 1e12)
    monkeypatch.setattr(machine, "core_limit", lambda: 1000.0)
    assert machine.available_cores() == 64
    assert machine.free_memory_mb() <= psutil.virtual_memory().total / 1e6
