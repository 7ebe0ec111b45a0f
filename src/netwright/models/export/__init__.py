"""Trained networks as files that other programs use without netwright: one file for each format.

A format is chosen by its name in `EXPORTERS` (``netwright export --format``). `netwright.models.export.trained` exports
a network of a run.
"""

from __future__ import annotations

from netwright.errors import SettingsError
from netwright.models.export.base import Exporter
from netwright.models.export.torch_export import TorchExport

EXPORTERS: dict[str, Exporter] = {exporter.name: exporter for exporter in (TorchExport(),)}
"""By the name of the format."""

DEFAULT = TorchExport.name


def exporter_of(format: str) -> Exporter:
    """The exporter of that name.

    Raises:
        SettingsError: there is none; the message names those that exist.
    """
    if format not in EXPORTERS:
        raise SettingsError(f"There is no export format {format!r}. There are: {', '.join(EXPORTERS)}.")
    return EXPORTERS[format]
