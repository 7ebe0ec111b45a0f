"""The problem that prepared volumes pose."""

from __future__ import annotations

from dataclasses import replace

from netwright.data.volumes.prepared import Prepared
from netwright.data.volumes.slices import Slices, SliceSettings
from netwright.data.volumes.surroundings import SurroundedVolumes
from netwright.tasks.segmentation.network_task import SegmentationTask
from netwright.tasks.segmentation.slice_problem import SliceProblem
from netwright.tasks.segmentation.volume_problem import VolumeProblem
from netwright.training.problem import Problem


def make_problem(prepared: Prepared, slices: SliceSettings | None = None) -> Problem:
    """To segment volumes.

    ``slices``: slice by slice, by networks of two dimensions; None: as volumes.
    """
    task = volume_task(prepared)
    if slices is None:
        factors = prepared.settings.coarse_factors
        volumes = prepared if factors is None else SurroundedVolumes(prepared)
        return VolumeProblem(volumes, replace(task, channels=volumes.channels), factors)
    view = Slices(prepared, slices)
    return SliceProblem(view, replace(task, size=view.size))


def volume_task(prepared: Prepared) -> SegmentationTask:
    """To segment volumes as they were prepared."""
    return SegmentationTask(
        prepared.channels, prepared.label_names, prepared.size, prepared.regions, prepared.ignores
    )
