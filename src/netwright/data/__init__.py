"""Files to tensors: dataset folders read, inspected, preprocessed once, and mapped into memory by workers."""

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
