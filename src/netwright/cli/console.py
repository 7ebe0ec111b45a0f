"""Printing for the verbs."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from netwright.files import json_text

if TYPE_CHECKING:
    from netwright.api.run import Run

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


def print_json(value: Any) -> None:
    """Print JSON for other programs on standard output, without wrapping lines."""
    sys.stdout.write(json_text(value) + "\n")


def print_lines(lines: Iterable[str], console: Console = out) -> None:
    """Print lines unchanged, without interpreting markup in them."""
    for line in lines:
        console.print(line, markup=False)


def opened_run(run: Path, *, trust_code: bool) -> Run:
    """Open a run whose networks will be used, and say which of the user's code it runs.

    Raises:
        RunError: there is no such run.
        UntrustedCode: it names code that may not be run.
    """
    from netwright.api import open_run

    opened = open_run(run, trust_code=trust_code)
    told = opened.code()
    if told is not None:
        err.print(f"code       {told}", markup=False)
    return opened
