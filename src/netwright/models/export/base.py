"""What an exporter is: it writes a trained network so that other programs use it without netwright."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from netwright.errors import ExportError
from netwright.tasks.base import SavedNetwork

if TYPE_CHECKING:
    from torch import Tensor, nn

    from netwright.data.base import AnyPrepared
    from netwright.nn.ensemble import Output
    from netwright.settings import RunSettings
    from netwright.training.problem import Problem

TOLERANCE = 1e-4
"""The largest difference between the outputs of a network and of its export, as `difference` measures it."""


def silent(name: str, text: str) -> None:
    """Tells nobody: see `Exportable.tell`."""


@dataclass(frozen=True)
class ExportData:
    """The data of the run that a network comes from.

    Args:
        prepared: the cases.
        problem: what networks are trained for on them.
        training: indices of the training cases.
        validation: indices of the validation cases.
    """

    prepared: AnyPrepared
    problem: Problem
    training: tuple[int, ...]
    validation: tuple[int, ...]


@dataclass(frozen=True)
class Exportable:
    """A trained network, and what an exporter may need to know of it.

    Args:
        network: in evaluation mode, on the CPU, in float32. It gives one tensor for one tensor.
        images: what it is given of some real cases (N, C, *size); random numbers where there are no cases.
        description: how it is used (`netwright.models.export.description`), plain values. Each file or folder that is
            written contains them as JSON.
        saved: its files; None: it is of no run.
        settings: of its run.
        data: of its run; None where the dataset is gone.
        tell: tells the user something, by a name and a text.
        rebuilt: loads the network anew, so that it can be seen how its modules are made; None: it is of no run.
        output: what the network's output means.
    """

    network: nn.Module
    images: Tensor
    description: Mapping[str, Any]
    saved: SavedNetwork | None = None
    settings: RunSettings | None = None
    data: ExportData | None = None
    tell: Callable[[str, str], None] = silent
    rebuilt: Callable[[], nn.Module] | None = None
    output: Output = "values"


class Exporter(Protocol):
    """One format. It imports the library that it needs only in `write`."""

    @property
    def name(self) -> str:
        """As in `netwright.models.export.EXPORTERS` and ``--format``."""

    @property
    def suffix(self) -> str:
        """The ending of its files, with the dot; "" where it writes a folder."""

    @property
    def marker(self) -> str:
        """The description in a folder, by which an earlier export is recognised; "" where it writes a file."""

    def write(self, exportable: Exportable, path: Path) -> None:
        """Write the network to a file or folder.

        It takes batches of any size. Write it, read it back and call `require_same_outputs` with it: an export that
        differs is never put into its place. It contains no absolute paths of this machine.

        Args:
            exportable: the network.
            path: a new file, which ends in ``suffix``, or a new empty folder; the caller moves it into its place.

        Raises:
            ExportError: the format cannot express the network, or the outputs differ.
            SettingsError: a package that the format needs is not installed.
        """


class Quantiser(Exporter, Protocol):
    """A format that can also hold the network in whole numbers of 8 bits."""

    def quantised(self) -> Exporter:
        """An exporter that writes such a network beside the network."""


def require_same_outputs(
    network: nn.Module,
    exported: Callable[[Tensor], Tensor],
    images: Tensor,
    layer: Callable[[Tensor], str | None] | None = None,
    output: Output = "values",
) -> float:
    """Refuse an export whose outputs differ from the network's, for pairs of images and for the first alone.

    Args:
        network: as given to `Exporter.write`.
        exported: the network as it was read from the file.
        images: (N, C, *size).
        layer: gives the name of the first layer that differs for some images; it is only called where outputs do.
        output: what the outputs mean.

    Returns:
        The largest `difference`.

    Raises:
        ExportError: the outputs differ by more than `TOLERANCE`, or in shape.
    """
    import torch

    largest = 0.0
    with torch.inference_mode():
        for batch in (*(images[at : at + 2] for at in range(0, len(images), 2)), images[:1]):
            expected, given = network(batch), exported(batch)
            if expected.shape != given.shape:
                raise ExportError(
                    f"The exported network gives an output of shape {tuple(given.shape)} for {len(batch)} images: "
                    f"expected {tuple(expected.shape)}, as from the network. Nothing was written."
                )
            found = difference(given, expected, output)
            if not found <= TOLERANCE:
                name = None if layer is None else layer(batch)
                raise ExportError(
                    f"The output of the exported network differs from the network's by {found:.2g}{_MEASURED[output]}: "
                    f"expected at most {TOLERANCE:g}. {_first(name)}Nothing was written. Choose another format."
                )
            largest = max(largest, found)
    return largest


def difference(given: Tensor, expected: Tensor, output: Output = "values") -> float:
    """By how much an output differs at most, NaN if it is none.

    That of values is absolute. Logits are what probabilities come from, and as large as the training made them: in
    single precision large ones cannot be equal to 1e-4. So it is the larger one of two, the absolute difference of the
    probabilities, and that of the logits as a share of the largest expected one, which counts at least 1.

    Args:
        given: the output of an export.
        expected: that of the network, of the same shape (N, K, ...).
        output: what they mean.
    """
    import torch

    if output == "values":
        return float((given - expected).abs().max())
    before, after = (
        values.softmax(1) if output == "softmax" else values.sigmoid() for values in (expected, given)
    )
    return float(torch.maximum((after - before).abs().max(), share_of_largest(given, expected)))


def share_of_largest(given: Tensor, expected: Tensor) -> Tensor:
    """The largest difference as a share of the largest expected number, which counts at least 1.

    Args:
        given: the output of a layer of an export.
        expected: that of the network, of the same shape.
    """
    return (given - expected).abs().max() / expected.abs().max().clamp(min=1)


_MEASURED = {
    "values": "",
    "softmax": " (probabilities, or logits as a share of the largest)",
    "sigmoid": " (probabilities, or logits as a share of the largest)",
}


def _first(layer: str | None) -> str:
    return "" if layer is None else f"The first layer that differs is {layer}. "


def sizes_to_try(sizes: Sequence[int], multiples: Sequence[int]) -> tuple[int, ...]:
    """Another size that a network with free sizes must take: one step smaller along each axis, or larger.

    Args:
        sizes: of the network's input.
        multiples: what they are multiples of.
    """
    return tuple(n - m if n > m else n + m for n, m in zip(sizes, multiples, strict=True))
