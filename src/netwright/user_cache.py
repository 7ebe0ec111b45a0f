"""Where the user's cache lies: prepared data, and records of what the user trusts."""

from __future__ import annotations

import os
from pathlib import Path


def cache_root() -> Path:
    """The folder of the prepared data of all runs: ``NETWRIGHT_CACHE``, or the user's cache folder."""
    default = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "netwright"
    return Path(os.environ.get("NETWRIGHT_CACHE", default))


def prepared_here(folder: Path) -> Path:
    """Prepared data as this machine has it: in the folder of another one, on a shared disk, or in its own cache.

    In both it has the same name, which holds a hash of the content.
    """
    own = cache_root() / folder.name
    return own if own.is_dir() and not folder.is_dir() else folder
