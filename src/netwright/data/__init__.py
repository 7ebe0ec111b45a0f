"""Files to tensors: dataset folders read, inspected, preprocessed once, and mapped into memory by workers."""

from netwright.data.cache import Prepared, open_prepared, prepare
from netwright.data.classification.dataset import ImageSet
from netwright.data.classification.prepared import PreparedImages
from netwright.data.classification.reading import prepare_one
from netwright.data.classification.settings import ImageSettings
from netwright.data.dataset import Case, Dataset
from netwright.data.formats import FORMATS, find_cases
from netwright.data.geometry import Geometry
from netwright.data.inspection import Inspection, inspect_dataset
from netwright.data.opening import inspect_any, open_any, open_prepared_any, prepare_any, split_any
from netwright.data.preprocessing import PreparedImage, PreprocessingSettings, prepare_volume
from netwright.data.problems import Problem, UnusableFile
from netwright.data.slices import Slices, SliceSettings
from netwright.data.splits import Splits, split
from netwright.data.volumes import Volume, read_image, read_label, write_label_map

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
