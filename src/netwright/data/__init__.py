"""Files to tensors: dataset folders read, inspected, preprocessed once, and mapped into memory by workers."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from netwright.data.images.dataset import ImageSet
    from netwright.data.images.prepared import PreparedImages
    from netwright.data.images.reading import prepare_one
    from netwright.data.images.settings import ImageSettings
    from netwright.data.io.volumes import Volume, read_image, read_label, write_label_map
    from netwright.data.issues import Problem, UnusableFile
    from netwright.data.layouts import FORMATS, find_cases
    from netwright.data.open import inspect_any, open_any, open_prepared_any, prepare_any, split_any
    from netwright.data.splits import Splits, split
    from netwright.data.volumes.cache import Prepared, open_prepared, prepare
    from netwright.data.volumes.dataset import Case, Dataset
    from netwright.data.volumes.geometry import Geometry
    from netwright.data.volumes.inspection import Inspection, inspect_dataset
    from netwright.data.volumes.preprocessing import PreparedImage, PreprocessingSettings, prepare_volume
    from netwright.data.volumes.slices import Slices, SliceSettings

__all__ = [
    "FORMATS",
    "Case",
    "Dataset",
    "Geometry",
    "ImageSet",
    "ImageSettings",
    "Inspection",
    "Prepared",
    "PreparedImage",
    "PreparedImages",
    "PreprocessingSettings",
    "Problem",
    "SliceSettings",
    "Slices",
    "Splits",
    "UnusableFile",
    "Volume",
    "find_cases",
    "inspect_any",
    "inspect_dataset",
    "open_any",
    "open_prepared",
    "open_prepared_any",
    "prepare",
    "prepare_any",
    "prepare_one",
    "prepare_volume",
    "read_image",
    "read_label",
    "split",
    "split_any",
    "write_label_map",
]

_HOMES = {
    "FORMATS": "netwright.data.layouts",
    "Case": "netwright.data.volumes.dataset",
    "Dataset": "netwright.data.volumes.dataset",
    "Geometry": "netwright.data.volumes.geometry",
    "ImageSet": "netwright.data.images.dataset",
    "ImageSettings": "netwright.data.images.settings",
    "Inspection": "netwright.data.volumes.inspection",
    "Prepared": "netwright.data.volumes.cache",
    "PreparedImage": "netwright.data.volumes.preprocessing",
    "PreparedImages": "netwright.data.images.prepared",
    "PreprocessingSettings": "netwright.data.volumes.preprocessing",
    "Problem": "netwright.data.issues",
    "SliceSettings": "netwright.data.volumes.slices",
    "Slices": "netwright.data.volumes.slices",
    "Splits": "netwright.data.splits",
    "UnusableFile": "netwright.data.issues",
    "Volume": "netwright.data.io.volumes",
    "find_cases": "netwright.data.layouts",
    "inspect_any": "netwright.data.open",
    "inspect_dataset": "netwright.data.volumes.inspection",
    "open_any": "netwright.data.open",
    "open_prepared": "netwright.data.volumes.cache",
    "open_prepared_any": "netwright.data.open",
    "prepare": "netwright.data.volumes.cache",
    "prepare_any": "netwright.data.open",
    "prepare_one": "netwright.data.images.reading",
    "prepare_volume": "netwright.data.volumes.preprocessing",
    "read_image": "netwright.data.io.volumes",
    "read_label": "netwright.data.io.volumes",
    "split": "netwright.data.splits",
    "split_any": "netwright.data.open",
    "write_label_map": "netwright.data.io.volumes",
}


def __getattr__(name: str) -> Any:
    # On first use, since whoever reads the parts of a dataset or a picture needs no reader of volumes.
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'netwright.data' has no attribute {name!r}")
