"""Where the verbs print to."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from typing import Any

from rich.console import Console

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


def print_json(value: Any) -> None:
    """For machines: on standard output, whatever its width."""
    sys.stdout.write(json.dumps(value, indent=1, default=str) + "\n")


def print_lines(lines: Iterable[str]) -> None:
    """As they are, without reading any markup in them."""
    for line in lines:
        out.print(line, markup=False)
