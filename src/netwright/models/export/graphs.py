"""Writes the steps before and after a network as files of ONNX."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from netwright.tasks.base import Graph

OPSET = 20
"""The version of ONNX's operations."""


def write_graphs(graphs: Mapping[str, Graph], folder: Path) -> None:
    """Write each step as ``NAME.onnx``.

    Args:
        graphs: the steps, by name.
        folder: of the export.
    """
    import onnx_ir as ir
    from onnxscript import GraphBuilder

    for name, graph in graphs.items():
        empty = ir.Graph([], [], nodes=[], opset_imports={"": OPSET}, name=name)
        builder = GraphBuilder(empty)
        inputs = [builder.input(given, kind, shape) for given, (kind, shape) in graph.inputs.items()]
        with _arithmetic(builder.op):
            outputs = graph.build(builder.op, *inputs)
        for value, output in zip(outputs, graph.outputs, strict=True):
            builder.add_output(value, output)
        ir.save(ir.Model(empty, ir_version=10), folder / f"{name}.onnx")


@contextmanager
def _arithmetic(op: Any) -> Iterator[None]:
    """Values of graphs can be added, subtracted, multiplied and divided."""
    import onnx_ir as ir

    before = ir.set_value_magic_handler(op)
    try:
        yield
    finally:
        ir.set_value_magic_handler(before)
