"""Worker processes: real ones, really killed."""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from netwright.study.executor import LocalExecutor, kills_for_memory, lost_worker

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
jobs = importlib.import_module("jobs_for_workers")


@pytest.fixture
def executor() -> Iterator[LocalExecutor]:
    pool = LocalExecutor(2, threads=1)
    yield pool
    pool.shutdown()


def comes_true(condition: Callable[[], bool], seconds: float = 30.0) -> bool:
    """Whether a condition is met before so many seconds are over."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def process_in(path: Path) -> int:
    """The process that announces itself in a file."""
    assert comes_true(lambda: path.exists() and bool(path.read_text())), "waited too long"
    return int(path.read_text())


def has_ended(process: int) -> bool:
    return not psutil.pid_exists(process) or psutil.Process(process).status() == psutil.STATUS_ZOMBIE


def test_workers_outlive_their_tasks_and_have_their_own_threads(executor: LocalExecutor) -> None:
    found = [executor.submit(jobs.identify, i).result(30) for i in range(6)]
    assert len({pid for pid, _ in found}) <= 2
    assert {threads for _, threads in found} == {"1"}
    assert os.getpid() not in {pid for pid, _ in found}
    assert os.environ.get("MALLOC_TRIM_THRESHOLD_") is None, "this process's own environment is left alone"


def test_a_killed_worker_fails_its_own_task_only(executor: LocalExecutor, tmp_path: Path) -> None:
    doomed = executor.submit(jobs.announce_and_sleep, str(tmp_path / "doomed"), 60)
    other = executor.submit(jobs.announce_and_sleep, str(tmp_path / "other"), 1)
    os.kill(process_in(tmp_path / "doomed"), signal.SIGKILL)
    error = doomed.exception(30)
    assert error is not None
    lost = lost_worker(error)
    assert lost is not None
    assert lost.signal_number == signal.SIGKILL
    assert "SIGKILL" in str(lost)
    assert other.result(30) == "slept"
    assert executor.submit(jobs.identify).result(30)


def test_an_ordinary_exception_is_not_a_lost_worker(executor: LocalExecutor) -> None:
    error = executor.submit(jobs.fail, "why").exception(30)
    assert isinstance(error, ValueError)
    assert lost_worker(error) is None


def test_an_allocation_past_the_limit_fails_in_the_worker() -> None:
    pool = LocalExecutor(1, threads=1, memory_limit_mb=500)
    try:
        assert pool.submit(jobs.allocate, 100).result(60) == 12_500_000
        assert isinstance(pool.submit(jobs.allocate, 4000).exception(60), MemoryError)
    finally:
        pool.shutdown()


def test_cancelling_ends_the_worker(executor: LocalExecutor, tmp_path: Path) -> None:
    future = executor.submit(jobs.announce_and_sleep, str(tmp_path / "pid"), 60)
    worker = process_in(tmp_path / "pid")
    future.cancel()
    assert comes_true(lambda: has_ended(worker))


def test_workers_end_with_a_search_that_was_killed(tmp_path: Path) -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(HERE)!r})\n"
        "import jobs_for_workers as jobs\n"
        "from netwright.study.executor import LocalExecutor\n"
        "if __name__ == '__main__':\n"
        f"    LocalExecutor(1, 1).submit(jobs.announce_and_sleep, {str(tmp_path / 'pid')!r}, 60).result()\n"
    )
    script = tmp_path / "search.py"
    script.write_text(code)
    search = subprocess.Popen([sys.executable, script])
    worker = process_in(tmp_path / "pid")
    search.kill()
    search.wait()
    assert comes_true(lambda: not psutil.pid_exists(worker), 10)


def test_the_count_of_kills_is_the_systems_own() -> None:
    path = Path("/proc/vmstat")
    if not path.exists() or "oom_kill " not in path.read_text():
        assert kills_for_memory() is None
    else:
        assert kills_for_memory() == int(path.read_text().split("oom_kill ")[1].split()[0])
