"""A published dataset: nibabel's numbers, a way back that keeps real shapes, and time."""

from __future__ import annotations

import time
from pathlib import Path

import nibabel
import numpy as np
import pytest

from netwright.data import (
    PreprocessingSettings,
    inspect_dataset,
    open_any,
    prepare,
    read_image,
    read_label,
    write_label_map,
)


def test_inspected_and_prepared_within_fifteen_seconds(hippocampus: Path, tmp_path: Path) -> None:
    start = time.perf_counter()
    dataset = open_any(hippocampus)
    inspection = inspect_dataset(dataset, workers=2)
    prepared = prepare(dataset, PreprocessingSettings(), tmp_path, workers=2)
    seconds = time.perf_counter() - start
    assert inspection.problems == ()
    assert inspection.fingerprint.shape is not None
    assert inspection.fingerprint.shape.median == (35, 50, 36)
    assert len(prepared) == 200
    assert (prepared.size, prepared.spacing) == ((40, 56, 40), (1, 1, 1))
    labels = [np.asarray(nibabel.load(case.label).dataobj) for case in dataset.cases if case.label]
    anterior = sum(int((values == 1).sum()) for values in labels)
    assert prepared.class_counts_of(range(200))[1] == inspection.fingerprint.labels[1].voxels == anterior
    assert seconds < 15


@pytest.mark.parametrize(
    "settings",
    [
        PreprocessingSettings(size=(40, 56, 40)),
        PreprocessingSettings(spacing=(0.7, 0.7, 0.7), size=(64, 64, 64)),
        PreprocessingSettings(size=(64, 64, 64), resize=True),
        PreprocessingSettings(size=(40, 64, 48), resize=True, pad=False),
    ],
)
def test_real_shapes_survive_the_way_there_and_back(
    settings: PreprocessingSettings, hippocampus: Path
) -> None:
    dataset = open_any(hippocampus)
    resolved = settings.resolved([read_image(dataset.cases[0].images).grid])
    scores = []
    for case in dataset.cases[::20]:
        assert case.label is not None
        truth = read_label(case.label).astype(np.uint8)
        geometry = resolved.geometry(read_image(case.images).grid)
        restored = geometry.restore(geometry.prepare_labels(truth))
        for value in (1, 2):
            both = ((restored == value) & (truth == value)).sum()
            scores.append(2 * both / ((restored == value).sum() + (truth == value).sum()))
    assert np.mean(scores) > 0.98
    if not settings.resize and settings.spacing == "isotropic":
        assert min(scores) == 1


def test_label_maps_are_written_where_the_scan_is(hippocampus: Path, tmp_path: Path) -> None:
    case = open_any(hippocampus).cases[7]
    assert case.label is not None
    write_label_map(tmp_path / "a.nii.gz", read_label(case.label).astype(np.uint8), case.images[0])
    written, scan = nibabel.load(tmp_path / "a.nii.gz"), nibabel.load(case.images[0])
    np.testing.assert_array_equal(written.affine, scan.affine)
    np.testing.assert_array_equal(np.asarray(written.dataobj), np.asarray(nibabel.load(case.label).dataobj))
