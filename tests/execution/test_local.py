"""Worker processes: real ones, really killed."""

from __future__ import annotations

import contextlib
import functools
import importlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import wait
from pathlib import Path

import psutil
import pytest

from netwright.execution.base import WorkerLost
from netwright.execution.local import LocalExecutor
from netwright.execution.memory import kills_for_memory
from netwright.execution.notes import LOGGER
from netwright.execution.worker import MARK, RaisedInWorker
from processes import finish, has_ended, run

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
jobs = importlib.import_module("jobs_for_workers")


@pytest.fixture
def executor() -> Iterator[LocalExecutor]:
    pool = LocalExecutor(2, threads=1)
    yield pool
    pool.shutdown()


@pytest.fixture
def alone() -> Iterator[LocalExecutor]:
    pool = LocalExecutor(1, threads=1)
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
    assert isinstance(error, WorkerLost)
    assert error.signal_number == signal.SIGKILL
    assert "SIGKILL" in str(error)
    assert other.result(30) == "slept"
    assert executor.submit(jobs.identify).result(30)


def test_an_ordinary_exception_is_not_a_lost_worker(executor: LocalExecutor) -> None:
    error = executor.submit(jobs.fail, "why").exception(30)
    assert isinstance(error, ValueError)
    assert not isinstance(error, WorkerLost)


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


def workers_of_this_process() -> list[psutil.Process]:
    """Its live workers, those that have only begun to start among them."""
    found = []
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.Error):
            if child.status() != psutil.STATUS_ZOMBIE and MARK in child.environ():
                found.append(child)
    return found


def test_a_worker_that_dies_idle_is_replaced(executor: LocalExecutor) -> None:
    first, _ = executor.submit(jobs.identify).result(30)
    for worker in workers_of_this_process():
        worker.kill()
    assert [executor.submit(jobs.identify).result(30)[0] != first for _ in range(3)] == [True] * 3


def test_a_worker_that_dies_while_it_starts_is_replaced() -> None:
    pool = LocalExecutor(1, threads=1)
    try:
        future = pool.submit(jobs.identify)
        killed = set()
        for _ in range(2):
            assert comes_true(lambda: bool({w.pid for w in workers_of_this_process()} - killed))
            for worker in workers_of_this_process():
                worker.kill()
                killed.add(worker.pid)
        assert future.result(30)[0] not in killed
    finally:
        pool.shutdown()


@pytest.mark.cluster
def test_workers_that_never_start_are_an_error_that_says_so(tmp_path: Path) -> None:
    code = (
        "import os\n"
        "if __name__ != '__main__':\n"
        "    os._exit(3)\n"
        "from netwright.execution.local import LocalExecutor\n"
        "print(repr(LocalExecutor(1, 1).submit(os.getpid).exception(60)))\n"
    )
    (tmp_path / "script.py").write_text(code)
    done = run([sys.executable, tmp_path / "script.py"], seconds=90)
    assert "ExecutionError" in done.stdout
    assert "exit code 3" in done.stdout


@pytest.mark.parametrize("code", [0, 7])
def test_a_task_that_ends_its_worker_is_lost_and_no_other(executor: LocalExecutor, code: int) -> None:
    error = executor.submit(jobs.leave, code).exception(30)
    assert isinstance(error, WorkerLost)
    assert f"exit code {code}" in str(error)
    assert not error.hanging
    assert executor.submit(jobs.identify).result(30)


@pytest.mark.parametrize(
    ("job", "words"),
    [
        ("raise_exit", "SystemExit: 0"),
        ("raise_interrupt", "KeyboardInterrupt"),
        ("raise_own", "OwnError: 7, own words"),
    ],
)
def test_whatever_a_task_raises_is_its_own(alone: LocalExecutor, job: str, words: str) -> None:
    arguments = (0,) if job == "raise_exit" else ()
    before, _ = alone.submit(jobs.identify).result(30)
    error = alone.submit(getattr(jobs, job), *arguments).exception(30)
    assert type(error) is RaisedInWorker, "this process need not know the user's classes, and is not ended"
    assert words in str(error)
    assert job in str(error.__cause__), "with the trace from the worker"
    assert alone.submit(jobs.identify).result(30)[0] == before, "the worker lives on"


def test_a_task_that_finishes_no_batch_any_more_is_ended_as_hanging(executor: LocalExecutor) -> None:
    begun = time.monotonic()
    error = executor.submit(jobs.batches, [0.0, 600.0], 0.5).exception(30)
    assert isinstance(error, WorkerLost)
    assert error.hanging
    assert "no batch" in str(error)
    assert time.monotonic() - begun < 25
    assert executor.submit(jobs.identify).result(30)


def test_a_task_that_cannot_be_read_is_lost_and_may_be_tried_again(
    alone: LocalExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = alone.submit(jobs.identify).result(60)
    monkeypatch.setattr("netwright.execution.slots.START_SECONDS", 1.0)
    error = alone.submit(jobs.identify, jobs.NeverRead()).exception(30)
    assert isinstance(error, WorkerLost)
    assert "could not be read for 1.0 s" in str(error)
    assert not error.hanging, "the job itself may be in order"
    assert has_ended(first)
    assert alone.submit(jobs.announce_and_sleep, os.devnull, 1.5).result(30) == "slept", "it was read in time"


@pytest.mark.cluster
def test_batches_may_take_long_where_they_always_do(executor: LocalExecutor) -> None:
    many = executor.submit(jobs.batches, [0.2] * 10, 1.0)  # twice the least time in all
    assert many.result(30) == "trained"
    slower = executor.submit(jobs.batches, [0.2, 2.5], 1.0)  # one that is ten times as long as the one before
    predicted = executor.submit(jobs.batches, [2.5], 1.0, 0.2)
    assert slower.result(30) == "trained"
    assert predicted.result(30) == "trained"


def test_what_comes_after_the_batches_is_not_watched(executor: LocalExecutor) -> None:
    assert executor.submit(jobs.rest_after_batches, 2.0).result(30) == "rested"


@pytest.mark.parametrize("leave_group", [False, True])
def test_processes_that_a_task_forked_end_with_it(
    executor: LocalExecutor, tmp_path: Path, leave_group: bool
) -> None:
    executor.submit(functools.partial(jobs.fork, leave_group=leave_group), str(tmp_path / "pid")).result(30)
    assert has_ended(process_in(tmp_path / "pid"))


@pytest.mark.parametrize("leave_group", [False, True])
def test_processes_that_a_task_forked_end_with_its_worker(
    executor: LocalExecutor, tmp_path: Path, leave_group: bool
) -> None:
    future = executor.submit(
        functools.partial(jobs.fork, leave_group=leave_group), str(tmp_path / "pid"), 600.0
    )
    forked = process_in(tmp_path / "pid")
    for worker in workers_of_this_process():
        worker.kill()
    assert isinstance(future.exception(30), WorkerLost)
    assert comes_true(lambda: has_ended(forked))


def test_a_forked_process_does_not_speak_for_the_worker(executor: LocalExecutor) -> None:
    for _ in range(3):
        found = executor.submit(jobs.fork_and_go_on).result(30)
        assert found in {worker.pid for worker in workers_of_this_process()}


def test_shutting_down_wakes_who_waits(tmp_path: Path) -> None:
    pool = LocalExecutor(1, threads=1)
    running = pool.submit(jobs.announce_and_sleep, str(tmp_path / "pid"), 600)
    waiting = pool.submit(jobs.identify)
    worker = process_in(tmp_path / "pid")
    pool.shutdown()
    assert not wait([running, waiting], 10).not_done
    assert running.cancelled()
    assert waiting.cancelled()
    assert has_ended(worker)


def test_a_note_is_said_once_however_many_workers_have_it(
    executor: LocalExecutor, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("WARNING", logger=LOGGER):
        for future in [executor.submit(jobs.say, "unheard of") for _ in range(6)]:
            future.result(30)
    assert caplog.messages.count("unheard of") == 1


def test_workers_end_with_a_search_that_was_killed(tmp_path: Path) -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(HERE)!r})\n"
        "import jobs_for_workers as jobs\n"
        "from netwright.execution.local import LocalExecutor\n"
        "if __name__ == '__main__':\n"
        f"    LocalExecutor(1, 1).submit(jobs.announce_and_sleep, {str(tmp_path / 'pid')!r}, 60).result()\n"
    )
    script = tmp_path / "search.py"
    script.write_text(code)
    search = subprocess.Popen([sys.executable, script])
    worker = process_in(tmp_path / "pid")
    search.kill()
    finish(search, 30)
    assert comes_true(lambda: has_ended(worker), 10)


SCRIPT = (
    f"import signal, sys, time; sys.path.insert(0, {str(HERE)!r})\n"
    "from pathlib import Path\n"
    "import jobs_for_workers as jobs\n"
    "from netwright.execution.local import LocalExecutor\n"
    "if __name__ == '__main__':\n"
)


def test_a_program_that_leaves_with_tasks_undone_starts_no_more_workers_and_ends(tmp_path: Path) -> None:
    """Python waits at its exit for every process that it has started."""
    (tmp_path / "script.py").write_text(
        f"{SCRIPT}    pool, folder = LocalExecutor(4, 1), Path({str(tmp_path)!r})\n"
        "    for number in range(12):\n"
        "        pool.submit(jobs.announce_and_sleep, str(folder / f'{number}.pid'), 600)\n"
        "    while len(list(folder.glob('*.pid'))) < 4:\n"
        "        time.sleep(0.05)\n"
    )
    assert run([sys.executable, tmp_path / "script.py"], seconds=60).returncode == 0
    assert len(list(tmp_path.glob("*.pid"))) == 4
    assert comes_true(lambda: all(has_ended(int(path.read_text())) for path in tmp_path.glob("*.pid")), 10)


def test_a_lost_worker_is_noticed_where_its_exit_code_is_not_kept(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(
        f"{SCRIPT}    signal.signal(signal.SIGCHLD, signal.SIG_IGN)\n"
        "    pool = LocalExecutor(1, 1)\n"
        "    print(repr(pool.submit(jobs.leave, 7).exception(30)))\n"
        "    print(pool.submit(jobs.fork_and_go_on).result(30) > 0)\n"
        "    pool.shutdown()\n"
    )
    done = run([sys.executable, tmp_path / "script.py"], seconds=90)
    assert "WorkerLost" in done.stdout, done.stderr
    assert "took its exit code" in done.stdout
    assert done.stdout.endswith("True\n"), "another worker has taken its place"
    assert done.returncode == 0


def test_the_count_of_kills_is_the_systems_own() -> None:
    path = Path("/proc/vmstat")
    if not path.exists() or "oom_kill " not in path.read_text():
        assert kills_for_memory() is None
    else:
        assert kills_for_memory() == int(path.read_text().split("oom_kill ")[1].split()[0])


@pytest.mark.cluster
def test_a_worker_that_takes_no_task_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    with contextlib.ExitStack() as stack:
        executor = LocalExecutor(1, 1)
        stack.callback(executor.shutdown)
        stuck = executor.submit(os.getpid).result(60)
        os.kill(stuck, signal.SIGSTOP)
        monkeypatch.setattr("netwright.execution.process.START_SECONDS", 10.0)
        assert executor.submit(os.getpid).result(120) != stuck
        assert not Path(f"/proc/{stuck}").exists()
