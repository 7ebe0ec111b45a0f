"""A suite in which tests hang: it goes on, shows where they hung, and fails."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from processes import finish, line_of, run, wait_until

HERE = Path(__file__).parent
PARALLEL = re.search(r"^PARALLEL := (.*)$", (HERE.parent / "Makefile").read_text(), re.MULTILINE)
HANGING = "import time\ndef hang_below():\n    time.sleep(60)\nprint('up', flush=True)\nhang_below()\n"
WAITING = f"""
import subprocess, sys, threading
def test_before():
    pass
def test_waiting():
    child = subprocess.Popen([sys.executable, "-c", {HANGING!r}])
    threading.Thread(target=threading.Event().wait, daemon=True).start()
    child.wait()
def test_after():
    pass
"""
STUCK = """
import ctypes
def test_before():
    pass
def test_stuck():
    mutex = ctypes.create_string_buffer(64)
    for _ in range(2):
        ctypes.PyDLL(None).pthread_mutex_lock(mutex)  # keeps Python's own lock: no handler of a signal can run
def test_after():
    pass
"""
QUICK = "def test_a():\n    pass\ndef test_b():\n    pass\n"


def suite(folder: Path, first: str, *options: str) -> str:
    """What ``make test`` prints of three files of tests, but for the seconds that they may take; it fails."""
    assert PARALLEL is not None
    (folder / "conftest.py").write_text(
        "import os\nfrom processes import pytest_timeout_set_timer\nos.environ['PYTHONFAULTHANDLER'] = '1'\n"
    )
    for number, text in enumerate((first, QUICK, QUICK)):
        (folder / f"test_{number}.py").write_text(text)
    words = [
        sys.executable,
        "-m",
        "pytest",
        "-c",
        HERE.parent / "pyproject.toml",
        "--rootdir",
        folder,
        folder,
    ]
    done = run([*words, *PARALLEL[1].split(), "-p", "no:cacheprovider", *options], seconds=100, cwd=folder)
    assert done.returncode == 1
    return done.stdout + done.stderr


@pytest.mark.cluster
def test_one_that_waits_for_a_child_fails_with_all_stacks_and_the_others_go_on(tmp_path: Path) -> None:
    printed = suite(tmp_path, WAITING, "-o", "timeout=4")
    assert "1 failed, 6 passed" in printed
    assert "Failed: Timeout" in printed
    assert "in hang_below" in printed, "the child's stack"
    assert "child.wait()" in printed, "its own"
    assert re.search(r"threading.py.*, in wait\b", printed), "that of its other thread"


@pytest.mark.slow  # the one above ends by a signal
def test_one_that_lets_no_signal_through_ends_the_run_with_its_stack(tmp_path: Path) -> None:
    printed = suite(tmp_path, STUCK, "-o", "timeout=1", "-o", "faulthandler_timeout=4")
    assert "1 failed" in printed
    assert "crashed while running 'test_0.py::test_stuck'" in printed
    assert re.search(r'test_0.py", line \d+ in test_stuck', printed)


@pytest.mark.parametrize(
    ("wait", "words"),
    [
        (finish, "did not end in"),
        (line_of, "printed no line in"),
        (lambda process, seconds: wait_until(lambda: False, process, seconds), "waited for"),
    ],
    ids=["its end", "a line", "a condition"],
)
def test_what_is_waited_for_has_an_end_and_shows_where_it_was(
    wait: Callable[[subprocess.Popen[str], float], object], words: str
) -> None:
    command = [sys.executable, "-c", HANGING]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert line_of(process) == "up\n"
    with process, pytest.raises(pytest.fail.Exception, match=f"(?s){words}.*in hang_below"):
        wait(process, 0.5)


def test_who_waits_for_what_an_ended_process_never_did_is_told() -> None:
    words = [sys.executable, "-c", "import sys; sys.exit('no memory')"]
    process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
    with process, pytest.raises(pytest.fail.Exception, match=r"(?s)ended with 1 before that.*no memory"):
        wait_until(lambda: False, process)


@pytest.mark.cluster
def test_a_process_whose_output_a_child_keeps_open_does_not_hold_the_test(tmp_path: Path) -> None:
    """As a worker that outlives its search: ``communicate`` waits for the end of the output, not of the process."""
    code = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {HANGING!r}])"
    with pytest.raises(pytest.fail.Exception, match="did not end in"):
        run([sys.executable, "-c", code], seconds=2)


def waits_without_end(call: ast.Call) -> bool:
    match call.func:
        case ast.Attribute(ast.Name("subprocess"), "run" | "call" | "check_call" | "check_output"):
            return True
        case ast.Attribute(ast.Attribute(attr="stdout"), "readline") | ast.Attribute(attr="communicate"):
            return True
        case ast.Attribute(attr="wait"):
            return not call.args and not call.keywords
    return False


def test_all_tests_wait_for_processes_by_the_functions_that_have_an_end() -> None:
    waiting = [
        f"{path.relative_to(HERE)}:{node.lineno}"
        for path in HERE.rglob("*.py")
        if path.name not in ("processes.py", "test_hanging.py") and "fixtures" not in path.parts
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and waits_without_end(node)
    ]
    assert not waiting, "use run, finish, line_of and wait_until of tests/processes.py"
