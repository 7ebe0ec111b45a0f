"""What headers say of units, sizes and axes, against SimpleITK's reading."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import SimpleITK

from netwright.data import UnusableFile, inspect_any, open_any, read_image
from netwright.data.io.formats import open_volume
from netwright.data.io.volumes import read_grid


def with_header(path: Path, array: np.ndarray | None = None, **fields: Any) -> Path:
    """A file with these fields in its header, as any program may have left them."""
    image = nibabel.Nifti1Image(np.ones((3, 4, 5), np.float32) if array is None else array, np.eye(4))
    content = bytearray(image.to_bytes())
    header = nibabel.Nifti1Header(bytes(content[:348]), check=False)
    for name, value in fields.items():
        header[name] = value
    content[:348] = header.binaryblock
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("edge", [0.0, np.nan, np.inf])
@pytest.mark.parametrize("qform", [0, 1])
def test_a_header_without_the_size_of_its_voxels_is_refused(edge: float, qform: int, tmp_path: Path) -> None:
    spacing = [1, 2, edge, 3, 0, 0, 0, 0]
    path = with_header(tmp_path / "a.nii", pixdim=spacing, sform_code=0, qform_code=qform, qoffset_x=7)
    with pytest.raises(UnusableFile, match=rf"found 2 x {edge:g} x 3 mm \(pixdim\), and no sform") as error:
        read_image([path])
    assert error.value.problem.kind == "no-spacing"
    # With a matrix the sizes are not needed.
    assert read_grid(with_header(path, pixdim=spacing, sform_code=1)).spacing == (1, 1, 1)


@pytest.mark.parametrize(("code", "unit"), [(1, "metres"), (3, "micrometres")])
def test_a_header_in_another_unit_is_refused_as_programs_disagree(
    code: int, unit: str, tmp_path: Path
) -> None:
    path = with_header(tmp_path / "a.nii", xyzt_units=code | 16)
    converted = SimpleITK.ReadImage(path).GetSpacing()[0]
    with pytest.raises(UnusableFile, match=rf"in {unit}: .*of 1 x 1 x 1 {unit}, which are {converted:g} x"):
        read_grid(path)
    advice = "diag([" + f"{converted:g}] * 3 + [1])"
    with pytest.raises(UnusableFile, match=re.escape(advice)):
        read_grid(path)


@pytest.mark.parametrize("code", [0, 2, 5, 7, 255])
def test_other_units_are_millimetres_also_those_that_there_are_not(code: int, tmp_path: Path) -> None:
    path = with_header(tmp_path / "a.nii", np.ones((3, 4, 5, 2), np.float32), xyzt_units=code)
    assert read_grid(path).spacing == (1, 1, 1)
    assert open_volume(path).time_step == ""


def test_vectors_along_the_fifth_axis_are_channels_as_in_simple_itk(tmp_path: Path) -> None:
    array = np.random.default_rng(0).normal(size=(3, 4, 5, 1, 2)).astype(np.float32)
    image = nibabel.Nifti1Image(array, np.diag([-1, -1, 1, 1]))
    image.header.set_intent("vector")
    nibabel.save(image, tmp_path / "a.nii.gz")
    vectors = SimpleITK.ReadImage(tmp_path / "a.nii.gz")
    assert vectors.GetNumberOfComponentsPerPixel() == 2
    stored = read_grid(tmp_path / "a.nii.gz").from_canonical(read_image([tmp_path / "a.nii.gz"]).array)
    np.testing.assert_array_equal(stored.T, SimpleITK.GetArrayFromImage(vectors))
    np.testing.assert_array_equal(stored[1], array[..., 0, 1])


@pytest.mark.parametrize("further", [(2, 2), (1, 1, 2), (2, 1)])
def test_more_axes_are_refused(further: tuple[int, ...], tmp_path: Path) -> None:
    shape = (3, 4, 5, *further)
    path = with_header(tmp_path / "a.nii", np.zeros(shape, np.float32))
    with pytest.raises(UnusableFile, match=f"has {len(shape)} axes") as error:
        read_image([path])
    assert "interrupted" not in str(error.value)


@pytest.mark.parametrize("field", ['space units: "um" "um" "um"', 'units: "micron" "micron" "micron"'])
def test_a_nrrd_in_micrometres_is_refused_as_simple_itk_reads_it_as_millimetres(
    field: str, tmp_path: Path
) -> None:
    space = "space: left-posterior-superior\nspace directions: (800,0,0) (0,800,0) (0,0,2000)\n"
    geometry = space if field.startswith("space") else "spacings: 800 800 2000\n"
    path = tmp_path / "a.nrrd"
    head = f"NRRD0005\ntype: uint8\ndimension: 3\nsizes: 4 5 6\n{geometry}{field}\nencoding: raw\n\n"
    path.write_bytes(head.encode() + bytes(120))
    assert SimpleITK.ReadImage(path).GetSpacing() == (800, 800, 2000)
    with pytest.raises(
        UnusableFile, match=r"found voxels of 800 x 800 x 2000 micrometres, which are 0\.8 x"
    ) as error:
        read_grid(path)
    assert error.value.problem.kind == "unit"
    path.write_bytes(re.sub('"(um|micron)"', '"mm"', head).encode() + bytes(120))
    assert read_grid(path).spacing == (800, 800, 2000)


@pytest.mark.parametrize(
    ("spelt", "name"), [("Centimeters", "centimetres"), ("in", "inches"), ("nm", "nanometres")]
)
def test_units_of_a_nrrd_are_known_in_every_spelling(spelt: str, name: str, tmp_path: Path) -> None:
    head = "NRRD0005\ntype: uint8\ndimension: 3\nsizes: 4 5 6\nspacings: 8 8 2\n"
    path = tmp_path / "a.nrrd"
    path.write_bytes(f'{head}units: "{spelt}" "{spelt}" "{spelt}"\nencoding: raw\n\n'.encode() + bytes(120))
    with pytest.raises(UnusableFile, match=f"has a header in {name}: .* found voxels of 8 x 8 x 2 {name}"):
        read_grid(path)


def test_inspect_names_both_and_the_dataset_is_refused(msd_folder: Any) -> None:
    root = msd_folder(4)
    array = np.asanyarray(nibabel.load(root / "imagesTr" / "case_00.nii.gz").dataobj).astype(np.float32)
    for name, fields in (
        ("case_00", {"xyzt_units": 3}),
        ("case_01", {"sform_code": 0, "qform_code": 0, "pixdim": np.zeros(8)}),
    ):
        with_header(root / "imagesTr" / f"{name}.nii", array, **fields).rename(
            root / "imagesTr" / f"{name}.nii.gz"
        )
    errors = inspect_any(open_any(root)).errors
    assert {(error.file, error.kind) for error in errors} == {
        ("imagesTr/case_00.nii.gz", "unit"),
        ("imagesTr/case_01.nii.gz", "no-spacing"),
    }
