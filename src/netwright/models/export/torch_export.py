"""PyTorch's own format for programs: needs torch alone.

>>> import torch  # doctest: +SKIP
>>> extra = {"description.json": ""}  # doctest: +SKIP
>>> network = torch.export.load("network.pt2", extra_files=extra).module()  # doctest: +SKIP
>>> logits = network(images)  # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from netwright.errors import ExportError, first_line
from netwright.files import json_text
from netwright.models.export.base import require_same_outputs

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.export import ExportedProgram

DESCRIPTION = "description.json"
"""The extra file with the description."""


class TorchExport:
    """A ``.pt2`` file of `torch.export.save`; the batch may have any size, the images have the network's."""

    name: ClassVar[str] = "torch-export"
    suffix: ClassVar[str] = ".pt2"

    def write(
        self, network: nn.Module, example_input: Tensor, description: Mapping[str, Any], path: Path
    ) -> None:
        """See `netwright.models.export.base.Exporter.write`."""
        import torch

        file = BytesIO()  # torch tells a full disk by a RuntimeError only
        torch.export.save(
            _traced(network, example_input), file, extra_files={DESCRIPTION: json_text(description)}
        )
        path.write_bytes(file.getvalue())
        require_same_outputs(network, torch.export.load(path).module(), example_input)


def _traced(network: nn.Module, example_input: Tensor) -> ExportedProgram:
    import torch

    try:
        with torch.no_grad():
            program = torch.export.export(
                network, (example_input,), dynamic_shapes=({0: torch.export.Dim("batch")},)
            )
    except Exception as error:  # those of torch.export have no base in common, and a user's network any other
        raise ExportError(
            f"torch.export cannot trace the network: {first_line(error)}. Expected a network whose computation does "
            "not depend on the values or the number of its images. Nothing was written."
        ) from error
    program.example_inputs = None  # would be a large part of the file
    for graph in (module for module in program.graph_module.modules() if hasattr(module, "graph")):
        for node in graph.graph.nodes:
            node.meta.pop("stack_trace", None)  # names files of this machine
    return program
