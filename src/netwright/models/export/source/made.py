"""How the modules of a network were made: the arguments of each, noted while it is built."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

from torch import nn

from netwright.models.export.source.definitions import PACKAGE

_MADE = "_made_with"


@contextmanager
def noted() -> Iterator[None]:
    """Within this context, every module of the package keeps the arguments that it is made with.

    Not for several threads.
    """
    originals: dict[type[nn.Module], Callable[..., None]] = {}
    for kind in set(_subclasses(nn.Module)):
        if kind.__module__.partition(".")[0] == PACKAGE and "__init__" in vars(kind):
            originals[kind] = vars(kind)["__init__"]
            kind.__init__ = _noting(originals[kind])  # type: ignore[method-assign]
    try:
        yield
    finally:
        for kind, original in originals.items():
            kind.__init__ = original  # type: ignore[method-assign]


def made_with(module: nn.Module) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
    """The arguments of a module, by position and by name; None where they were not noted."""
    made: tuple[tuple[Any, ...], dict[str, Any]] | None = module.__dict__.get(_MADE)
    if made is None and type(module).__init__ is nn.Module.__init__:
        return (), {}
    return made


def _subclasses(kind: type[nn.Module]) -> Iterator[type[nn.Module]]:
    for one in kind.__subclasses__():
        yield one
        yield from _subclasses(one)


def _noting(original: Callable[..., None]) -> Callable[..., None]:
    @wraps(original)
    def make(self: nn.Module, *args: Any, **kwargs: Any) -> None:
        self.__dict__.setdefault(_MADE, (args, kwargs))  # a subclass is asked before its base
        original(self, *args, **kwargs)

    return make
