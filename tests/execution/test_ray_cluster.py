"""What is refused before a Ray cluster is used."""

from __future__ import annotations

import os
import re
import signal
import socket
import sys
from pathlib import Path

import pytest

from conftest import Command
from netwright.errors import ExecutionError
from netwright.execution import ray_head
from netwright.execution.interrupts import Stopped
from netwright.execution.ray_cluster import USAGE, _require_answer, connect


def refusal(netwright: Command, dataset: Path, output: Path, *options: object) -> str:
    """What a search says that is refused before it has written anything."""
    done = netwright("search", dataset, "--recipe", "segnas4", "--trials", 1, *options, "-o", output)
    assert done.returncode == 2
    assert not output.exists()
    return done.stderr


def test_without_the_package_it_is_said_how_to_install_it(
    netwright: Command, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    assert "pip install 'netwright[ray]'" in refusal(
        netwright, dataset, tmp_path / "run", "--executor", "ray"
    )


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("127.0.0.1:9", "There is no Ray cluster to use at '127.0.0.1:9': "),
        ("ray://127.0.0.1:10001", "expected 'auto' or HOST:PORT"),
        ("somewhere", "expected 'auto' or HOST:PORT"),
        ("[::1]:9", "There is no Ray cluster to use at '[::1]:9': "),
        ("fd00::1:6379", "expected 'auto' or HOST:PORT"),
        ("127.0.0.1:99999", "There is no Ray cluster to use at '127.0.0.1:99999': "),
    ],
)
def test_an_address_without_a_cluster_is_refused(
    netwright: Command,
    dataset: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    address: str,
    words: str,
) -> None:
    pytest.importorskip("ray")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    there = ("--executor", "ray", "--ray-address", address)
    assert words in refusal(netwright, dataset, tmp_path / "run", *there)


def test_the_environment_variable_comes_before_the_setting(
    netwright: Command, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray")
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:9")
    assert "'127.0.0.1:9'" in refusal(netwright, dataset, tmp_path / "run", "--executor", "ray")


def test_the_cluster_of_this_machine_is_refused_at_once_where_its_head_was_killed(
    netwright: Command, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ray itself waits for minutes at the address that a killed head leaves in a file."""
    pytest.importorskip("ray")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    (tmp_path / "ray").mkdir()
    (tmp_path / "ray" / "ray_current_cluster").write_text("127.0.0.1:9")
    there = ("--executor", "ray", "--ray-address", "auto")
    words = refusal(netwright, dataset, tmp_path / "run", *there)
    assert "at 'auto': 127.0.0.1:9, where it was last: " in words


def test_sigterm_while_ray_starts_stops_the_search_and_ray_is_told_to_report_no_usage(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ray = pytest.importorskip("ray")
    for name in ("RAY_ADDRESS", USAGE):
        monkeypatch.setenv(name, "")  # so that it is restored
        monkeypatch.delenv(name)
    before = signal.getsignal(signal.SIGTERM)
    usage = []

    def start(**_: object) -> None:
        usage.append(os.environ[USAGE])
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(number))  # as Ray does
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(ray, "init", start)
    with pytest.raises(Stopped):
        connect(None)
    assert usage == ["0"]
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_a_head_that_takes_no_connection_for_a_while_is_lost_and_it_is_said_what_to_do(
    family: socket.AddressFamily, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_head, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(ray_head, "SILENT_SECONDS", 0.5)
    try:
        server = socket.create_server((host, 0), family=family)
    except OSError as error:
        pytest.skip(f"this machine has no {host}: {error}")
    with server:
        address = f"{f'[{host}]' if ':' in host else host}:{server.getsockname()[1]}"
        _require_answer(address, address)
        head = ray_head.RayHead(address)
        head.await_answer()
    assert not head.answers()
    with pytest.raises(ExecutionError, match=rf"{re.escape(address)} was lost.*netwright resume"):
        head.await_answer()


def test_what_is_for_clusters_is_refused_on_one_machine(
    netwright: Command, dataset: Path, tmp_path: Path
) -> None:
    words = refusal(netwright, dataset, tmp_path / "run", "--gpus-per-trial", 0.5)
    assert "machine.gpus_per_trial is 0.5" in words
    assert "--executor ray" in words


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--set", "training.batch_size=2"], "a batch has 2 images"),
        (["--recipe", "pdas-segnas7", "--set", "training.batch_size=4"], "has one device: expected 1"),
    ],
)
def test_devices_that_a_training_cannot_use_are_refused(
    netwright: Command, dataset: Path, tmp_path: Path, options: list[str], words: str
) -> None:
    devices = ("--set", "training.devices=3", "--set", "training.device=cpu")
    assert words in refusal(netwright, dataset, tmp_path / "run", *devices, *options)
