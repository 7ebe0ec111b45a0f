"""Positions of foreground, as they are kept beside the prepared volumes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import arrays

from netwright.data import PreprocessingSettings, open_any, open_prepared, prepare
from netwright.data.volumes.foreground import MOST_POSITIONS, foreground_positions
from netwright.errors import DatasetError


@given(arrays(np.uint8, (4, 5, 6), elements={"min_value": 0, "max_value": 3}))
def test_few_voxels_are_all_kept(label: np.ndarray) -> None:
    found = foreground_positions(label, 5)
    assert len(found) == 4
    for index, places in enumerate(found, 1):
        np.testing.assert_array_equal(places, np.flatnonzero(label == index))


def test_of_many_voxels_some_are_drawn_evenly_and_always_the_same() -> None:
    label = np.ones((40, 50, 60), np.uint8)
    label[:20] = 2
    ones, twos = foreground_positions(label, 3)
    assert len(ones) == len(twos) == MOST_POSITIONS
    for places, value in ((ones, 1), (twos, 2)):
        assert (np.diff(places) > 0).all()
        assert (label.ravel()[places] == value).all()
        spread = np.stack(np.unravel_index(places, label.shape), -1).mean(0) / label.shape
        np.testing.assert_allclose(spread[1:], 0.5, atol=0.05)
    again = foreground_positions(label.copy(), 3)
    np.testing.assert_array_equal(again, [ones, twos])


def test_they_are_kept_in_the_cache_and_found_where_an_older_one_has_none(
    sample: Path, tmp_path: Path
) -> None:
    prepared = prepare(open_any(sample), PreprocessingSettings(), tmp_path, workers=2)
    kept = [prepared.foreground(index) for index in range(len(prepared))]
    for index, of_case in enumerate(kept):
        for value, voxels in enumerate(of_case, 1):
            assert voxels.shape == (min(prepared.cases[index].voxels[value], MOST_POSITIONS), 3)
            assert (prepared.label(index)[tuple(voxels.T)] == value).all()
    path = prepared.folder / "index.json"
    values = json.loads(path.read_text())
    for case in values["cases"]:
        del case["foreground"]
    (prepared.folder / "foreground.npy").rename(tmp_path / "elsewhere.npy")
    with pytest.raises(DatasetError, match="not a complete preprocessed dataset"):
        open_prepared(prepared.folder)
    path.write_text(json.dumps(values))
    older = open_prepared(prepared.folder)
    for index, of_case in enumerate(kept):
        for one, other in zip(of_case, older.foreground(index), strict=True):
            np.testing.assert_array_equal(one, other)
