"""A trained network as one readable Python file, which needs torch and safetensors alone."""

from netwright.models.export.source.exporter import SourceExport

__all__ = ["SourceExport"]
