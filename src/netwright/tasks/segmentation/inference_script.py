"""The script that goes with an exported segmentation network."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from netwright.data.volumes.preprocessing import PreprocessingSettings
from netwright.tasks.base import InferenceScript, SavedNetwork
from netwright.tasks.segmentation.graph_geometry import Steps
from netwright.tasks.segmentation.graph_samples import samples
from netwright.tasks.segmentation.inference_graphs import graphs
from netwright.tasks.segmentation.pictures import image_channels, of_pictures
from netwright.tasks.segmentation.postprocessing import read_fitted


def script_of(saved: SavedNetwork, use: Mapping[str, Any]) -> InferenceScript:
    """The script of label maps, without a CRF.

    Args:
        saved: the network.
        use: its labels, from `Task.describe_use`.
    """
    settings, architecture = PreprocessingSettings.from_dict(saved.preprocessing), saved.architecture
    channels = image_channels(saved)
    slice_axis, flat = architecture.get("slice_axis"), of_pictures(saved)
    window = list(architecture["size"])
    if slice_axis is not None:
        window.insert(slice_axis, 1)
    x, y, z = window
    values = {
        "preprocessing": settings.to_dict(),  # also what an older version did not write
        "image_channels": channels,
        "slice_axis": slice_axis,
        "pictures": flat,
        "window": window,
    }
    known = Steps(settings, (x, y, z), slice_axis, flat), channels, use["label_values"]
    regions = "writing" in use
    fitted = read_fitted(saved.folder)
    without = fitted is not None and fitted.kept
    lacks = ("Without the CRF that netwright applies: labels are those of the network alone.",) * without
    return InferenceScript(
        "segmentation/infer.py.j2",
        values,
        graphs(*known, regions=regions),
        partial(samples, *known, regions=regions),
        lacks,
    )
