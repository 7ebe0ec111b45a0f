"""Reads the descriptions of arguments from docstrings, where the options of spaces and strategies are described.

The settings page, the completion of ``--set`` and error messages use these descriptions.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

_SECTION = re.compile(r"^Args:\n((?:[ \t]+\S.*\n|\n)+)", re.MULTILINE)
_ENTRY = re.compile(r"^ {4}(\w+): (.*(?:\n {8,}\S.*)*)", re.MULTILINE)
_CODE = re.compile(r"``(.+?)``|`(.+?)`|\"([\w-]+)\"|\b(None|True|False)\b")
_YAML = {"None": "null", "True": "true", "False": "false"}


@cache
def argument_descriptions(maker: Callable[..., Any]) -> dict[str, str]:
    """The description of each argument, as Markdown of one paragraph without its last full stop.

    They are the entries of the section ``Args:``, for a class also those of its bases. Values are written as in
    settings, for example ``null`` for None.

    Example:
        >>> def line(length, dashes=None):
        ...     '''A line.
        ...
        ...     Args:
        ...         length: of the line
        ...             in mm.
        ...         dashes: their number; None: there are "few".
        ...     '''
        >>> argument_descriptions(line)
        {'length': 'of the line in mm', 'dashes': 'their number; `null`: there are `few`'}
    """
    return {name: _markdown(text) for text in _docstrings(maker) for name, text in _ENTRY.findall(text)}


def _docstrings(maker: Callable[..., Any]) -> Iterator[str]:
    """The sections ``Args:``, those of base classes first."""
    sources = reversed(maker.__mro__) if isinstance(maker, type) else (maker,)
    for source in sources:
        own = source.__doc__ if "__doc__" in vars(source) or source is maker else None
        section = _SECTION.search(inspect.cleandoc(own or "") + "\n")
        if section is not None:
            yield section[1]


def _markdown(text: str) -> str:
    def code(match: re.Match[str]) -> str:
        inner = next(group for group in match.groups() if group is not None)
        return f"`{_YAML.get(inner, inner)}`"

    return _CODE.sub(code, " ".join(text.split())).removesuffix(".")
