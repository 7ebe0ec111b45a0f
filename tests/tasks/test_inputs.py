"""`predict` of several files and folders at once, by the command and in Python."""

from __future__ import annotations

import csv
import re
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

import netwright as package
from archives import unpack
from commands import in_this_process
from dicom_files import write_series
from netwright.cli import predicting
from netwright.data.layouts.unlabelled import cases_of_files
from netwright.errors import DatasetError, StorageError

OLD_RUNS = Path(__file__).resolve().parents[1] / "fixtures" / "old_runs"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of volumes, of classes and of pictures to restore; and ``here`` and ``there``, each with images."""
    folder = tmp_path_factory.mktemp("several")
    for name in ("datasets", "segnas7", "marl-vgg16", "pdas-inpainting"):
        unpack(OLD_RUNS / f"{name}.tar.xz", folder / name)
    scans = sorted((folder / "datasets" / "volumes" / "imagesTr").glob("*.nii.gz"))
    for home, chosen in (("here", scans[:2]), ("there", scans[2:4])):
        (folder / home).mkdir()
        for scan in chosen:
            shutil.copy(scan, folder / home)
        Image.new("L", (16, 16), 90).save(folder / home / f"{home}.png")
        Image.new("L", (16, 16), 30).save(folder / home / "same.png")
    return folder


def predicted(folder: Path, run: str, *arguments: object) -> tuple[int, str]:
    done = in_this_process("predict", run, *arguments, cwd=folder)
    return done.returncode, done.stdout + done.stderr


def test_files_and_folders_are_predicted_as_one_by_one(folder: Path, tmp_path: Path) -> None:
    first, second = sorted((folder / "here").glob("*.nii.gz"))
    code, said = predicted(folder, "segnas7", second, first, "there", second, "-o", tmp_path / "labels")
    assert code == 0, said
    assert said.splitlines()[-1].startswith("predicted  4 ")
    for at, given in enumerate((folder / "here", folder / "there")):
        package.open_run(folder / "segnas7").predict(given, tmp_path / str(at))
        for alone in (tmp_path / str(at)).glob("*.nii.gz"):
            assert (tmp_path / "labels" / alone.name).read_bytes() == alone.read_bytes()
    assert len(list((tmp_path / "labels").glob("*.nii.gz"))) == 4


def test_two_of_one_name_are_refused_before_anything_is_predicted(folder: Path, tmp_path: Path) -> None:
    scan = next((folder / "here").glob("*.nii.gz"))
    (tmp_path / "other").mkdir()
    same = shutil.copy(scan, tmp_path / "other")
    code, said = predicted(folder, "segnas7", "there", "here", same, "-o", tmp_path / "labels")
    assert code != 0
    said = " ".join(said.split())
    assert "Two images would be segmented as" in said
    assert str(same) in said
    assert "nothing was written" in said
    assert not (tmp_path / "labels").exists()


def test_no_folder_that_is_read_is_written_into(folder: Path) -> None:
    before = sorted(folder.rglob("*"))
    scan = next((folder / "here").glob("*.nii.gz"))
    code, said = predicted(folder, "segnas7", scan, "there", "-o", "there", "--format", "nrrd")
    assert code != 0
    assert "there lies among what is read from there" in " ".join(said.split())
    code, said = predicted(folder, "segnas7", "there", "nowhere", "-o", "labels")
    assert "nowhere does not exist: expected a volume, a picture or a folder of them" in " ".join(
        said.split()
    )
    assert sorted(folder.rglob("*")) == before


def test_pictures_of_several_places_are_rows_of_one_table(folder: Path, tmp_path: Path) -> None:
    run = package.open_run(folder / "marl-vgg16", trust_code=True)
    (table,) = run.predict([folder / "here" / "here.png", str(folder / "there")], tmp_path / "table")
    with table.open(newline="") as file:
        assert [row["picture"] for row in csv.DictReader(file)] == ["here.png", "same.png", "there.png"]
    with pytest.raises(
        DatasetError, match=r"Two pictures would be same\.png in one table: .*nothing was written"
    ):
        run.predict([folder / "here", folder / "there"], tmp_path / "none")
    with pytest.raises(DatasetError, match="No images were given"):
        run.predict([], tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_pictures_of_several_places_are_restored(folder: Path, tmp_path: Path) -> None:
    run = package.open_run(folder / "pdas-inpainting")
    pictures = [folder / "there" / "there.png", folder / "here" / "here.png", folder / "here" / "same.png"]
    written = run.predict(pictures, tmp_path / "restored")
    assert sorted(file.name for file in written) == ["here.png", "same.png", "there.png"]
    with pytest.raises(DatasetError, match="Two pictures would be restored as"):
        run.predict([folder / "here", folder / "there"], tmp_path / "none")
    (tmp_path / "masks").mkdir()
    Image.new("L", (16, 16), 255).save(tmp_path / "masks" / "here.tif")
    with pytest.raises(StorageError, match=r"masks lies among what is read from .*masks: "):
        run.predict(pictures[1], tmp_path / "masks", masks=tmp_path / "masks")
    assert [file.name for file in (tmp_path / "masks").iterdir()] == ["here.tif"]


def test_files_that_are_given_by_name_are_grouped_by_their_channels(folder: Path, tmp_path: Path) -> None:
    scan = next((folder / "here").glob("*.nii.gz"))
    files = [tmp_path / f"{case}_{channel:04d}.nii.gz" for case in "ba" for channel in (1, 0)]
    for file in files:
        shutil.copy(scan, file)
    cases = cases_of_files(files, 2)
    assert [(case.name, [file.name for file in case.images]) for case in cases] == [
        (case, [f"{case}_0000.nii.gz", f"{case}_0001.nii.gz"]) for case in "ab"
    ]
    with pytest.raises(DatasetError, match="lacks channel 1 of case b"):
        cases_of_files(files[1:], 2)
    write_series(tmp_path / "series", np.zeros((6, 5, 3), np.int16))
    with pytest.raises(
        DatasetError, match=r"1\.dcm and .*2\.dcm are slices of one DICOM series: .* Give .*series\."
    ):
        cases_of_files(sorted((tmp_path / "series").iterdir()), 1)
    (tmp_path / "text.txt").touch()
    with pytest.raises(DatasetError, match=r"text\.txt contains no images"):
        cases_of_files([*files, tmp_path / "text.txt"], 2)


PART = re.compile(
    r"predicted (?:(\d) of (\d) and )?(\d+) % of the (first image|next), about [\d.]+ s left for it \.\.\."
)


def test_a_large_image_tells_how_far_it_is(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A volume of several windows, and a cine whose frames are one window each."""
    values = np.random.default_rng(0).normal(100, 20, (72, 20, 20)).astype(np.float32)
    nib.save(nib.Nifti1Image(values, np.eye(4)), tmp_path / "a.nii.gz")
    nib.save(nib.Nifti1Image(values[:16, :16, :16, None].repeat(4, axis=3), np.eye(4)), tmp_path / "b.nii.gz")
    monkeypatch.setattr(predicting, "TOLD_SECONDS", 0.0)
    given = (tmp_path / "a.nii.gz", tmp_path / "b.nii.gz")
    code, said = predicted(folder, "segnas7", *given, "-o", tmp_path / "told")
    assert code == 0, said
    found = [match.groups() for match in PART.finditer(" ".join(said.split()))]
    first = [int(share) for number, _, share, which in found if which == "first image" and number is None]
    assert len(first) >= 4
    assert first == sorted(set(first))
    assert 0 < first[0] <= 25
    of_frames = [(number, total, share) for number, total, share, which in found if which == "next"]
    assert of_frames == [("1", "2", "25"), ("1", "2", "50"), ("1", "2", "75")]
    assert "predicted 1 of 2 ..." in said
    monkeypatch.undo()
    code, said = predicted(folder, "segnas7", *given, "-o", tmp_path / "quick")
    assert "left for it" not in said, "at most every five seconds"
    for image in given:
        assert (tmp_path / "told" / image.name).read_bytes() == (tmp_path / "quick" / image.name).read_bytes()
