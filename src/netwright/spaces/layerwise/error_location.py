"""Where in a user's module an error was raised."""

from __future__ import annotations

import linecache
from pathlib import Path
from types import FrameType

import torch
from torch import nn

OWN_FILES = str(Path(__file__).parent)
LIBRARY_FILES = (str(Path(torch.__file__).parent), OWN_FILES)


def first_line(error: BaseException) -> str:
    """The first line of an error's message, as a sentence."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = lines[0] if lines else type(error).__name__
    return text if text.endswith((".", "!", "?")) else f"{text}."


def location_of(error: BaseException, module: nn.Module) -> str:
    """Layer, file, line and text of the innermost source line that belongs neither to PyTorch nor to netwright.

    It begins with a space, or is empty if none is known.
    """
    names: dict[int, str] = {}
    layer, location = "", ""
    for frame, line in _frames(error):
        first = frame.f_code.co_varnames[: min(1, frame.f_code.co_argcount)]  # self, whatever it is called
        file = frame.f_code.co_filename
        owner = frame.f_locals.get(first[0]) if first and not file.startswith(OWN_FILES) else None
        if not names and type(owner) is type(module):
            names = {id(part): path for path, part in owner.named_modules()}
        layer = names.get(id(owner)) or layer
        if names and not file.startswith(LIBRARY_FILES) and (text := linecache.getline(file, line).strip()):
            location = f"{file}, line {line}: `{text}`"
    if layer and location:
        return f" It is in layer {layer}, {location}."
    return f" It is in layer {layer}." if layer else f" It is in {location}." if location else ""


def _frames(error: BaseException) -> list[tuple[FrameType, int]]:
    frames: list[tuple[FrameType, int]] = []
    trace = error.__traceback__
    while trace is not None:
        frames.append((trace.tb_frame, trace.tb_lineno))
        trace = trace.tb_next
    return frames
