"""What `predict` writes over, and what it never does: inputs, and files that it did not write."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import SimpleITK
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import nn

from netwright.data.layouts.volume_files import MANIFEST
from netwright.data.volumes.preprocessing import PreprocessingSettings
from netwright.errors import DatasetError, DatasetWarning, NetwrightError, SettingsError, StorageError
from netwright.tasks.outputs import Outputs, Reading, plan_outputs
from netwright.tasks.segmentation.network_task import SegmentationTask
from netwright.tasks.segmentation.predictor import Segmenter
from netwright_tests import save_picture


class Bright(nn.Module):
    """Class 1 where the first channel is over 5; its number of outputs does not depend on that of its inputs."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.cat([5 - images[:, :1], images[:, :1] - 5], 1)


def segmenter(channels: int = 1) -> Segmenter:
    return Segmenter(
        network=Bright(),
        task=SegmentationTask(channels, ("bright",), (8, 8)),
        label_values=(0, 3),
        preprocessing=PreprocessingSettings(spacing="native", normalise="none", pad=False, size=(8, 8, 8)),
        device="cpu",
        slice_axis=2,
    )


def scan(path: Path, seed: int = 0, channels: int | None = None) -> Path:
    shape = (9, 8, 4) if channels is None else (9, 8, 4, channels)
    values = np.random.default_rng(seed).uniform(0, 10, shape).astype(np.float32)
    path.parent.mkdir(parents=True, exist_ok=True)
    usual = path.with_name(path.name.lower())
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), usual)
    usual.rename(path)
    return path


def picture(path: Path, seed: int = 0) -> Path:
    return save_picture(path, np.random.default_rng(seed).integers(0, 11, (9, 8)).astype(np.uint8))


def contents(*folders: Path) -> dict[str, str]:
    """Everything below folders, links as they are."""
    found = {}
    for folder in folders:
        for path in folder.rglob("*"):
            kind = os.readlink(path) if path.is_symlink() else ""
            digest = hashlib.md5(path.read_bytes()).hexdigest() if path.is_file() else ""
            found[str(path)] = kind + digest
    return found


def assert_refused(images: Path, output: Path, words: str, **options: Any) -> None:
    """Predicting is refused, and nothing has changed by it."""
    folders = (images if images.is_dir() else images.parent, output)
    before = contents(*folders)
    with pytest.raises(NetwrightError, match=words):
        segmenter().predict(images, output, **options)
    assert contents(*folders) == before


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize(
    ("make", "name"), [(scan, "a.nii.gz"), (picture, "a.png"), (scan, "a.nii"), (picture, "a.bmp")]
)
def test_a_folder_is_never_predicted_into_itself(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    make: Callable[..., Path],
    name: str,
    overwrite: bool,
) -> None:
    scans = tmp_path / "scans"
    make(scans / name)
    (tmp_path / "link").symlink_to(scans)
    monkeypatch.chdir(scans)
    words = "inputs are never replaced|lies among what is read"
    for output in (scans, Path("."), tmp_path / "link", scans / ".." / "scans", tmp_path / "link" / "."):
        assert_refused(scans, output, words, overwrite=overwrite)
        assert_refused(Path("."), output, words, overwrite=overwrite)
        if name in ("a.nii.gz", "a.png"):
            assert_refused(scans / name, output, r"inputs are never replaced", overwrite=overwrite)
            assert_refused(
                tmp_path / "link" / name, output, r"inputs are never replaced", overwrite=overwrite
            )


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_a_link_to_an_input_is_an_input(tmp_path: Path, link: Callable[[Path, Path], None]) -> None:
    source = scan(tmp_path / "scans" / "a.nii.gz")
    (tmp_path / "out").mkdir()
    link(source, tmp_path / "out" / "a.nii.gz")
    assert_refused(tmp_path / "scans", tmp_path / "out", "inputs are never replaced", overwrite=True)
    assert_refused(source, tmp_path / "out", "inputs are never replaced")


def test_a_file_that_predict_did_not_write_is_kept(tmp_path: Path) -> None:
    scan(tmp_path / "scans" / "a.nii.gz")
    scan(tmp_path / "scans" / "b.nii.gz", 1)
    truth = scan(tmp_path / "labels" / "b.nii.gz", 7)
    for overwrite in (False, True):
        assert_refused(
            tmp_path / "scans", tmp_path / "labels", "b.nii.gz is there already, not", overwrite=overwrite
        )
    truth.unlink()
    truth.symlink_to(tmp_path / "nowhere")
    assert_refused(tmp_path / "scans", tmp_path / "labels", "b.nii.gz is there already, not", overwrite=True)
    truth.unlink()
    truth.mkdir()
    assert_refused(tmp_path / "scans", tmp_path / "labels", "b.nii.gz is there already, not", overwrite=True)
    assert_refused(tmp_path / "scans", tmp_path / "scans" / "a.nii.gz", "is a file: expected a folder")


def test_what_predict_wrote_is_replaced_on_request_alone(tmp_path: Path) -> None:
    scans, out = tmp_path / "scans", tmp_path / "out"
    scan(scans / "a.nii.gz")
    (first,) = segmenter().predict(scans, out)
    before = first.read_bytes()
    assert_refused(scans, out, "a.nii.gz is there already, written by predict before.*--overwrite")
    scan(scans / "a.nii.gz", 3)
    scan(scans / "b.nii.gz", 4)
    assert_refused(scans, out, "written by predict before")
    written = segmenter().predict(scans, out, overwrite=True)
    assert [path.name for path in written] == ["a.nii.gz", "b.nii.gz"]
    assert first.read_bytes() != before
    values = np.asarray(nibabel.load(scans / "a.nii.gz").dataobj)
    np.testing.assert_array_equal(np.asarray(nibabel.load(first).dataobj), (values > 5) * 3)
    with (out / "netwright-predictions.jsonl").open("a") as file:
        file.write('{"file": "b.nii.gz", "dig')  # as a kill in writing leaves it
    assert len(segmenter().predict(scans, out, overwrite=True)) == 2


def test_a_label_map_that_was_corrected_by_hand_is_kept(tmp_path: Path) -> None:
    scan(tmp_path / "scans" / "a.nii.gz")
    (written,) = segmenter().predict(tmp_path / "scans", tmp_path / "out")
    scan(written, 9)
    assert_refused(tmp_path / "scans", tmp_path / "out", "changed since predict wrote it", overwrite=True)


def test_a_prediction_that_is_read_is_an_input(tmp_path: Path) -> None:
    scan(tmp_path / "scans" / "a.nii.gz")
    (first,) = segmenter().predict(tmp_path / "scans", tmp_path / "out")
    assert_refused(first, tmp_path / "out", "inputs are never replaced", overwrite=True)
    assert_refused(tmp_path / "out", tmp_path / "out", "inputs are never replaced", overwrite=True)


def test_another_file_of_the_list_s_name_is_kept(tmp_path: Path) -> None:
    scan(tmp_path / "scans" / "a.nii.gz")
    (tmp_path / "out").mkdir()
    for text in ("mine", json.dumps({"file": "a.nii.gz"}), ""):
        (tmp_path / "out" / "netwright-predictions.jsonl").write_text(text)
        assert_refused(
            tmp_path / "scans", tmp_path / "out", "is no list of what predict wrote", overwrite=True
        )


@pytest.mark.parametrize("names", [("s.nii", "s.nii.gz"), ("S.nii.gz", "s.nii.gz"), ("s.NII.GZ", "s.nii")])
def test_two_cases_of_one_name_are_refused(tmp_path: Path, names: tuple[str, str]) -> None:
    for seed, name in enumerate(names):
        scan(tmp_path / "scans" / name, seed)
    with pytest.raises(DatasetError, match="Two images would be segmented as") as told:
        segmenter().predict(tmp_path / "scans", tmp_path / "out")
    assert all(name in str(told.value) for name in names)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("channels", [1, 2])
def test_two_files_of_one_channel_are_refused(tmp_path: Path, channels: int) -> None:
    for channel in range(channels):
        scan(tmp_path / "scans" / f"s_{channel:04d}.nii.gz")
    scan(tmp_path / "scans" / "s_0000.nii", 1)
    with pytest.raises(DatasetError, match=r"s_0000\.nii and s_0000\.nii\.gz: expected one file"):
        segmenter(channels).predict(tmp_path / "scans", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_two_pictures_of_one_stem_are_refused(tmp_path: Path) -> None:
    for name in ("s.png", "s.bmp"):
        picture(tmp_path / "scans" / name)
    with pytest.raises(DatasetError, match=r"s\.bmp and s\.png"):
        segmenter().predict(tmp_path / "scans", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@settings(max_examples=60)
@given(
    there=st.sets(st.sampled_from(["a", "b", "c", "d"])),
    listed=st.sets(st.sampled_from(["a", "b", "c", "d"])),
    written=st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=3),
    overwrite=st.booleans(),
)
def test_only_listed_files_are_ever_replaced(
    there: set[str], listed: set[str], written: list[str], overwrite: bool
) -> None:
    """By the rule itself: distinct names, of which those that are there are listed and may be replaced."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = folder / "input"
        source.write_text("read")
        outputs = plan_outputs(
            folder, sorted(listed), [source] * len(listed), Reading([source], ()), overwrite=False
        )
        for path in outputs.paths:
            outputs.put(path, lambda made: made.write_text("predicted"))
            if path.name not in there:
                path.unlink()
        for file in there - listed:
            (folder / file).write_text("of the user")
        allowed = len(set(written)) == len(written) and all(
            file not in there or (overwrite and file in listed) for file in written
        )
        try:
            plan_outputs(folder, written, [source] * len(written), Reading([source], ()), overwrite=overwrite)
        except (DatasetError, StorageError):
            assert not allowed
        else:
            assert allowed


def test_a_kill_at_any_moment_leaves_nothing_that_cannot_be_replaced(tmp_path: Path) -> None:
    """Before a file is put into its place, after it was listed, and in the middle of a line of the list."""
    source = tmp_path / "input"
    source.write_text("read")

    def planned(overwrite: bool = True) -> Outputs:
        return plan_outputs(tmp_path / "out", ["a"], [source], Reading([source], ()), overwrite=overwrite)

    def killed(made: Path) -> None:
        made.write_text("half")
        raise KeyboardInterrupt

    (tmp_path / "out").mkdir()
    planned().put(tmp_path / "out" / "a", lambda made: made.write_text("first"))
    with pytest.raises(KeyboardInterrupt):
        planned().put(tmp_path / "out" / "a", killed)
    planned()._list(tmp_path / "out" / "a", "the digest of what never came into its place")
    with (tmp_path / "out" / MANIFEST).open("a") as file:
        file.write('{"file": "a", "dig')
    planned().put(tmp_path / "out" / "a", lambda made: made.write_text("second"))
    assert (tmp_path / "out" / "a").read_text() == "second"
    planned()
    (tmp_path / "out" / "a").write_text("by hand")
    with pytest.raises(StorageError, match="changed since"):
        planned()


def test_what_is_left_out_is_named(tmp_path: Path) -> None:
    scans = tmp_path / "scans"
    scan(scans / "a.NII.GZ")
    scan(scans / "b.Nii", 1)
    (scans / "broken.nii.gz").write_bytes((scans / "a.NII.GZ").read_bytes()[:300])
    (scans / "notes.txt").write_text("notes")
    picture(scans / "shot.png")
    scan(scans / "later" / "deep" / "c.nii.gz", 2)
    with pytest.warns(DatasetWarning) as told:
        written = segmenter().predict(scans, tmp_path / "out")
    assert [path.name for path in written] == ["a.nii.gz", "b.nii.gz"]
    texts = [str(warning.message) for warning in told]
    assert len(texts) == 3
    assert any("broken.nii.gz cannot be read" in text for text in texts)
    assert any("notes.txt and shot.png" in text for text in texts)
    assert any("later/deep/c.nii.gz" in text for text in texts)
    for seed, path in enumerate(written):
        values = np.random.default_rng(seed).uniform(0, 10, (9, 8, 4)).astype(np.float32)
        np.testing.assert_array_equal(np.asarray(nibabel.load(path).dataobj), (values > 5) * 3)


def test_where_nothing_can_be_read_the_first_reason_is_told(tmp_path: Path) -> None:
    (tmp_path / "scans").mkdir()
    for name in ("a", "b"):
        (tmp_path / "scans" / f"{name}.nii.gz").write_bytes(b"no volume")
    with pytest.raises(DatasetError, match=r"a\.nii\.gz cannot be read"):
        segmenter().predict(tmp_path / "scans", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    scan(tmp_path / "one" / "imagesTr" / "a.nii.gz")
    (tmp_path / "one" / "notes.txt").write_text("notes")
    with pytest.raises(DatasetError, match=r"found notes.txt.*imagesTr/a\.nii\.gz.*such as .*imagesTr\."):
        segmenter().predict(tmp_path / "one", tmp_path / "out")


@pytest.mark.parametrize("name", ["pat_0001.nii.gz", "pat_0000.NII.GZ", "pat.nii.gz"])
def test_a_4d_file_of_all_channels_is_one_case(tmp_path: Path, name: str) -> None:
    source = scan(tmp_path / "scans" / name, channels=4)
    for images in (source, source.parent):
        (written,) = segmenter(4).predict(images, tmp_path / "out", overwrite=True)
    assert written.name == name.lower()
    values = np.asarray(nibabel.load(source).dataobj)[..., 0]
    np.testing.assert_array_equal(np.asarray(nibabel.load(written).dataobj), (values > 5) * 3)


def test_files_of_one_channel_and_of_all_lie_in_one_folder(tmp_path: Path) -> None:
    scan(tmp_path / "scans" / "pat_0001.nii.gz", channels=2)
    for channel in (0, 1):
        scan(tmp_path / "scans" / f"other_{channel:04d}.nii.gz", channel)
    written = segmenter(2).predict(tmp_path / "scans", tmp_path / "out")
    assert [path.name for path in written] == ["other.nii.gz", "pat_0001.nii.gz"]


def test_a_volume_of_one_channel_for_a_network_of_several_is_told_how_to_come(tmp_path: Path) -> None:
    scan(tmp_path / "scans" / "a.nii.gz")
    with pytest.raises(DatasetError, match=r"one 4D file with 4 volumes, or .* a_0000\.nii\.gz to a_0003"):
        segmenter(4).predict(tmp_path / "scans", tmp_path / "out")


def test_label_maps_of_a_scaled_scan_are_not_scaled(tmp_path: Path) -> None:
    """Neither by the slope of the scan's header, nor by what lies between its header and its voxels."""
    values = np.random.default_rng(0).integers(0, 100, (9, 8, 4)).astype(np.int16)
    image = nibabel.Nifti1Image(values, np.eye(4))
    image.header.set_slope_inter(0.1, 2.0)
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", b"of the scan" * 30))
    (tmp_path / "scans").mkdir()
    nibabel.save(image, tmp_path / "scans" / "a.nii")
    scaled = np.asarray(nibabel.load(tmp_path / "scans" / "a.nii").dataobj)
    (written,) = segmenter().predict(tmp_path / "scans", tmp_path / "out")
    found = nibabel.load(written)
    np.testing.assert_array_equal(np.asarray(found.dataobj), (scaled.astype(np.float32) > 5) * 3)
    assert found.dataobj.slope == 1
    assert found.dataobj.inter == 0


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_folder_that_cannot_be_written_to_is_told_before_anything_is_computed(tmp_path: Path) -> None:
    scan(tmp_path / "scans" / "a.nii.gz")
    (tmp_path / "closed").mkdir(mode=0o555)
    with pytest.raises(StorageError, match="closed cannot be written to"):
        segmenter().predict(tmp_path / "scans", tmp_path / "closed" / "out")


@pytest.mark.parametrize(
    ("source", "format", "name"),
    [
        ("a.nii", None, "a.nii.gz"),
        ("a.nii.gz", "nrrd", "a.nrrd"),
        ("a.nii.gz", "mha", "a.mha"),
        ("a.nrrd", None, "a.nrrd"),
        ("a.mhd", None, "a.mha"),
        ("a.nhdr", "nifti", "a.nii.gz"),
    ],
)
def test_label_maps_are_of_the_scan_s_format_or_of_another(
    tmp_path: Path, source: str, format: str | None, name: str
) -> None:
    volume = SimpleITK.ReadImage(scan(tmp_path / "scan.nii.gz"))
    volume.SetDirection([0.8, -0.6, 0, 0.6, 0.8, 0, 0, 0, 1])
    (tmp_path / "scans").mkdir()
    SimpleITK.WriteImage(volume, tmp_path / "scans" / source)
    (written,) = segmenter().predict(tmp_path / "scans", tmp_path / "out", format=format)
    assert written.name == name
    labels = SimpleITK.ReadImage(written)
    np.testing.assert_array_equal(
        SimpleITK.GetArrayFromImage(labels), (SimpleITK.GetArrayFromImage(volume) > 5) * 3
    )
    np.testing.assert_allclose(
        labels.TransformIndexToPhysicalPoint((8, 7, 3)),
        volume.TransformIndexToPhysicalPoint((8, 7, 3)),
        atol=1e-5,
    )
    assert_refused(tmp_path / "scans", tmp_path / "out", "written by predict before", format=format)
    with pytest.raises(SettingsError, match="expected nifti, nrrd, mha, png, tiff or dicom-seg, got 'dicom'"):
        segmenter().predict(tmp_path / "scans", tmp_path / "out", format="dicom")


def test_a_picture_is_left_as_it_is(tmp_path: Path) -> None:
    source = picture(tmp_path / "pictures" / "a.png")
    (written,) = segmenter().predict(tmp_path / "pictures", tmp_path / "out")
    np.testing.assert_array_equal(np.asarray(Image.open(written)), (np.asarray(Image.open(source)) > 5) * 3)
