"""Trained networks as files that other programs use without netwright: one file for each format.

A format is chosen by its name in `EXPORTERS` (``netwright export --format``). `netwright.models.export.trained` exports
a network of a run.
"""

from __future__ import annotations

from netwright.errors import SettingsError
from netwright.models.export.base import Exporter, Quantiser
from netwright.models.export.monai_bundle import MonaiBundle
from netwright.models.export.nnunet import NNUNetExport
from netwright.models.export.onnx import OnnxExport
from netwright.models.export.source import SourceExport
from netwright.models.export.torch_export import TorchExport

QUANTISERS: dict[str, Quantiser] = {exporter.name: exporter for exporter in (OnnxExport(),)}
"""Those of `EXPORTERS` that can quantise, by name."""

EXPORTERS: dict[str, Exporter] = {
    exporter.name: exporter
    for exporter in (TorchExport(), *QUANTISERS.values(), SourceExport(), MonaiBundle(), NNUNetExport())
}
"""By the name of the format."""

DEFAULT = TorchExport.name


def exporter_of(format: str, *, quantise: bool = False) -> Exporter:
    """The exporter of that name. ``quantise``: also in whole numbers of 8 bits.

    Raises:
        SettingsError: there is none, or it cannot quantise; the message names those that exist.
    """
    if format not in EXPORTERS:
        raise SettingsError(f"There is no export format {format!r}. There are: {', '.join(EXPORTERS)}.")
    if not quantise:
        return EXPORTERS[format]
    if format not in QUANTISERS:
        raise SettingsError(
            f"{format} has no quantised networks. Leave --quantise out, or choose --format {' or '.join(QUANTISERS)}."
        )
    return QUANTISERS[format].quantised()
