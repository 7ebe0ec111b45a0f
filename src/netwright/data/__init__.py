"""Files to tensors: dataset folders read, inspected, preprocessed once, and mapped into memory by workers."""

from netwright.data.cache import Prepared, open_prepared, prepare
from netwright.data.dataset import Case, Dataset
from netwright.data.formats import FORMATS, find_cases, open_dataset
from netwright.data.geometry import Geometry
from netwright.data.inspection import Inspection, inspect_dataset
from netwright.data.preprocessing import PreparedImage, PreprocessingSettings, prepare_image
from netwright.data.problems import Problem, UnusableFile
from netwright.data.splits import Splits, split
from netwright.data.volumes import Volume, read_image, read_label, write_label_map

__all__ = [
    "FORMATS",
    "Case",
    "Dataset",
    "Geometry",
    "Inspection",
    "Prepared",
    "PreparedImage",
    "PreprocessingSettings",
    "Problem",
    "Splits",
    "UnusableFile",
    "Volume",
    "find_cases",
    "inspect_dataset",
    "open_dataset",
    "open_prepared",
    "prepare",
    "prepare_image",
    "read_image",
    "read_label",
    "split",
    "write_label_map",
]
