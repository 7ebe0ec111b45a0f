"""The sizes that inspect and plan tell of prepared volumes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from netwright.data import PreprocessingSettings, open_any, prepare
from netwright.data.io.grid import Grid
from netwright.data.volumes.preprocessing import FOR_ANY_DATA
from netwright.data.volumes.sizes import sizes_of

Folder = Callable[..., Path]


def grid(shape: tuple[int, int, int], spacing: tuple[float, float, float]) -> Grid:
    return Grid(shape, tuple(map(tuple, np.diag([*spacing, 1.0]).tolist())))


@pytest.mark.parametrize(
    "values", [{}, FOR_ANY_DATA, {"spacing": "native", "pad": False, "low_resolution": (2, 3, 1)}]
)
def test_they_are_those_of_the_prepared_volumes(sample: Path, tmp_path: Path, values: dict[str, Any]) -> None:
    prepared = prepare(open_any(sample), PreprocessingSettings(**values), tmp_path)
    sizes, cases = prepared.sizes, range(len(prepared))
    inside = [[len(prepared.geometry(case).inside(axis)) for axis in range(3)] for case in cases]
    np.testing.assert_allclose(sizes.shape, np.median(inside, axis=0), atol=0.5)
    assert (sizes.size, sizes.spacing) == (prepared.size, prepared.spacing)
    files = [path for path in prepared.folder.glob("*.npy") if path.name != "foreground.npy"]
    assert len(files) == 2 + ("low_resolution" in values and values["low_resolution"] != "auto")
    arrays = sum(path.stat().st_size for path in files)
    assert 0 < arrays - sizes.cache_bytes < 1000  # the headers


def test_inspection_tells_those_of_auto(sample: Path) -> None:
    from netwright.data import inspect_any

    done: list[tuple[int, int]] = []
    inspection = inspect_any(open_any(sample), on_case=lambda *case: done.append(case))
    assert done == [(number, 6) for number in range(1, 7)]
    assert inspection.sizes is not None
    assert inspection.to_dict()["prepared"]["cache_bytes"] == inspection.sizes.cache_bytes


def test_a_patch_that_sees_little_is_told() -> None:
    settings = PreprocessingSettings(**FOR_ANY_DATA)
    thick = sizes_of([grid((512, 512, 75), (0.8, 0.8, 5.0))] * 4, settings, channels=1)
    assert thick.view == pytest.approx(np.prod(thick.size) / (512 * 512 * 75))
    assert thick.cache_bytes == 4 * (512 * 512 * 75 * 5 + 256 * 256 * 75 * 4)
    told = dict(thick.lines())
    assert told["prepared"] == (
        "median volume 512 x 512 x 75 voxels of 0.8 x 0.8 x 5 mm, input 240 x 240 x 36, cache 472 MB"
    )
    assert told["patches"] == (
        "an input sees 11 % of the median volume. Networks may have a first stage at low resolution, 1.6 x 1.6 x 5 mm: "
        "its input of 240 x 240 x 36 voxels sees 42 %"
    )
    one = replace(settings, low_resolution=None)
    told = dict(sizes_of([grid((512, 512, 75), (0.8, 0.8, 5.0))] * 4, one, channels=1).lines())
    coarser = [float(edge) for edge in told["patches"].partition("[")[2].partition("]")[0].split(",")]
    larger = sizes_of(
        [grid((512, 512, 75), (0.8, 0.8, 5.0))] * 4,
        PreprocessingSettings(spacing=(coarser[0], coarser[1], coarser[2]), size="proportional"),
        channels=1,
    )
    assert larger.view == pytest.approx(0.25, rel=0.1)
    small = sizes_of([grid((90, 90, 75), (1, 1, 1))], settings, channels=1)
    assert (small.view, list(dict(small.lines()))) == (1.0, ["prepared"])


def test_voxels_for_a_quarter_are_those_that_show_a_quarter() -> None:
    thin, fixed = [grid((512, 512, 75), (0.8, 0.8, 1.0))] * 3, (128, 128, 64)
    settings = PreprocessingSettings(spacing="native", size=fixed)
    told = dict(sizes_of(thin, settings, channels=1).lines())
    edges = [float(edge) for edge in told["patches"].partition("[")[2].partition("]")[0].split(",")]
    coarser = PreprocessingSettings(spacing=(edges[0], edges[1], edges[2]), size=fixed)
    assert 0.25 <= sizes_of(thin, coarser, channels=1).view < 0.27


def test_an_input_to_which_volumes_are_resized_sees_all_of_them() -> None:
    settings = PreprocessingSettings(resize=True, size=(128, 128, 128))
    found = sizes_of([grid((512, 512, 75), (0.8, 0.8, 5.0))] * 3, settings, channels=1)
    assert (found.view, list(dict(found.lines()))) == (1.0, ["prepared"])
