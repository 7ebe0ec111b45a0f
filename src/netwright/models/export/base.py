"""What an exporter is: it writes a trained network as a file that other programs use without netwright."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from netwright.errors import ExportError

if TYPE_CHECKING:
    from torch import Tensor, nn

TOLERANCE = 1e-4
"""The largest difference between the outputs of a network and of its export, absolute and relative."""


class Exporter(Protocol):
    """One file format. It imports the library that it needs only in `write`."""

    name: ClassVar[str]
    """As in `netwright.models.export.EXPORTERS` and ``--format``."""

    suffix: ClassVar[str]
    """The ending of its files, with the dot."""

    def write(
        self, network: nn.Module, example_input: Tensor, description: Mapping[str, Any], path: Path
    ) -> None:
        """Write the network to a file.

        The file takes batches of any size, and gives for each the output of the network. Write the file, read it back
        and call `require_same_outputs` with it: a file that differs is never put into its place. The file contains
        no absolute paths of this machine.

        Args:
            network: in evaluation mode, on the CPU, in float32. It gives one tensor for one tensor.
            example_input: two images (2, C, *size) of the network's input size.
            description: how the network is used (`netwright.models.export.description`), plain values that the
                file must contain as JSON.
            path: a new file, which ends in ``suffix``; the caller moves it into its place.

        Raises:
            ExportError: the format cannot express the network, or the outputs differ.
            SettingsError: a package that the format needs is not installed.
        """


def require_same_outputs(
    network: nn.Module, exported: Callable[[Tensor], Tensor], example_input: Tensor
) -> None:
    """Refuse an export whose outputs differ from the network's, for the example and for its first image alone.

    Args:
        network: as given to `Exporter.write`.
        exported: the network as it was read from the file.
        example_input: as given to `Exporter.write`.

    Raises:
        ExportError: the outputs differ by more than `TOLERANCE`, or in shape.
    """
    import torch

    with torch.inference_mode():
        for images in (example_input, example_input[:1]):
            expected, given = network(images), exported(images)
            if expected.shape != given.shape:
                raise ExportError(
                    f"The exported network gives an output of shape {tuple(given.shape)} for {len(images)} images: "
                    f"expected {tuple(expected.shape)}, as from the network. Nothing was written."
                )
            if not torch.allclose(given, expected, rtol=TOLERANCE, atol=TOLERANCE):
                difference = float((given - expected).abs().max())
                raise ExportError(
                    f"The output of the exported network differs from the network's by {difference:.2g}: expected at "
                    f"most {TOLERANCE:g}. Nothing was written. Choose another format."
                )
