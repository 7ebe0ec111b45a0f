"""Published datasets whose folders look like something else: refused, or read with a word about it."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from dicom_files import write_series
from netwright.data.layouts.object_numbers import numbered_objects
from netwright.data.open import inspect_any, open_any
from netwright.errors import DatasetError
from netwright_tests import save_photograph, save_picture
from processes import run


def kinds(root: Path) -> list[str]:
    return [problem.kind for problem in inspect_any(open_any(root)).problems]


@pytest.mark.parametrize("given", ["", "Train_Sets", "Train_Sets/CT"])
def test_label_maps_of_slices_in_dicom_are_no_classes(tmp_path: Path, given: str) -> None:
    """As CHAOS has them: a series and a picture for each slice, of CT and of MR."""
    for home in ("CT/1", "CT/2", "MR/1/T1DUAL", "MR/2/T1DUAL"):
        patient = tmp_path / "Train_Sets" / home
        write_series(patient / "DICOM_anon", np.zeros((4, 5, 6), np.int16))
        for number in range(4):
            save_picture(patient / "Ground" / f"liver_GT_{number:03d}.png", np.eye(6, dtype=np.uint8) * 255)
    with pytest.raises(DatasetError, match=r"series in DICOM, such as .*DICOM_anon, and pictures"):
        open_any(tmp_path / given)
    assert open_any(tmp_path / given, format="image-folder").format == "image-folder"


def test_a_few_slices_beside_classes_change_nothing(tmp_path: Path) -> None:
    write_series(tmp_path / "raw" / "scan", np.zeros((4, 5, 6), np.int16))
    for name in ("cat", "dog"):
        for number in range(6):
            save_photograph(tmp_path / "train" / name / f"{number}.png")
    assert open_any(tmp_path).format == "image-folder"


@pytest.mark.parametrize("part", ["", "train/"])
def test_folders_of_patients_below_classes_are_told(tmp_path: Path, part: str) -> None:
    """As BreakHis has them, and MURA, whose classes are folders below."""
    for kind in ("benign", "malignant"):
        for patient in ("SOB_A_14-22549AB", "SOB_A_14-22549CD"):
            for number in range(3):
                save_photograph(tmp_path / part / kind / patient / "40X" / f"{patient}-{number}.png")
    data = open_any(tmp_path)
    assert data.class_names == ("benign", "malignant")
    (told,) = [problem for problem in inspect_any(data).problems if problem.kind == "folders-below"]
    assert told.severity == "warning"
    assert told.file == f"{part}benign/SOB_A_14-22549AB/40X"
    assert told.found == "4 such folders"
    assert "group (the patient)" in told.advice


def test_one_folder_below_each_class_is_not_told(tmp_path: Path) -> None:
    for kind in ("cat", "dog"):
        for number in range(3):
            save_photograph(tmp_path / kind / "images" / f"{number}.png")
    assert "folders-below" not in kinds(tmp_path)


def numbered(count: int) -> np.ndarray:
    mask = np.zeros((24, 32), np.uint8)
    for number in range(count):
        mask[3 * number : 3 * number + 2, 4:20] = number + 1
    return mask


def test_masks_that_number_objects_are_told(tmp_path: Path) -> None:
    """As GlaS has them: 1, 2, ... are glands, and no classes."""
    for number, count in enumerate((3, 5, 2, 4)):
        save_photograph(tmp_path / "images" / f"{number}.png")
        save_picture(tmp_path / "masks" / f"{number}.png", numbered(count))
    (told,) = [one for one in inspect_any(open_any(tmp_path)).problems if one.kind == "numbered-objects"]
    assert told.file == "masks"
    assert "--map-label 2=1,3=1,4=1,5=1" in told.advice
    joined = open_any(tmp_path, map_label=dict.fromkeys((2, 3, 4, 5), 1))
    assert dict(joined.labels) == {0: "background", 1: "foreground"}
    assert "numbered-objects" not in [one.kind for one in inspect_any(joined).problems]


def test_volumes_that_number_objects_are_told(tmp_path: Path) -> None:
    for number, count in enumerate((3, 5, 2, 4)):
        labels = np.repeat(numbered(count)[..., None], 4, axis=2)
        for home, array in (("images", labels.astype(np.float32)), ("labels", labels)):
            (tmp_path / home).mkdir(exist_ok=True)
            SimpleITK.WriteImage(SimpleITK.GetImageFromArray(array), tmp_path / home / f"{number}.nii.gz")
    assert "numbered-objects" in kinds(tmp_path)


@pytest.mark.parametrize("masks", [[[1], [1, 2], [1, 2, 3], [2, 3]], [[1, 2, 3, 5], [4, 5], [1, 3, 5], [2]]])
def test_labels_of_which_not_all_occur_are_not_told(tmp_path: Path, masks: list[list[int]]) -> None:
    for number, values in enumerate(masks):
        mask = np.zeros((24, 32), np.uint8)
        for value in values:
            mask[3 * value : 3 * value + 2, 4:20] = value
        save_photograph(tmp_path / "images" / f"{number}.png")
        save_picture(tmp_path / "masks" / f"{number}.png", mask)
    assert "numbered-objects" not in kinds(tmp_path)


def test_labels_that_most_masks_hold_all_of_are_not_told(tmp_path: Path) -> None:
    held = [*[range(1, 6)] * 37, range(1, 5), range(1, 4), range(1, 3)]
    assert not numbered_objects(tmp_path, held, {})
    (told,) = numbered_objects(tmp_path, [range(1, 2 + number % 5) for number in range(40)], {})
    assert told.found.endswith("up to 5")
    assert not numbered_objects(tmp_path, [*[range(1, 6)] * 4, *[range(1, 7)] * 35, {2}, {2, 5}], {})


def write_volume(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(array), path)


def test_a_label_map_for_each_structure_is_refused_and_can_be_joined(tmp_path: Path) -> None:
    """As TotalSegmentator has them."""
    source = tmp_path / "Totalsegmentator_dataset"
    parts = ["train", "train", "val", "test"]
    for number in range(4):
        case = source / f"s{number:04d}"
        write_volume(case / "ct.nii.gz", np.full((4, 5, 6), number, np.int16))
        for value, name in enumerate(("liver", "spleen", "stomach", "vertebra"), 1):
            mask = np.zeros((4, 5, 6), np.uint8)
            mask[value - 1] = 1
            write_volume(case / "segmentations" / f"{name}.nii.gz", mask)
    rows = ["image_id;age;split", *(f"s{number:04d};50;{part}" for number, part in enumerate(parts))]
    (source / "meta.csv").write_text("\n".join(rows))
    with pytest.raises(
        DatasetError, match=r"a label map for each structure, such as s0000/segmentations/liver\.nii"
    ):
        open_any(source)
    page = (Path(__file__).parents[3] / "docs" / "layouts.md").read_text()
    section = page[page.index("### A label map for each structure") :]
    script = re.search(r"```python\n(.*?)```", section, re.DOTALL)
    assert script is not None
    done = run([sys.executable, "-c", script[1]], cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    data = open_any(tmp_path / "joined")
    assert dict(data.labels) == {0: "background", 1: "spleen", 2: "liver", 3: "stomach"}
    assert dict(zip(data.names, data.parts, strict=True)) == {
        f"s{number:04d}": part for number, part in enumerate(parts)
    }
    inspection = inspect_any(data)
    assert not inspection.errors
    assert [label.voxels for label in inspection.fingerprint.labels] == [4 * 30] * 4


def test_names_that_do_not_match_are_no_structures(tmp_path: Path) -> None:
    for number in range(4):
        for name in (f"ct_{number}", f"labels/lesion{number}"):
            write_volume(tmp_path / f"{name}.nii.gz", np.ones((4, 5, 6), np.uint8))
    with pytest.raises(DatasetError, match="holds no dataset that is known"):
        open_any(tmp_path)


def test_parts_that_names_begin_with_are_kept(tmp_path: Path) -> None:
    """As GlaS has them; the masks are chosen by a description."""
    for name in ("train_1", "train_2", "train_10", "testA_1", "testB_2"):
        save_photograph(tmp_path / f"{name}.bmp")
        save_picture(tmp_path / f"{name}_anno.bmp", numbered(1))
    (tmp_path / "dataset.json").write_text(json.dumps({"masks": "_anno"}))
    data = open_any(tmp_path)
    of_name = dict(zip(data.names, data.parts, strict=True))
    assert of_name == {name: "train" if name[1] == "r" else "test" for name in of_name}
    assert len(of_name) == 5
    save_photograph(tmp_path / "other.bmp")
    save_picture(tmp_path / "other_anno.bmp", numbered(1))
    assert set(open_any(tmp_path).parts) == {None}


def test_files_of_other_formats_are_told(tmp_path: Path) -> None:
    """As PatchCamelyon has them."""
    (tmp_path / "camelyonpatch_level_2_split_train_x.h5.gz").write_bytes(b"x")
    with pytest.raises(
        DatasetError, match=r"train_x\.h5\.gz is of a format that is not read: save pictures as files"
    ):
        open_any(tmp_path)


def test_pictures_in_dicom_with_a_table_of_classes_are_refused(tmp_path: Path) -> None:
    """As the pneumonia challenge of the RSNA has them."""
    for number in range(3):
        write_series(tmp_path / "images", np.zeros((1, 5, 6), np.int16), name=f"{number}{{}}.dcm")
    (tmp_path / "labels_of_patients.csv").write_text("patientId,Target\n01,0\n11,1\n21,0\n")
    with pytest.raises(
        DatasetError, match=r"of which a table tells the classes are not read: save each as PNG"
    ):
        open_any(tmp_path)


@pytest.mark.parametrize(("classes", "validated", "told"), [(2, 8, ["16"]), (2, 10, []), (5, 4, [])])
def test_an_official_validation_part_of_a_few_pictures_is_told(
    tmp_path: Path, classes: int, validated: int, told: list[str]
) -> None:
    """As the chest X-rays of Kermany et al. have it, with eight of each class. Many classes of a few are enough."""
    for part, count in (("train", 12), ("val", validated), ("test", 3)):
        for kind in ("NORMAL", "PNEUMONIA", "c", "d", "e")[:classes]:
            for number in range(count):
                save_photograph(tmp_path / part / kind / f"{number}.jpeg")
    problems = [one for one in inspect_any(open_any(tmp_path)).problems if one.kind == "few-validated"]
    assert [one.found for one in problems] == told
    assert all(one.severity == "warning" for one in problems)
    assert all("official validation part" in str(one) for one in problems)


def listed(root: Path, **lists: list[str]) -> Path:
    for kind in ("cat", "dog"):
        for number in range(6):
            save_photograph(root / kind / f"{kind}{number}.png")
    for name, lines in lists.items():
        (root / f"{name}.txt").write_text("\n".join([*lines, ""]))
    return root


def test_lists_beside_folders_of_classes_say_the_parts(tmp_path: Path) -> None:
    root = listed(
        tmp_path,
        train=[f"{kind}/{kind}{number}.png 0" for kind in ("cat", "dog") for number in range(4)],
        test=["cat/cat4", "dog/dog4"],
        README=["cat5 is for training"],
    )
    data = open_any(root)
    assert data.format == "image-folder"
    parts = dict(zip(data.names, data.parts, strict=True))
    assert [name for name in data.names if parts[name] == "test"] == ["cat/cat4.png", "dog/dog4.png"]
    assert parts["cat/cat5.png"] == "train", "it is in no list"


def test_a_picture_in_two_lists_is_refused(tmp_path: Path) -> None:
    root = listed(tmp_path, train=["cat0", "dog0"], test=["cat1", "dog0"])
    with pytest.raises(DatasetError, match=r"dog/dog0\.png in test\.txt and in train\.txt"):
        open_any(root)


def test_texts_without_pictures_say_no_parts(tmp_path: Path) -> None:
    assert set(open_any(listed(tmp_path, test=["how this was tested"])).parts) == {None}


def test_a_line_that_may_name_several_pictures_is_refused(tmp_path: Path) -> None:
    for kind in ("cat", "dog"):
        for number in range(6):
            save_photograph(tmp_path / kind / f"{number}.png")
    (tmp_path / "test.txt").write_text("cat/4\ndog/5.png\n")
    data = open_any(tmp_path)
    tested = [name for name, part in zip(data.names, data.parts, strict=True) if part == "test"]
    assert tested == ["cat/4.png", "dog/5.png"]
    (tmp_path / "test.txt").write_text("4\n")
    with pytest.raises(DatasetError, match=r"test\.txt lists 4, which may be cat/4\.png or dog/4\.png"):
        open_any(tmp_path)


def numbered_classes(root: Path, several: bool = True) -> Path:
    """Pictures 0 to 5 of each class, or of the second class 6 to 11."""
    for number in range(6):
        save_photograph(root / "cat" / f"{number}.png")
        save_photograph(root / "dog" / f"{number + (not several) * 6}.png")
    return root


def lists_of(root: Path) -> tuple[list[str], list[str]]:
    """The test pictures, and what is told about lists."""
    data = open_any(root)
    tested = [name for name, part in zip(data.names, data.parts, strict=True) if part == "test"]
    told = [one for one in inspect_any(data).problems if one.kind == "lists-of-parts"]
    assert all(one.severity == "warning" for one in told)
    return tested, [f"{one.file}: {one.found}" for one in told]


@pytest.mark.parametrize("several", [True, False])
@pytest.mark.parametrize("log", ["test_results", "train_log"])
def test_logs_are_no_lists_of_parts(tmp_path: Path, log: str, several: bool) -> None:
    root = numbered_classes(tmp_path, several)
    (root / f"{log}.txt").write_text("1 0.5\n2 0.6\n3,0.7\n4\t0.8\n")
    assert lists_of(root) == ([], [])
    assert set(open_any(root).parts) == {None}


def test_texts_that_name_a_few_pictures_are_no_lists_and_told(tmp_path: Path) -> None:
    root = numbered_classes(tmp_path)
    (root / "test_notes.txt").write_text("these are wrong:\ncat/1.png\nand I took another one\nout\n")
    assert lists_of(root) == ([], ["test_notes.txt: one in 1 of 4 lines"])


def test_pictures_of_lists_that_are_not_there_are_told(tmp_path: Path) -> None:
    root = numbered_classes(tmp_path)
    (root / "test.txt").write_text("cat/1.png\ncat/7.png\ncat/8.png\ncat/9.png\n")
    assert lists_of(root) == (["cat/1.png"], ["test.txt: no cat/7.png, cat/8.png and cat/9.png"])


def test_commas_in_lists_end_the_names(tmp_path: Path) -> None:
    root = numbered_classes(tmp_path)
    (root / "train.txt").write_text(
        "".join(f"{kind}/{n}.png,0\n" for kind in ("cat", "dog") for n in range(4))
    )
    (root / "test.txt").write_text("cat/4.png,0\ncat/5.png, 0\ndog/4.png;1\ndog/5.png\t1\n")
    assert lists_of(root) == (["cat/4.png", "cat/5.png", "dog/4.png", "dog/5.png"], [])


def test_a_picture_that_is_missing_in_its_folder_is_not_taken_from_another(tmp_path: Path) -> None:
    root = numbered_classes(tmp_path)
    (root / "dog" / "4.png").unlink()
    (root / "test.txt").write_text("elsewhere/dog/3.png\nDog/4.png\n")
    assert lists_of(root) == (["dog/3.png"], ["test.txt: no Dog/4.png"])


@pytest.mark.parametrize(("depths", "told"), [((1, 1, 5, 1), 1), ((1, 1, 1, 1), 0), ((3, 4, 5, 3), 0)])
def test_single_slices_among_volumes_are_told(tmp_path: Path, depths: tuple[int, ...], told: int) -> None:
    """As CAMUS has frames at end diastole and end systole beside sequences."""
    for number, depth in enumerate(depths):
        name = f"patient{number:04d}_2CH"
        image = np.random.default_rng(number).normal(100, 5, (depth, 12, 10)).astype(np.float32)
        labels = np.zeros(image.shape, np.uint8)
        labels[:, 2:5, 3:6] = 1
        for ending, array in (("", image), ("_gt", labels)):
            write_volume(tmp_path / f"{name}{ending}.nii.gz", array)
    found = [one for one in inspect_any(open_any(tmp_path)).problems if one.kind == "slices-among-volumes"]
    assert len(found) == told
    if told:
        assert "3 of one slice, such as patient0000_2CH, and 1 of several, such as patient0002_2CH" in str(
            found[0]
        )


@pytest.mark.parametrize("official", [False, True])
def test_folders_of_images_with_masks_may_be_patients(tmp_path: Path, official: bool) -> None:
    """As the slices of gliomas on Kaggle lie, a folder a patient; official parts are not drawn."""
    for number, patient in enumerate(("TCGA_CS_4941", "TCGA_CS_4942", "TCGA_DU_5849")):
        home = tmp_path / (("train", "val", "test")[number] if official else "") / patient
        for slice in range(3):
            save_photograph(home / f"{patient}_{slice}.tif")
            save_picture(home / f"{patient}_{slice}_mask.tif", numbered(1))
    data = open_any(tmp_path)
    told = [one for one in inspect_any(data).problems if one.kind == "likely-patients"]
    assert len(told) == (0 if official else 1)
    if told:
        assert "3 folders with several images each, such as TCGA_CS_4941" in told[0].found
        rows = told[0].advice.splitlines()[-4:]
        assert rows == ["case,part,group", *(f"TCGA_CS_4941_{slice},,TCGA_CS_4941" for slice in range(3))]
        assert "TCGA_CS_4941_0" in data.names


def test_a_few_folders_of_many_images_with_masks_are_no_patients(tmp_path: Path) -> None:
    """As BUSI has them, a folder a diagnosis."""
    for kind in ("benign", "malignant", "normal"):
        for number in range(4):
            save_photograph(tmp_path / kind / f"{kind} ({number}).png")
            save_picture(tmp_path / kind / f"{kind} ({number})_mask.png", numbered(1))
    data = open_any(tmp_path)
    assert len(data.names) == 12
    assert "likely-patients" not in kinds(tmp_path)
