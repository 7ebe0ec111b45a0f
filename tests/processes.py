"""Processes that tests start: nobody waits for one without an end, and one that hangs shows where."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import IO, Any

import psutil
import pytest

SECONDS = 240.0
"""What a command of a test may take, on a busy machine too."""
KILLED_SECONDS = 60.0
STACKS_SECONDS = 3.0
"""What a process may take to write down where it was, and to end."""


def run(
    words: Sequence[Any], seconds: float = SECONDS, input: str | None = None, **options: Any
) -> subprocess.CompletedProcess[str]:
    """``subprocess.run`` of a command to its end, in text; one that does not end fails the test with its stacks."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    if input is not None:
        pipes["stdin"] = subprocess.PIPE
    process = subprocess.Popen([*map(str, words)], text=True, **pipes)
    out, err = finish(process, seconds, input)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


class Search(subprocess.Popen[str]):
    """A command that goes on while a test looks at it, in a session of its own.

    Its output goes to a file, so that it never waits for a reader; `finish` returns it as one text.
    """

    def __init__(self, words: Sequence[Any], **options: Any) -> None:
        self.output = tempfile.TemporaryFile("a+")  # noqa: SIM115  closed with the process
        streams = {"stdout": self.output, "stderr": subprocess.STDOUT, "start_new_session": True}
        super().__init__([*map(str, words)], text=True, **streams, **options)

    def communicate(self, input: str | None = None, timeout: float | None = None) -> tuple[str, str]:
        """Wait for its end; what it printed, and ""."""
        self.wait(timeout)
        if not self.output.closed:
            self.output.seek(0)
            self.printed = self.output.read()
            self.output.close()
        return self.printed, ""

    def kill_all(self) -> None:
        """End it and all of its session, as a power cut would."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.communicate(timeout=KILLED_SECONDS)


@contextmanager
def searching(words: Sequence[Any], **options: Any) -> Iterator[Search]:
    """A search that is killed with its workers where it still runs in the end."""
    search = Search(words, **options)
    try:
        yield search
    finally:
        search.kill_all()


def finish(
    process: subprocess.Popen[str], seconds: float = SECONDS, input: str | None = None
) -> tuple[str, str]:
    """What a process prints until its end, to stdout and stderr ("" where that is no pipe)."""
    try:
        out, err = process.communicate(input, timeout=seconds)
    except subprocess.TimeoutExpired:
        out, err = end_hanging(process)
        pytest.fail(f"{process.args} did not end in {seconds:.0f} s.\nIt printed:\n{out}\n{err}")
    return out or "", err or ""


def line_of(process: subprocess.Popen[str], seconds: float = 60.0) -> str:
    """The next line that a process prints; "" where it closes its output."""
    lines: list[str] = []
    reader = threading.Thread(target=lambda: lines.append(_stdout(process).readline()), daemon=True)
    reader.start()
    reader.join(seconds)
    if reader.is_alive():
        abort_children(process.pid, itself=True)
        reader.join(STACKS_SECONDS)
        out, err = end_hanging(process)
        pytest.fail(f"{process.args} printed no line in {seconds:.0f} s.\n{out}\n{err}")
    return lines[0]


def _stdout(process: subprocess.Popen[str]) -> IO[str]:
    assert process.stdout is not None, "to be started with stdout=subprocess.PIPE"
    return process.stdout


def wait_until(
    condition: Callable[[], bool], process: subprocess.Popen[Any] | None = None, seconds: float = SECONDS
) -> None:
    """Wait until a condition is met, at most so long and while ``process`` runs, where there is one."""
    end = time.monotonic() + seconds
    while not condition():
        if process is not None and process.poll() is not None and not condition():
            out, err = process.communicate(timeout=STACKS_SECONDS)
            pytest.fail(f"{process.args} ended with {process.returncode} before that.\n{out}\n{err}")
        if time.monotonic() > end:
            out, err = ("", "") if process is None else end_hanging(process)
            pytest.fail(f"waited for {seconds:.0f} s.\n{out}\n{err}")
        time.sleep(0.02)


def end_hanging(process: subprocess.Popen[Any]) -> tuple[Any, Any]:
    """End a process and its children, and return what they printed, their stacks among it."""
    abort_children(process.pid, itself=True)
    try:
        return process.communicate(timeout=STACKS_SECONDS)
    except subprocess.TimeoutExpired:
        for one in _family(process.pid, itself=True):
            with contextlib.suppress(psutil.Error):
                one.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.communicate(timeout=STACKS_SECONDS)
    return "", "its output is still held open by another process"


def has_ended(process: int) -> bool:
    """Whether a process, by its number, runs no more, be it that its parent has not asked for its exit code."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(process).status() == psutil.STATUS_ZOMBIE
    return True


def abort_children(parent: int, *, itself: bool = False) -> list[str]:
    """Have each Python below a process write its stacks to its stderr and end (``PYTHONFAULTHANDLER``).

    Returns:
        What they were: number, state and command.
    """
    lines = []
    for one in _family(parent, itself=itself):
        with contextlib.suppress(psutil.Error):
            words = one.cmdline()
            if any("resource_tracker" in word for word in words):
                continue
            lines.append(f"{one.pid} of {one.ppid()} ({one.status()}): {' '.join(words)}")
            one.send_signal(signal.SIGABRT)
    return lines


def _family(parent: int, *, itself: bool) -> list[psutil.Process]:
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(parent)
        return [*process.children(recursive=True), *([process] if itself else [])]
    return []


@pytest.hookimpl(wrapper=True, optionalhook=True)
def pytest_timeout_set_timer() -> Any:
    """Before a test is ended as hanging, its children tell where they are: perhaps it waits for one of them.

    That is done in the handler of the alarm, in which the test cannot go on as if the child had ended by itself.
    """
    result = yield
    end_test = signal.getsignal(signal.SIGALRM)
    if callable(end_test):

        def handler(number: int, frame: Any) -> None:
            lines = abort_children(os.getpid())
            sys.stderr.write("\n".join(["This test hangs. It has these children:", *lines, ""]))
            time.sleep(STACKS_SECONDS if lines else 0)
            end_test(number, frame)

        signal.signal(signal.SIGALRM, handler)
    return result
