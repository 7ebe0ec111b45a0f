"""Traces a network as a program of `torch.export`, for images of any size where the network allows it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from netwright.errors import ExportError, first_line

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.export import ExportedProgram

LARGEST_MULTIPLE = 32
"""Of the sides of images: that of five poolings."""


@dataclass(frozen=True)
class Traced:
    """A network as a program.

    Args:
        program: takes batches of any size.
        multiples: what the sides of images must be multiples of; None: they are as the network's input.
    """

    program: ExportedProgram
    multiples: tuple[int, ...] | None


def traces(network: nn.Module, images: Tensor) -> Iterator[Traced]:
    """The network as a program for images of several sizes, if it can be traced so, then for those of one size.

    A program for several sizes may still be wrong for some: look at what it gives.

    Args:
        network: in evaluation mode.
        images: of the network's input size (N, C, *size).

    Raises:
        ExportError: it cannot be traced at all.
    """
    import torch

    sides = images.shape[2:]
    multiples = tuple(math.gcd(side, LARGEST_MULTIPLE) for side in sides)
    names = ("height", "width") if len(sides) == 2 else ("x", "y", "z")[: len(sides)]
    free = {
        axis: multiple * torch.export.Dim(name, min=1)
        for axis, (name, multiple) in enumerate(zip(names, multiples, strict=True), start=2)
    }
    # torch takes a number that is one in the example for a constant
    larger = [max(side, 2 * multiple) for side, multiple in zip(sides, multiples, strict=True)]
    example = torch.zeros((2, images.shape[1], *larger))
    # those of torch.export have no base in common; the next trace tells what is wrong
    program: ExportedProgram | None = None
    with suppress(Exception):
        program = _traced(network, example, free)
    if program is not None:
        yield Traced(program, multiples)
    try:
        fixed = _traced(network, torch.zeros((2, *images.shape[1:])), {})
    except Exception as error:
        raise ExportError(
            f"torch.export cannot trace the network: {first_line(error)}. Expected a network whose computation does "
            "not depend on the values or the number of its images. Nothing was written."
        ) from error
    yield Traced(fixed, None)


def _traced(network: nn.Module, example: Tensor, free: Mapping[int, Any]) -> ExportedProgram:
    import torch

    with torch.no_grad():
        program = torch.export.export(
            network, (example,), dynamic_shapes=({0: torch.export.Dim("batch"), **free},)
        )
    program.example_inputs = None  # would be a large part of the file
    for graph in (module for module in program.graph_module.modules() if hasattr(module, "graph")):
        for node in graph.graph.nodes:
            node.meta.pop("stack_trace", None)  # names files of this machine
    return program
