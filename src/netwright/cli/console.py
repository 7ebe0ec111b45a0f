"""Where the verbs print to."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from rich.console import Console

from netwright.data.files import json_text

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


def print_json(value: Any) -> None:
    """For machines: on standard output, whatever its width."""
    sys.stdout.write(json_text(value) + "\n")


def print_lines(lines: Iterable[str]) -> None:
    """As they are, without reading any markup in them."""
    for line in lines:
        out.print(line, markup=False)
