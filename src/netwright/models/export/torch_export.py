"""PyTorch's own format for programs: needs torch alone.

>>> import torch  # doctest: +SKIP
>>> extra = {"description.json": ""}  # doctest: +SKIP
>>> network = torch.export.load("network.pt2", extra_files=extra).module()  # doctest: +SKIP
>>> logits = network(images)  # doctest: +SKIP
"""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from netwright.files import json_text
from netwright.models.export.base import Exportable
from netwright.models.export.checked import described, written
from netwright.models.export.differences import first_different_layer
from netwright.models.export.tracing import Traced

if TYPE_CHECKING:
    from torch import nn

DESCRIPTION = "description.json"
"""The extra file with the description."""


class TorchExport:
    """A ``.pt2`` file of `torch.export.save`; the batch may have any size, and images where the network allows it."""

    name: ClassVar[str] = "torch-export"
    suffix: ClassVar[str] = ".pt2"
    marker: ClassVar[str] = ""

    def write(self, exportable: Exportable, path: Path) -> None:
        """See `netwright.models.export.base.Exporter.write`."""
        self.write_and_read(exportable, path)

    def write_and_read(self, exportable: Exportable, path: Path) -> nn.Module:
        """The same. Returns the network as it was read back, which takes seconds.

        Args:
            exportable: the network.
            path: a new file.

        Raises:
            ExportError: as `write`.
        """
        import torch

        read: list[nn.Module] = []

        def save(traced: Traced) -> nn.Module:
            file = BytesIO()  # torch tells a full disk by a RuntimeError only
            extra = {DESCRIPTION: json_text(described(exportable, traced))}
            torch.export.save(traced.program, file, extra_files=extra)
            path.write_bytes(file.getvalue())
            read.append(torch.export.load(path).module())
            return read[-1]

        written(
            exportable,
            save,
            lambda traced, images: first_different_layer(exportable.network, traced.program, images),
        )
        return read[-1]
