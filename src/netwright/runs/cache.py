"""Where the user's cache lies: prepared data, and records of what the user trusts."""

from __future__ import annotations

import os
from pathlib import Path


def cache_root() -> Path:
    """The folder of the prepared data of all runs: ``NETWRIGHT_CACHE``, or the user's cache folder."""
    default = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "netwright"
    return Path(os.environ.get("NETWRIGHT_CACHE", default))
