"""Tiles of a volume for the fully connected CRF: they cover it once, and give what the whole volume gives."""

from __future__ import annotations

from math import prod

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netwright.tasks.segmentation import dense_crf
from netwright.tasks.segmentation.crf_tiles import margins, tiling
from netwright.tasks.segmentation.dense_crf import DenseCRF, memory_mb, refine

LENGTHS = st.tuples(*[st.integers(1, 40)] * 3)


@given(shape=LENGTHS, around=st.tuples(*[st.integers(0, 9)] * 3), most=st.integers(1, 20_000))
def test_tiles_cover_the_volume_once_with_what_is_around_them(
    shape: tuple[int, ...], around: tuple[int, ...], most: int
) -> None:
    tiles = tiling(shape, around, most)
    covered = np.zeros(shape, int)
    for tile in tiles:
        covered[tile.voxels] += 1
        assert (covered[tile.around][tile.inside].shape) == covered[tile.voxels].shape
        for own, wide, margin, length in zip(tile.voxels, tile.around, around, shape, strict=True):
            assert wide.start == max(own.start - margin, 0)
            assert wide.stop == min(own.stop + margin, length)
        read = covered[tile.around].shape
        assert all(one <= largest for one, largest in zip(read, tiles.largest, strict=True))
    assert (covered == 1).all()
    thinnest = [min(length, 4 * max(margin, 1)) for length, margin in zip(shape, around, strict=True)]
    assert prod(tiles.largest) <= max(most, prod(thinnest))


@pytest.mark.parametrize(
    "crf",
    [DenseCRF(1.0, 1.0, 6.0, 2.0, 0.3, iterations=3), DenseCRF(6.0, 1.0, 0.0, 90.0, 1.0, iterations=3)],
    ids=["both", "smoothness"],
)
def test_tiles_give_what_the_whole_volume_gives(crf: DenseCRF, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pydensecrf", reason="the extra 'crf' is not installed")
    rng = np.random.default_rng(0)
    shape, spacing = (64, 9, 30), (1.0, 1.0, 2.0)
    logits = rng.normal(0, 1.5, (3, *shape))
    probabilities = (np.exp(logits) / np.exp(logits).sum(0)).astype(np.float32)
    image = rng.normal(0, 1, (1, *shape)).astype(np.float32)
    whole = refine(probabilities, image, spacing, crf)
    around = margins(crf.reach_mm, crf.iterations, spacing)
    monkeypatch.setattr(dense_crf, "TILE_MB", memory_mb((44, 9, 24), 3, 1, (0, 0, 0)))
    assert not dense_crf._tiling(shape, 3, 1, around).is_whole
    tiled = refine(probabilities, image, spacing, crf)
    np.testing.assert_allclose(tiled, whole, atol=1e-4)
    assert np.abs(tiled - probabilities).mean() > 0.05, "the CRF did something"
    narrow = np.concatenate([refine(probabilities[:, part], image[:, part], spacing, crf) for part in
                             (slice(0, 32), slice(32, 64))], 1)  # fmt: skip
    assert np.abs(narrow - whole).max() > 0.1, "without what is around them, tiles give something else"


def test_large_volumes_need_the_memory_of_a_tile() -> None:
    around = margins(4 * 0.8, 5, (0.8, 0.8, 1.0))
    needed = memory_mb((512, 512, 300), 15, 1, around)
    both = 2 * 4e-6 * 15 * 512 * 512 * 300
    assert both < needed < both + dense_crf.TILE_MB
    assert memory_mb((100, 100, 100), 15, 1, around) == 1550
