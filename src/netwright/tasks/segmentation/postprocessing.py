"""The fully connected CRF of a run's networks.

It is fitted on validation cases and stored beside the weights. The test, ``evaluate`` and ``predict`` apply it alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from netwright.data.volumes.prepared import Prepared
from netwright.data.volumes.slices import Scans
from netwright.errors import RunError, SettingsError
from netwright.execution.resources import free_memory_mb
from netwright.files import read_json, write_json
from netwright.settings import RunSettings
from netwright.tasks.segmentation.crf_fitting import EDGES, FittedCRF, FittingCase, fit_crf
from netwright.tasks.segmentation.crf_tiles import margins
from netwright.tasks.segmentation.dense_crf import DenseCRF, memory_mb, require_library
from netwright.tasks.segmentation.predictor import Segmenter
from netwright.tasks.segmentation.task import POSTPROCESSING

MOST_VALUES = 16_000_000
"""The most probabilities of all fitting cases together. This limits time and memory for large volumes."""

FEWEST_CASES = 4
"""The fewest fitting cases, if there are as many."""

NO_MEMORY = "there is not enough memory for it"
NO_MEMORY_TO_TEST = "there is not enough memory for it on the test cases"


def fit_postprocessing(
    folder: Path, settings: RunSettings, network: Segmenter, prepared: Prepared, validation: Sequence[int]
) -> Segmenter:
    """Fits the CRF of a trained network and stores the result in its folder. Returns the network with the CRF if it is
    kept.

    Args:
        folder: of the trained network.
        settings: of the run.
        network: without a CRF.
        prepared: the run's data.
        validation: indices of its validation cases.

    Raises:
        SettingsError: pydensecrf2 is not installed.
    """
    require_library()
    options = settings.postprocessing
    chosen = fitting_cases(prepared, validation, options.cases)
    try:
        fitted = fit_crf(
            [_case(network, prepared, index) for index in chosen],
            network.task.classes,
            iterations=options.iterations,
            seconds=60.0 * options.minutes,
            always=options.crf == "always",
        )
    except MemoryError:
        nan, patients = float("nan"), len({prepared.cases[index].group for index in chosen})
        fitted = FittedCRF(False, NO_MEMORY, None, len(chosen), patients, nan, nan, 0.0, nan, 0, 0.0, False)
    write_json(folder / POSTPROCESSING, fitted.to_dict())
    return replace(network, crf=fitted.crf if fitted.kept else None)


def crf_shortage(prepared: Prepared, iterations: int, limit_mb: float | None) -> str:
    """What to tell before a search if there is not the memory for the CRF of the largest volumes; "": there is.

    Args:
        prepared: the run's volumes.
        iterations: of the mean field.
        limit_mb: of a worker; None: all that is free.
    """
    needs = []
    for index in range(len(prepared.cases)):
        geometry = prepared.geometry(index)
        around = margins(EDGES[-1] * min(geometry.spacing), iterations, geometry.spacing)
        needs.append((memory_mb(geometry.size, prepared.classes, prepared.channels, around), geometry.size))
    needed, size = max(needs)
    free = free_memory_mb()
    allowed = free if limit_mb is None else min(free, limit_mb)
    if needed <= allowed:
        return ""
    return (
        f"The CRF needs about {needed:,.0f} MB for the largest volumes, of {' x '.join(map(str, size))} voxels, and "
        f"there are {allowed:,.0f} MB for it. Where there is too little memory, none is kept. Leave it out by --set "
        "postprocessing.crf=false, or take larger voxels by preprocessing.spacing."
    )


def unkept_crf(folder: Path) -> DenseCRF | None:
    """The best CRF that was fitted to the network in a folder, if it was not kept; else None.

    Raises:
        RunError: the file is damaged.
    """
    fitted = read_fitted(folder)
    return None if fitted is None or fitted.kept else fitted.crf


def drop_crf(network: Segmenter, folder: Path) -> Segmenter:
    """The network without the CRF that was kept in its folder. It is removed for good, because test cases need too much
    memory for it.
    """
    fitted = read_fitted(folder)
    if fitted is not None and fitted.kept:
        write_json(folder / POSTPROCESSING, replace(fitted, kept=False, reason=NO_MEMORY_TO_TEST).to_dict())
    return replace(network, crf=None)


def fitting_cases(prepared: Prepared, validation: Sequence[int], most: int) -> tuple[int, ...]:
    """The validation cases that weights are fitted on: ``most`` of them, evenly spread.

    There are fewer where volumes are so large that their probabilities exceed `MOST_VALUES`.

    Args:
        prepared: the run's volumes.
        validation: indices of the validation cases.
        most: the most cases.
    """
    sizes = [int(np.prod(prepared.geometry(index).size)) * prepared.classes for index in validation]
    affordable = max(FEWEST_CASES, int(MOST_VALUES / np.mean(sizes)))
    count = min(len(validation), most, affordable)
    return tuple(
        validation[position] for position in np.linspace(0, len(validation) - 1, count).round().astype(int)
    )


def read_fitted(folder: Path) -> FittedCRF | None:
    """The result of fitting a CRF to the network in a folder; None where none was fitted.

    Raises:
        RunError: the file is damaged.
    """
    path = folder / POSTPROCESSING
    if not path.exists():
        return None
    try:
        return FittedCRF.from_dict(read_json(path))
    except (KeyError, TypeError, SettingsError) as error:
        raise RunError(
            f"{path} is damaged ({error!r}). Restore it from a copy, or delete it to go without the CRF."
        ) from None


def with_crf(network: Segmenter, folder: Path) -> Segmenter:
    """The network with the CRF that was kept in its folder, if one was.

    Raises:
        RunError: the file is damaged.
    """
    fitted = read_fitted(folder)
    return replace(network, crf=fitted.crf if fitted is not None and fitted.kept else None)


def _case(network: Segmenter, prepared: Prepared, index: int) -> FittingCase:
    volumes = prepared if network.slice_axis is None else Scans(prepared, network.slice_axis)
    image = np.array(volumes.image(index))
    return FittingCase(
        probabilities=network.probabilities(image, volumes.air(index)),
        image=image,
        truth=np.array(volumes.label(index)),
        spacing=prepared.geometry(index).spacing,
        group=prepared.cases[index].group,
    )
