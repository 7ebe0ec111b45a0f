"""The loop that gives jobs to workers: what is tried again, what is raised, what ends when."""

import ast
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

import netwright
from netwright.errors import NetworkFailed, SettingsError, StorageError
from netwright.execution.base import WorkerLost
from netwright.execution.executors import EXECUTORS, ExecutorKind, make_executor
from netwright.execution.run_jobs import Cause, Done, Job, classify_failure, fixed, run_jobs

ROOT = Path(netwright.__file__).parent


class Answering:
    """An executor whose jobs end when the test says: at once with what they return, or never."""

    def __init__(self) -> None:
        self.futures: list[Future[Any]] = []
        self.arguments: list[Any] = []

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self.futures.append(future)
        self.arguments.append(arguments[0])
        try:
            result = function(*arguments)
            if result is not NEVER:
                future.set_result(result)
        except Exception as error:
            future.set_exception(error)
        return future

    def shutdown(self) -> None:
        pass


NEVER = object()


def job(function: Callable[[Any], Any], **options: Any) -> Job:
    return Job(function, lambda device: device, **options)


def raising(*errors: Exception) -> Callable[[Any], Any]:
    """A function that raises the errors one after another, then returns "done"."""
    left = list(errors)

    def function(_: Any) -> Any:
        if left:
            raise left.pop(0)
        return "done"

    return function


@pytest.mark.parametrize("retries", [0, 1, 3])
def test_a_crash_is_tried_again_so_often(retries: int, tmp_path: Path) -> None:
    executor = Answering()
    log = tmp_path / "some" / "log.txt"
    lost = job(raising(*[ValueError(f"bug {n}\nsecond line") for n in range(9)]), log=log)
    (done,) = run_jobs(executor, [lost], retries)
    assert len(executor.futures) == retries + 1
    assert done.failure is not None
    assert (done.failure.cause, done.failure.reason) == (Cause.CRASHED, f"ValueError: bug {retries}")
    assert log.read_text().count("second line") == retries + 1
    assert isinstance(done.failure.error, ValueError)


def test_a_job_that_is_lost_once_returns_its_second_result() -> None:
    (done,) = run_jobs(Answering(), [job(raising(WorkerLost(None, "it ended")))], 2)
    assert (done.result, done.failure) == ("done", None)


def test_a_result_that_tells_of_a_crash_is_tried_again() -> None:
    executor = Answering()
    results = iter(["bad", "bad", "good"])
    (done,) = run_jobs(executor, [job(lambda _: next(results))], 5, crashed=lambda result: result == "bad")
    assert (done.result, len(executor.futures)) == ("good", 3)
    (done,) = run_jobs(executor, [job(lambda _: "bad")], 1, crashed=lambda result: result == "bad")
    assert (done.result, done.failure) == ("bad", None), "in the end the caller is told what it returned"


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (WorkerLost(None, "no batch for an hour", hanging=True), Cause.HANGING),
        (MemoryError("no room"), Cause.OUT_OF_MEMORY),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), Cause.OUT_OF_MEMORY),
    ],
)
def test_what_would_happen_again_is_not_tried_again(error: Exception, cause: Cause) -> None:
    executor = Answering()
    (done,) = run_jobs(executor, [job(raising(error))], 5)
    assert done.failure is not None
    assert (done.failure.cause, len(executor.futures)) == (cause, 1)


def test_an_error_that_concerns_all_is_raised_and_ends_the_other_jobs() -> None:
    executor = Answering()
    jobs = [job(lambda _: NEVER), job(raising(StorageError("the disk is full")))]
    with pytest.raises(StorageError, match="the disk is full"):
        list(run_jobs(executor, jobs, 5, at_once=2))
    assert executor.futures[0].cancelled()
    assert len(executor.futures) == 2


def test_a_network_of_the_user_s_that_fails_concerns_its_own_job_alone() -> None:
    (done,) = run_jobs(Answering(), [job(raising(NetworkFailed("line 3: no such layer")))], 0)
    assert done.failure is not None
    assert (done.failure.cause, done.failure.reason) == (Cause.CRASHED, "line 3: no such layer")


def test_the_next_job_is_asked_for_when_a_worker_is_free_and_none_means_later() -> None:
    asked: list[int] = []
    over: list[Any] = []

    def jobs() -> Iterator[Job | None]:
        for number in range(3):
            asked.append(len(over))
            yield job(lambda _, n=number: n, key=number)
        while True:
            asked.append(len(over))
            yield None

    for done in run_jobs(Answering(), jobs(), 0, at_once=2):
        over.append(done.job.key)
    assert over == [0, 1, 2]
    assert asked == [0, 0, 2, 2, 3], (
        "two at first, then one and nothing more until that is over, then the end"
    )


def test_each_job_gets_the_device_that_the_fewest_use_and_keeps_it() -> None:
    executor = Answering()
    ends = time.monotonic() + 0.3
    jobs = [
        job(lambda _: NEVER, until=ends),
        job(raising(ValueError("once"))),
        job(lambda _: NEVER, until=ends),
    ]
    list(run_jobs(executor, jobs, 1, at_once=3, devices=("cuda:0", "cuda:1")))
    assert executor.arguments == ["cuda:0", "cuda:1", "cuda:0", "cuda:1"]


def test_a_job_is_ended_when_its_time_is_up_and_no_other() -> None:
    executor = Answering()
    began = time.monotonic()
    jobs = [
        job(lambda _: NEVER, key="late", until=began + 0.2),
        job(lambda _: NEVER, key="later", until=began + 1.0),
    ]
    moments = {}
    for done in run_jobs(executor, jobs, 5, at_once=2):
        assert done.failure is not None
        assert done.failure.cause == Cause.OVERDUE
        moments[done.job.key] = time.monotonic() - began
    assert 0.2 <= moments["late"] < 0.9 < 1.0 <= moments["later"]
    assert [future.cancelled() for future in executor.futures] == [True, True]
    assert len(executor.futures) == 2, "what took too long is not tried again"


def test_ticks_come_twice_a_second_and_ctrl_c_leaves_time_for_a_last_word() -> None:
    executor = Answering()
    ticks: list[float] = []

    def tick() -> None:
        ticks.append(time.monotonic())
        if len(ticks) == 3:
            raise KeyboardInterrupt

    def last_word() -> float:
        executor.futures[0].set_result("a checkpoint")
        return 60.0

    with pytest.raises(KeyboardInterrupt):
        list(run_jobs(executor, [job(lambda _: NEVER)], 0, on_tick=tick, on_interrupt=last_word))
    assert 0.8 < ticks[2] - ticks[0] < 10
    assert time.monotonic() - ticks[2] < 10, "it does not wait for longer than the job takes"
    assert executor.futures[0].done()
    assert not executor.futures[0].cancelled()


def test_who_leaves_the_loop_ends_what_is_not_over() -> None:
    executor = Answering()
    loop = run_jobs(executor, [job(lambda _: 1), job(lambda _: NEVER)], 0, at_once=2)
    assert isinstance(next(loop), Done)
    loop.close()  # type: ignore[attr-defined]
    assert executor.futures[1].cancelled()


@pytest.mark.parametrize(
    ("attempt", "before", "now", "cause"),
    [
        (0, 3, 4, Cause.OUT_OF_MEMORY),
        (5, 3, 3, Cause.CRASHED),
        (0, None, None, Cause.CRASHED),
        (1, None, None, Cause.OUT_OF_MEMORY),
    ],
)
def test_what_signal_9_means(attempt: int, before: int | None, now: int | None, cause: Cause) -> None:
    assert classify_failure(WorkerLost(9, "gone"), attempt, before, now).cause == cause


def test_an_error_that_speaks_of_memory_is_a_lack_of_it() -> None:
    allocator = RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried 9 bytes")
    assert classify_failure(allocator, 0, None, None).cause == Cause.OUT_OF_MEMORY
    assert classify_failure(RuntimeError("shapes differ"), 0, None, None).cause == Cause.CRASHED


def test_only_this_room_submits_waits_and_makes_executors() -> None:
    """`data/parallel.py` hands files to threads, which cannot be lost; `serving` has no jobs to start again: who asked
    is told.
    """
    calls = re.compile(
        r"\.submit\(|LocalExecutor\(|\bFIRST_COMPLETED\b|\bWorkerLost\(|\bclassify_failure\(|\bkills_for_memory\("
    )
    elsewhere = {
        file.relative_to(ROOT).as_posix()
        for file in ROOT.rglob("*.py")
        if calls.search(file.read_text(encoding="utf-8"))
    }
    assert {name for name in elsewhere if not name.startswith("execution/")} == {
        "data/parallel.py",
        "serving/server.py",
        "serving/service.py",
    }
    makers = {file.name for file in (ROOT / "execution").glob("*.py") if _names(file, "LocalExecutor")}
    assert makers == {"executors.py", "ray.py"}, "on a node of a cluster, workers are local"


def _names(file: Path, name: str) -> bool:
    """Whether a file uses a name beyond defining it."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return any(isinstance(node, ast.Name) and node.id == name for node in ast.walk(tree))


def test_every_executor_of_a_run_is_the_one_that_its_settings_name() -> None:
    """Otherwise one that is added to the registry would be used for some jobs only."""
    calls = [
        node
        for path in ROOT.rglob("*.py")
        if path.parent.name != "serving"  # what is asked of a served network is no job of a run
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "make_executor"
    ]
    names = [ast.unparse(word.value) for call in calls for word in call.keywords if word.arg == "name"]
    assert len(names) == len(calls) >= 5
    assert set(names) <= {"machine.executor", "name"}


def test_an_executor_in_the_registry_can_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    class AtOnce:
        """Runs a function where it is submitted."""

        def __init__(self, workers: int, threads: int, memory_limit_mb: float | None) -> None:
            self.made_with = (workers, threads, memory_limit_mb)

        def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
            future: Future[Any] = Future()
            future.set_result(function(*arguments))
            return future

        def shutdown(self) -> None:
            ended.append(self.made_with)

    ended: list[tuple[int, int, float | None]] = []
    kind = ExecutorKind(lambda *given: AtOnce(*given[:-1]), lambda cluster: None)
    monkeypatch.setitem(EXECUTORS, "at-once", kind)
    with make_executor(2, 3, name="at-once") as executor:
        (done,) = run_jobs(executor, [Job(abs, fixed(-3))], retries=0)
    assert done.result == 3
    assert ended == [(2, 3, None)]
    with (
        pytest.raises(SettingsError, match=r"machine.executor is 'slurm'.*local, ray, at-once"),
        make_executor(1, 1, name="slurm"),
    ):
        pass
