"""What is written beside label maps, against torch, scipy and counts of voxels."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import SimpleITK
import torch
from PIL import Image, ImageOps
from scipy.special import softmax
from scipy.stats import entropy
from torch import Tensor, nn

from dicom_files import affine_of, write_series
from netwright.data.volumes.preprocessing import PreprocessingSettings
from netwright.errors import MemoryShortage, SettingsError, StorageError
from netwright.nn.ensemble import Ensemble
from netwright.tasks.outputs import ADDITIONAL
from netwright.tasks.segmentation.additional import uncertainty
from netwright.tasks.segmentation.network_task import SegmentationTask
from netwright.tasks.segmentation.predictor import Segmenter

SIZE = (12, 10, 8)
AFFINE = np.array([[-1.5, 0, 0, 20], [0, 0, 3.0, -7], [0, 1.5, 0, 4], [0, 0, 0, 1.0]])


class Pointwise(nn.Module):
    """Logits of three classes that depend on a voxel alone."""

    def forward(self, images: Tensor) -> Tensor:
        return torch.cat([images, 1 - images, 0.5 * images**2], 1)


def expected(image: np.ndarray) -> np.ndarray:
    """Probabilities (..., K)."""
    values = torch.from_numpy(image)
    return torch.stack([values, 1 - values, 0.5 * values**2], -1).softmax(-1).numpy()


def segmenter(spacing: Any = (1.5, 3.0, 1.5), **changes: Any) -> Segmenter:
    settings = PreprocessingSettings(spacing=spacing, pad=True, resize=False, size=SIZE, normalise="none")
    task = SegmentationTask(1, ("anterior", "posterior"), SIZE)
    return Segmenter(Pointwise(), task, (0, 1, 4), settings, torch.device("cpu"), **changes)


def flat_segmenter(normalise: Any = "none") -> Segmenter:
    settings = PreprocessingSettings(
        spacing=(1, 1, 1), pad=True, resize=False, size=(12, 10, 1), normalise=normalise
    )
    task = SegmentationTask(1, ("anterior", "posterior"), (12, 10))
    return Segmenter(Pointwise(), task, (0, 1, 4), settings, torch.device("cpu"), slice_axis=2)


def volume(path: Path, shape: tuple[int, ...] = (9, 8, 7)) -> np.ndarray:
    image = np.random.default_rng(0).uniform(-2, 3, shape).astype(np.float32)
    nibabel.save(nibabel.Nifti1Image(image, AFFINE), path)
    return image


def loaded(path: Path) -> np.ndarray:
    return np.asarray(nibabel.load(path).dataobj)


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "volumes.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_probabilities_entropy_and_volumes_of_a_volume(tmp_path: Path) -> None:
    image = volume(tmp_path / "scan.nii.gz")
    (plain,) = segmenter().predict(tmp_path / "scan.nii.gz", tmp_path / "plain")
    (written,) = segmenter().predict(tmp_path / "scan.nii.gz", tmp_path / "out", additional=ADDITIONAL)
    assert written.read_bytes() == plain.read_bytes()
    probabilities = loaded(tmp_path / "out" / "probabilities" / "scan.nii.gz")
    np.testing.assert_allclose(probabilities, expected(image), rtol=1e-4, atol=1e-6)
    known = nibabel.load(tmp_path / "out" / "uncertainty" / "scan.nii.gz")
    np.testing.assert_allclose(known.affine, AFFINE)
    np.testing.assert_allclose(
        np.asarray(known.dataobj), entropy(expected(image), axis=-1) / np.log(3), rtol=1e-3, atol=1e-5
    )
    labels = loaded(written)
    assert table(tmp_path / "out") == [
        {
            "case": "scan",
            "time": "",
            "label": str(value),
            "name": name,
            "voxels": str((labels == value).sum()),
            "ml": f"{(labels == value).sum() * 1.5 * 1.5 * 3.0 / 1000:.6g}",
        }
        for value, name in ((1, "anterior"), (4, "posterior"))
    ]


class Leaning(nn.Module):
    """Its logits also depend on where a voxel lies along x, so that a mirrored view gives others."""

    def forward(self, images: Tensor) -> Tensor:
        lean = torch.linspace(-1, 1, images.shape[2]).reshape(1, 1, -1, 1, 1)
        return torch.cat([images + lean, 1 - images, 0.5 * images**2 - lean], 1)


def test_the_uncertainty_of_an_ensemble_is_the_entropy_of_the_mean_over_members_and_views(
    tmp_path: Path,
) -> None:
    image = volume(tmp_path / "scan.nii.gz")
    ensemble = Ensemble([Pointwise(), Leaning()], (0.6, 0.4), (0,))
    predictor = replace(segmenter(), network=ensemble)
    predictor.predict(tmp_path / "scan.nii.gz", tmp_path / "out", additional=["probabilities", "uncertainty"])
    from_left = len(image) - 1 - np.arange(len(image))  # the file's first axis runs to the left
    before = (SIZE[0] - len(image)) // 2
    lean = np.linspace(-1, 1, SIZE[0])[before + from_left].reshape(-1, 1, 1)
    views = [
        softmax(np.stack([image + one, 1 - image, 0.5 * image**2 - one], -1), axis=-1)
        for one in (lean, -lean)
    ]
    mean = 0.6 * expected(image) + 0.2 * views[0] + 0.2 * views[1]
    np.testing.assert_allclose(loaded(tmp_path / "out" / "probabilities" / "scan.nii.gz"), mean, atol=1e-5)
    found = loaded(tmp_path / "out" / "uncertainty" / "scan.nii.gz")
    np.testing.assert_allclose(found, entropy(mean, axis=-1) / np.log(3), atol=1e-4)
    of_members = np.mean([entropy(one, axis=-1) for one in (expected(image), *views)], axis=0) / np.log(3)
    assert abs(found - of_members).max() > 0.05, "not the mean of entropies"


def test_on_another_grid_labels_are_those_of_the_probabilities(tmp_path: Path) -> None:
    volume(tmp_path / "scan.nii.gz")
    coarse = segmenter(spacing=(2.0, 2.0, 2.0))
    (plain,) = coarse.predict(tmp_path / "scan.nii.gz", tmp_path / "plain")
    (written,) = coarse.predict(tmp_path / "scan.nii.gz", tmp_path / "out", additional=["probabilities"])
    probabilities = loaded(tmp_path / "out" / "probabilities" / "scan.nii.gz")
    np.testing.assert_allclose(probabilities.sum(-1), 1, atol=1e-5)
    assert np.array_equal(np.array([0, 1, 4])[probabilities.argmax(-1)], loaded(written))
    assert written.read_bytes() == plain.read_bytes()
    assert not (tmp_path / "out" / "uncertainty").exists()
    assert not (tmp_path / "out" / "volumes.csv").exists()


def test_every_frame_of_a_cine(tmp_path: Path) -> None:
    cine = volume(tmp_path / "heart.nii.gz", (9, 8, 7, 2))
    segmenter().predict(tmp_path / "heart.nii.gz", tmp_path / "out", additional=ADDITIONAL)
    probabilities = loaded(tmp_path / "out" / "probabilities" / "heart.nii.gz")
    np.testing.assert_allclose(probabilities, expected(cine), rtol=1e-4, atol=1e-6)
    assert loaded(tmp_path / "out" / "uncertainty" / "heart.nii.gz").shape == cine.shape
    assert [(row["time"], row["label"]) for row in table(tmp_path / "out")] == [
        ("0", "1"),
        ("0", "4"),
        ("1", "1"),
        ("1", "4"),
    ]


def test_pictures_have_pages_and_no_ml(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (10, 12), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "cell.png")
    flat = flat_segmenter()
    (written,) = flat.predict(tmp_path / "cell.png", tmp_path / "out", additional=ADDITIONAL)
    with Image.open(tmp_path / "out" / "probabilities" / "cell.tif") as pages:
        assert pages.n_frames == 3
        found = []
        for page in range(3):
            pages.seek(page)
            found.append(np.asarray(pages))
    np.testing.assert_allclose(np.stack(found, -1), expected(pixels.astype(np.float32)), rtol=1e-4, atol=1e-6)
    assert np.asarray(Image.open(tmp_path / "out" / "uncertainty" / "cell.tif")).shape == pixels.shape
    labels = np.asarray(Image.open(written))
    assert [row["voxels"] for row in table(tmp_path / "out")] == [str((labels == n).sum()) for n in (1, 4)]
    assert {row["ml"] for row in table(tmp_path / "out")} == {""}


def scan_of(kind: str, folder: Path) -> Path:
    """An oblique scan of other axes than NIfTI's, as another program writes it."""
    rng = np.random.default_rng(2)
    if kind == "dicom":
        turned = affine_of(np.array([[0.0, -1, 0], [0, 0, 1], [-1, 0, 0]]))
        return write_series(folder / "scan", rng.integers(-2, 4, (5, 6, 7), np.int16), turned)
    image = SimpleITK.GetImageFromArray(rng.uniform(-2, 3, (5, 6, 7)).astype(np.float32))
    image.SetSpacing((1.5, 0.7, 2.0))
    image.SetOrigin((3.0, -20.0, 8.0))
    image.SetDirection(np.array([[0.6, 0, 0.8], [0, -1, 0], [0.8, 0, -0.6]]).ravel().tolist())
    SimpleITK.WriteImage(image, folder / f"scan.{kind}")
    return folder / f"scan.{kind}"


def read_by_itk(scan: Path) -> SimpleITK.Image:
    if not scan.is_dir():
        return SimpleITK.ReadImage(scan)
    return SimpleITK.ReadImage(SimpleITK.ImageSeriesReader.GetGDCMSeriesFileNames(str(scan)))


@pytest.mark.parametrize("kind", ["nrrd", "mha", "dicom"])
def test_beside_scans_of_other_formats(kind: str, tmp_path: Path) -> None:
    """As NIfTI, whose voxels lie where SimpleITK has those of the scan."""
    scan = scan_of(kind, tmp_path)
    (written,) = segmenter("native").predict(scan, tmp_path / "out", additional=ADDITIONAL)
    image = read_by_itk(scan)
    wanted = expected(SimpleITK.GetArrayFromImage(image).astype(np.float32))
    found = SimpleITK.ReadImage(tmp_path / "out" / "probabilities" / "scan.nii.gz")
    np.testing.assert_allclose(
        np.moveaxis(SimpleITK.GetArrayFromImage(found), 0, -1), wanted, rtol=1e-4, atol=1e-6
    )
    entropies = SimpleITK.ReadImage(tmp_path / "out" / "uncertainty" / "scan.nii.gz")
    np.testing.assert_allclose(
        SimpleITK.GetArrayFromImage(entropies), entropy(wanted, axis=-1) / np.log(3), rtol=1e-3, atol=1e-5
    )
    labels = SimpleITK.ReadImage(written)
    np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(labels), np.array([0, 1, 4])[wanted.argmax(-1)])
    for same in (entropies, labels):
        for what in ("GetOrigin", "GetSpacing", "GetDirection"):
            np.testing.assert_allclose(getattr(same, what)(), getattr(image, what)(), atol=1e-5)
    ml = np.prod(image.GetSpacing()) / 1000
    counts = [(wanted.argmax(-1) == index).sum() for index in (1, 2)]
    assert [int(row["voxels"]) for row in table(tmp_path / "out")] == counts
    np.testing.assert_allclose(
        [float(row["ml"]) for row in table(tmp_path / "out")], np.array(counts) * ml, rtol=1e-4
    )


@pytest.mark.parametrize("orientation", [3, 6])
def test_turned_pictures_are_as_they_are_shown(orientation: int, tmp_path: Path) -> None:
    """Of a picture that an EXIF tag turns, all files have the pixels that a viewer shows."""
    pixels = np.random.default_rng(0).integers(0, 255, (6, 9), np.uint8)
    tags = Image.Exif()
    tags[0x0112] = orientation
    Image.fromarray(pixels).save(tmp_path / "cell.png", exif=tags)
    flat = flat_segmenter(normalise="minmax")
    (written,) = flat.predict(tmp_path / "cell.png", tmp_path / "out", additional=ADDITIONAL)
    with Image.open(tmp_path / "cell.png") as picture:
        shown = np.asarray(ImageOps.exif_transpose(picture)).astype(np.float32)
    assert shown.shape == ((6, 9) if orientation == 3 else (9, 6))
    wanted = expected((shown - shown.min()) / (shown.max() - shown.min()))
    with Image.open(tmp_path / "out" / "probabilities" / "cell.tif") as pages:
        for page in range(3):
            pages.seek(page)
            np.testing.assert_allclose(np.asarray(pages), wanted[..., page], rtol=1e-4, atol=1e-6)
    with Image.open(tmp_path / "out" / "uncertainty" / "cell.tif") as page:
        np.testing.assert_allclose(np.asarray(page), entropy(wanted, axis=-1) / np.log(3), atol=1e-5)
    with Image.open(written) as labels:
        shown_labels = np.asarray(ImageOps.exif_transpose(labels))
    np.testing.assert_array_equal(shown_labels, np.array([0, 1, 4])[wanted.argmax(-1)])
    assert [row["voxels"] for row in table(tmp_path / "out")] == [
        str((shown_labels == n).sum()) for n in (1, 4)
    ]


def test_regions_are_as_uncertain_as_being_in_each_or_not() -> None:
    shares = np.array([[0.5, 0.5], [0.0, 1.0], [0.25, 0.5]], np.float32)
    halves = [entropy([share, 1 - share], base=2) for share in (0.25, 0.5)]
    np.testing.assert_allclose(uncertainty(shares, exclusive=False), [1, 0, np.mean(halves)], atol=1e-6)


def test_what_cannot_be_is_refused_and_nothing_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    volume(tmp_path / "scan.nii.gz")
    with pytest.raises(
        SettingsError, match="expected some of probabilities, uncertainty and volumes, got 'logits'"
    ):
        segmenter().predict(tmp_path / "scan.nii.gz", tmp_path / "out", additional=["logits"])
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "volumes.csv").write_text("mine")
    with pytest.raises(StorageError, match=r"volumes\.csv"):
        segmenter().predict(tmp_path / "scan.nii.gz", tmp_path / "out", additional=["volumes"])
    assert (tmp_path / "out" / "volumes.csv").read_text() == "mine"
    assert not (tmp_path / "out" / "scan.nii.gz").exists()
    free = type("Free", (), {"available": 1000})
    monkeypatch.setattr("psutil.virtual_memory", lambda: free)
    with pytest.raises(MemoryShortage, match="the probabilities of its 3 classes need about"):
        segmenter().predict(tmp_path / "scan.nii.gz", tmp_path / "new", additional=["uncertainty"])
    volume(tmp_path / "heart.nii.gz", (9, 8, 7, 40))
    free.available = 500_000  # enough for one frame, and not for forty
    segmenter().predict(tmp_path / "scan.nii.gz", tmp_path / "new", additional=["uncertainty"])
    with pytest.raises(MemoryShortage, match=r"heart\.nii\.gz: the probabilities"):
        segmenter().predict(tmp_path / "heart.nii.gz", tmp_path / "new", additional=["uncertainty"])


def test_what_was_segmented_before_an_error_is_in_the_table(tmp_path: Path) -> None:
    (tmp_path / "scans").mkdir()
    for name in ("first", "second"):
        volume(tmp_path / "scans" / f"{name}.nii.gz")

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        segmenter().predict(tmp_path / "scans", tmp_path / "out", stop, additional=["volumes"])
    assert [row["case"] for row in table(tmp_path / "out")] == ["first", "first"]
