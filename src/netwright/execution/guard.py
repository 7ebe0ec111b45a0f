"""Detects scripts that would start their search again in each of their own worker processes.

A worker process is a fresh Python that imports the script which started it, as always with the method "spawn" of
Python's ``multiprocessing``. A script that calls netwright outside ``if __name__ == "__main__":`` would begin another
search there.
"""

from __future__ import annotations

import ast
import contextlib
import multiprocessing
import os
import shutil
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import FrameType

from netwright.errors import NetwrightError

WORKER = "netwright-worker"
"""The beginning of the names of worker processes."""
UNGUARDED = 86
"""The exit code of a worker that was asked for workers while it imported the script."""


class UnguardedScript(NetwrightError, SystemExit):  # noqa: N818  what is the matter
    """The script would start workers again in each of its workers.

    It is also a ``SystemExit``. So Python ends the script with this one line and exit code 1.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.code = text


def unguarded_words(line: int | None = None) -> str:
    """A message that says what is wrong with the script, and what to do."""
    path = getattr(sys.modules.get("__main__"), "__file__", None) or "the script"
    where = f"{path}{'' if line is None else f', line {line}'}"
    return (
        f"error  {where}: this call starts worker processes, which import the script and would call it again. Put it "
        'below the line: if __name__ == "__main__":'
    )


def require_guard() -> None:
    """Refuse to start workers for a script that is not guarded. This is quick, and happens before anything is written.

    Raises:
        UnguardedScript: the statement of the script that led here would run in every worker.
    """
    process = multiprocessing.current_process()
    if getattr(process, "_inheriting", False):  # set while a new process imports the script
        if process.name.startswith(WORKER):
            os._exit(UNGUARDED)
        raise UnguardedScript(unguarded_words())
    frame = _frame_of_script()
    if frame is not None and _runs_on_import(frame.f_code.co_filename, frame.f_lineno):
        raise UnguardedScript(unguarded_words(frame.f_lineno))


@contextlib.contextmanager
def leaving_nothing(folder: Path) -> Iterator[None]:
    """Within it, delete a new run folder if a worker finds the script unguarded before it trained anything."""
    try:
        yield
    except UnguardedScript:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _frame_of_script() -> FrameType | None:
    """The frame of the script's own statements that led here.

    None if a worker imports no script (as for an interactive Python), or if the script's statements did not lead here
    (as in a thread).
    """
    script = sys.modules.get("__main__")
    if getattr(script, "__file__", None) is None:
        return None
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        if frame.f_code.co_name == "<module>" and frame.f_globals is vars(script):
            return frame
        frame = frame.f_back
    return None


@cache
def _runs_on_import(path: str, line: int) -> bool:
    """Whether the statement in this line of a script runs whenever the script is imported, as far as one can see.

    A statement below an ``if``, or after one that leaves unless the name is right, is assumed to be guarded.
    """
    try:
        module = ast.parse(Path(path).read_bytes())
    except (OSError, SyntaxError, ValueError):
        return False
    for statement in module.body:
        if isinstance(statement, ast.If) and _is_other_name(statement.test):
            return False
        if statement.lineno <= line <= (statement.end_lineno or statement.lineno):
            return not _is_below_if(statement, line)
    return False


def _is_below_if(statement: ast.AST, line: int) -> bool:
    return any(
        isinstance(node, ast.If | ast.Match) and node.lineno <= line <= (node.end_lineno or node.lineno)
        for node in ast.walk(statement)
    )


def _is_other_name(test: ast.expr) -> bool:
    """Whether a condition is ``__name__ != ...``."""
    nodes = list(ast.walk(test))
    return any(isinstance(node, ast.Name) and node.id == "__name__" for node in nodes) and any(
        isinstance(node, ast.NotEq) for node in nodes
    )
