"""The voxel size and the input size chosen from a dataset of volumes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netwright.data import PreprocessingSettings
from netwright.data.io.grid import Grid
from netwright.data.volumes.preprocessing import FOR_ANY_DATA
from netwright.data.volumes.targets import LARGEST_PATCH, proportional_size
from netwright.recipes import RECIPES
from netwright.spaces.auto.resolutions import resolutions

EDGES = st.tuples(*[st.floats(0.3, 9)] * 3)
SIDES = st.tuples(*[st.integers(24, 700)] * 3)


def grid(shape: tuple[int, int, int], spacing: tuple[float, float, float]) -> Grid:
    return Grid(shape, tuple(map(tuple, np.diag([*spacing, 1.0]).tolist())))


def chosen(grids: list[Grid], **values: object) -> PreprocessingSettings:
    return PreprocessingSettings(**{**FOR_ANY_DATA, "normalise": "zscore", **values}).resolved(grids)  # type: ignore[arg-type]


@pytest.mark.parametrize("shapes", [((35, 49, 36), (37, 51, 35)), ((90, 128, 128),), ((16, 9, 100),)])
def test_cubic_voxels_give_what_published_recipes_have(shapes: tuple[tuple[int, int, int], ...]) -> None:
    grids = [grid(shape, (1.0, 1.0 + 1e-6, 1.0)) for shape in shapes]
    assert chosen(grids) == PreprocessingSettings().resolved(grids)


def test_pictures_are_prepared_as_published_recipes_do() -> None:
    grids = [grid((900, 700, 1), (1, 1, 1)), grid((900, 600, 1), (1, 1, 3))]
    assert chosen(grids) == PreprocessingSettings().resolved(grids)


def test_the_coarse_axis_takes_the_tenth_percentile() -> None:
    thick = [
        4.0,
        5.0,
        5.0,
        6.0,
        10.0,
        10.0,
        10.0,
        10.0,
        10.0,
        10.0,
        10.0,
    ]  # as in ACDC: the tenth percentile is 5
    grids = [grid((216, 256, 10), (1.5, 1.5, edge)) for edge in thick]
    assert chosen(grids).spacing == pytest.approx((1.5, 1.5, 5.0))
    assert chosen([grid((10, 256, 216), (10.0, 1.5, 1.5))] * 3).spacing == pytest.approx((10.0, 1.5, 1.5))
    # never finer than the other axes
    mixed = [grid((216, 256, 10), (2.0, 2.0, edge)) for edge in (1.0, 9.0, 9.0)]
    assert chosen(mixed).spacing == pytest.approx((2.0, 2.0, 2.6), abs=0.01)
    finest = [grid((216, 256, 10), (2.0, 2.0, edge)) for edge in (0.5, 0.5, 9.0, 9.0, 9.0)]
    assert chosen(finest).spacing == pytest.approx((2.0, 2.0, 2.0))


@pytest.mark.parametrize(
    ("shape", "edge"),
    [((256, 256, 100), 5.0), ((256, 256, 60), 2.9)],  # as many voxels as that, or voxels hardly thick
)
def test_other_data_takes_the_median(shape: tuple[int, int, int], edge: float) -> None:
    grids = [grid(shape, (1.0, 1.0, z)) for z in (1.5, edge, edge, edge, 2 * edge)]
    assert chosen(grids).spacing == pytest.approx((1.0, 1.0, edge))


def test_a_patch_of_a_thick_ct() -> None:
    settings = chosen([grid((512, 512, 75), (0.8, 0.8, 5.0))] * 4)
    assert settings.spacing == pytest.approx((0.8, 0.8, 5.0))
    x, y, z = settings.size or (0, 0, 0)
    assert x * y * z <= LARGEST_PATCH
    for length, side in zip((x, y, z), (512, 512, 75), strict=True):
        assert length / side == pytest.approx((LARGEST_PATCH / (512 * 512 * 75)) ** (1 / 3), rel=0.06)
    native = chosen([grid((512, 512, 75), (0.8, 0.8, 5.0))] * 4, spacing="native")
    assert (native.spacing, native.size) == ("native", settings.size)


@given(shape=SIDES, spacing=EDGES)
def test_patches_keep_proportions_and_can_be_pooled(
    shape: tuple[int, int, int], spacing: tuple[float, float, float]
) -> None:
    size = proportional_size(np.array([shape]), spacing)
    assert np.prod(size) <= LARGEST_PATCH
    share = np.array(size) / shape
    for one, length, side in zip(share, size, shape, strict=True):
        assert length < side + 8
        if length < side:  # it was shortened, by one multiple after the other, while it was covered best
            assert share.max() <= one + 8 / side + 1e-9
    if np.prod(shape) > 8 * LARGEST_PATCH:
        assert np.prod(size) > LARGEST_PATCH / 2
    if min(size) >= 24:
        for level in resolutions(size, spacing, 4):  # as the starting network of auto halves after its stem
            assert all(length % step == 0 for length, step in zip(size, level.stride, strict=True))
            size = level.size


def test_the_recipe_for_users_takes_them_and_published_ones_do_not() -> None:
    spacings = {
        name: recipe.values.get("preprocessing", {}).get("spacing") for name, recipe in RECIPES.items()
    }
    assert spacings.pop("auto") == "median"
    assert set(spacings.values()) <= {None, "native"}
