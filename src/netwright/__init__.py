"""netwright designs convolutional networks for the data you have."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from netwright import recipes, spaces, strategies
    from netwright.api import open_run, search
    from netwright.api.changed_space import change_space
    from netwright.api.run import Run
    from netwright.strategies.sampler import sampler

__version__ = "0.1.0"
__all__ = ["Run", "change_space", "open_run", "recipes", "sampler", "search", "spaces", "strategies"]

_HOMES = {
    "Run": "netwright.api.run",
    "change_space": "netwright.api.changed_space",
    "open_run": "netwright.api",
    "sampler": "netwright.strategies.sampler",
    "search": "netwright.api",
}


def __getattr__(name: str) -> Any:
    # On first use, since torch takes seconds to import and most commands and workers need a part of it only.
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    if name in __all__:
        return import_module(f"netwright.{name}")
    raise AttributeError(f"module 'netwright' has no attribute {name!r}")
