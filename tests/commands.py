"""The command line within the process of the tests: most commands take longer to start than to run."""

from __future__ import annotations

import contextlib
import functools
import io
import logging
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from netwright.cli import main
from netwright.cli.app import app
from netwright.execution import notes
from shared_workers import forget_users_code


def in_this_process(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command to its end and return what a process would have: exit code, standard output and error.

    What is kept for the length of a process begins anew with each command, and ends with it: the log, warnings, notes
    that are said once, and a user's own modules. An error that would end a process with a trace is raised.
    """
    words = ["netwright", *map(str, arguments)]
    out, err = io.StringIO(), io.StringIO()
    with (
        pytest.MonkeyPatch.context() as patch,
        warnings.catch_warnings(),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        _own_log(),
        _own_modules(),
    ):
        patch.setattr(sys, "argv", words)
        patch.setattr(sys.modules["__main__"], "__package__", None, raising=False)  # help tells it
        patch.setattr(notes, "_SAID", set())
        patch.setattr("typer.main.get_command", lambda _: _verbs())
        if cwd is not None:
            patch.chdir(cwd)
        with pytest.raises(SystemExit) as end:
            main()
    return subprocess.CompletedProcess(words, int(end.value.code or 0), out.getvalue(), err.getvalue())


@functools.cache
def _verbs() -> Any:
    """All verbs with their options, which typer makes anew with each command: that takes longer than some of them."""
    return get_command(app)


@contextlib.contextmanager
def _own_log() -> Iterator[None]:
    """A log without handlers, of which the command makes its own; in the end it is as before."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    root.handlers = []
    try:
        yield
    finally:
        root.handlers = handlers
        root.setLevel(level)
        logging.captureWarnings(False)


@contextlib.contextmanager
def _own_modules() -> Iterator[None]:
    """A user's modules, which lie in a test's folder, are imported anew by each command."""
    path = list(sys.path)
    forget_users_code()
    try:
        yield
    finally:
        forget_users_code()
        sys.path[:] = path
