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
    from netwright.settings import RunSettings
    from netwright.training.problem import Problem

TOLERANCE = 1e-4
"""The largest difference between the outputs of a network and of its export, absolute and relative."""


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
    """

    network: nn.Module
    images: Tensor
    description: Mapping[str, Any]
    saved: SavedNetwork | None = None
    settings: RunSettings | None = None
    data: ExportData | None = None
    tell: Callable[[str, str], None] = silent
    rebuilt: Callable[[], nn.Module] | None = None


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
) -> float:
    """Refuse an export whose outputs differ from the network's, for pairs of images and for the first alone.

    Args:
        network: as given to `Exporter.write`.
        exported: the network as it was read from the file.
        images: (N, C, *size).
        layer: gives the name of the first layer that differs for some images; it is only called where outputs do.

    Returns:
        The largest absolute difference.

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
            difference = float((given - expected).abs().max())
            if not torch.allclose(given, expected, rtol=TOLERANCE, atol=TOLERANCE):
                name = None if layer is None else layer(batch)
                raise ExportError(
                    f"The output of the exported network differs from the network's by {difference:.2g}: expected at "
                    f"most {TOLERANCE:g}. {_first(name)}Nothing was written. Choose another format."
                )
            largest = max(largest, difference)
    return largest


def _first(layer: str | None) -> str:
    return "" if layer is None else f"The first layer that differs is {layer}. "


def sizes_to_try(sizes: Sequence[int], multiples: Sequence[int]) -> tuple[int, ...]:
    """Another size that a network with free sizes must take: one step smaller along each axis, or larger.

    Args:
        sizes: of the network's input.
        multiples: what they are multiples of.
    """
    return tuple(n - m if n > m else n + m for n, m in zip(sizes, multiples, strict=True))
