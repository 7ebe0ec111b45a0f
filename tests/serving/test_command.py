"""The verb as a user runs it: what it refuses at once, and a process that is asked, abandoned, hurt and ended."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

import netwright as package
from netwright.serving.guard import is_loopback
from netwright_tests import EXECUTABLE
from processes import KILLED_SECONDS, finish, line_of, wait_until

Command = Callable[..., subprocess.CompletedProcess[str]]


def test_what_cannot_be_served_is_refused_at_once(
    netwright: Command, old_runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    untrained = netwright("serve", old_runs / "segnas7", "--trial", 99)
    assert untrained.returncode == 1
    assert "has no trained network of trial 99 yet" in untrained.stderr
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        busy = netwright("serve", old_runs / "segnas7", "--port", port)
    assert busy.returncode == 1
    assert f"127.0.0.1 port {port} cannot be used" in busy.stderr
    assert "warning" not in busy.stderr
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    missing = netwright("serve", old_runs / "segnas7")
    assert missing.returncode == 2
    assert "pip install 'netwright[serve]'" in missing.stderr


def test_other_machines_are_warned_of(netwright: Command, old_runs: Path) -> None:
    with socket.create_server(("0.0.0.0", 0)) as taken:
        told = netwright("serve", old_runs / "segnas7", "--host", "0.0.0.0", "--port", taken.getsockname()[1])
    assert told.stderr.startswith("warning    other machines may reach 0.0.0.0")
    assert not any(map(is_loopback, ("0.0.0.0", "::", "192.168.0.2", "example.org")))
    assert all(map(is_loopback, ("127.0.0.1", "127.1.2.3", "::1", "localhost")))


@pytest.fixture
def process(old_runs: Path, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    words = [str(EXECUTABLE), "serve", str(old_runs / "segnas7"), "--port", "0"]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    started = subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )
    # On one core its worker computes with one thread, which waits for no other one on a busy machine.
    os.sched_setaffinity(started.pid, {min(os.sched_getaffinity(0))})
    try:
        yield started
    finally:
        started.kill()
        finish(started, KILLED_SECONDS)


def ask(port: int, body: bytes) -> http.client.HTTPConnection:
    """A connection on which a file was sent."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    connection.request("POST", "/predict", body)
    return connection


def answer_of(connection: http.client.HTTPConnection) -> tuple[int, bytes]:
    """Status and body of the answer."""
    answer = connection.getresponse()
    found = answer.status, answer.read()
    connection.close()
    return found


@pytest.mark.cluster
def test_a_process_survives_clients_and_workers_and_ends_with_nothing_left(
    process: subprocess.Popen[str], old_runs: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = old_runs / "datasets/volumes/imagesTr/ball_0.nii.gz"
    folder = tmp_path_factory.mktemp("predicted")
    expected = package.open_run(old_runs / "segnas7").predict(file, folder)[0].read_bytes()
    found = re.search(r"http://127\.0\.0\.1:(\d+)/ \(a volume in, a label map out", line_of(process, 240))
    assert found is not None
    port = int(found[1])

    def uploads() -> list[Path]:
        return [path for folder in tmp_path.glob("netwright-serve-*") for path in folder.iterdir()]

    def worker() -> psutil.Process:
        children = psutil.Process(process.pid).children()
        (one,) = [child for child in children if "spawn_main" in " ".join(child.cmdline())]
        return one

    assert answer_of(ask(port, file.read_bytes())) == (200, expected)
    first = worker()

    # A client that goes away is let go, with the worker that computes for it.
    first.suspend()
    leaving = ask(port, file.read_bytes())
    wait_until(lambda: bool(uploads()), process)
    leaving.close()
    wait_until(lambda: not uploads(), process)
    assert answer_of(ask(port, file.read_bytes())) == (200, expected)
    second = worker()
    assert second.pid != first.pid

    # A worker that is killed costs one prediction, and those who wait get theirs.
    second.suspend()
    hurt, waiting = ask(port, file.read_bytes()), ask(port, file.read_bytes())
    wait_until(lambda: len(uploads()) == 2, process)
    second.kill()
    contents = sorted(map(answer_of, (hurt, waiting)))
    assert [status for status, _ in contents] in ([200, 500], [200, 200])
    assert contents[0][1] == expected
    if contents[1][0] == 500:
        assert "signal 9" in json.loads(contents[1][1])["error"]["found"]

    # It ends at once, whoever waits is told, and nothing is left.
    third = worker()
    third.suspend()
    last = ask(port, file.read_bytes())
    wait_until(lambda: bool(uploads()), process)
    process.send_signal(signal.SIGTERM)
    status, content = answer_of(last)
    assert status == 503
    assert "ended" in json.loads(content)["error"]["found"]
    _, err = finish(process, 60)
    assert (process.returncode, err) == (0, "")
    assert not list(tmp_path.iterdir())
    assert not third.is_running()
