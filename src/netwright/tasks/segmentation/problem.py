"""The problem that prepared volumes pose."""

from __future__ import annotations

from netwright.data.volumes.prepared import Prepared
from netwright.data.volumes.slices import Slices, SliceSettings
from netwright.data.volumes.surroundings import SurroundedVolumes
from netwright.tasks.segmentation.slice_problem import SliceProblem
from netwright.tasks.segmentation.task import SegmentationTask
from netwright.tasks.segmentation.volume_problem import VolumeProblem
from netwright.training.problem import Problem


def make_problem(prepared: Prepared, slices: SliceSettings | None = None) -> Problem:
    """To segment volumes.

    ``slices``: slice by slice, by networks of two dimensions; None: as volumes.
    """
    if slices is None:
        factors = prepared.settings.coarse_factors
        volumes = prepared if factors is None else SurroundedVolumes(prepared)
        task = SegmentationTask(volumes.channels, prepared.label_names, prepared.size)
        return VolumeProblem(volumes, task, factors)
    view = Slices(prepared, slices)
    return SliceProblem(view, SegmentationTask(prepared.channels, prepared.label_names, view.size))
