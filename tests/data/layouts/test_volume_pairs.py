"""Volumes and label maps that belong together by their names, in the layouts that people have."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from dicom_files import affine_of, write_series
from netwright.data import (
    PreprocessingSettings,
    find_cases,
    inspect_dataset,
    open_any,
    prepare,
    split_any,
)
from netwright.data.layouts.volume_files import MANIFEST
from netwright.data.recognition import recognise
from netwright.errors import DatasetError, DatasetWarning

Write = Callable[..., Path]
Make = Callable[..., Any]


@pytest.fixture
def pairs(write_volume: Write, noise: Make, label_map: Make, tmp_path: Path) -> Callable[..., Path]:
    """Writes three images and label maps under names with a number in them."""

    def build(image: str, label: str, values: Sequence[int] = (1, 2), root: Path = tmp_path / "data") -> Path:
        for number in (1, 2, 3):
            write_volume(root / image.format(number), noise(100))
            write_volume(root / label.format(number), label_map(*values))
        return root

    return build


LAYOUTS = [
    ("images/s{}.nii.gz", "labels/s{}.nii.gz", "s1"),
    ("imagesTr/s{}.nrrd", "labelsTr/s{}.nrrd", "s1"),
    ("img/{}-Image.nii.gz", "label/{}-Mask.nii.gz", "1-Image"),
    (
        "averaged-training-images/DET{}_avg.nii.gz",
        "averaged-training-labels/DET{}_avg_seg.nii.gz",
        "DET1_avg",
    ),
    ("Training/Images/s{}.mha", "Training/Segmentations/s{}.mha", "s1"),
    ("s{}.nii", "s{}_seg.nii", "s1"),
    ("s{}.mhd", "s{}_label.mhd", "s1"),
    ("ct_train_{}_image.nii.gz", "ct_train_{}_label.nii.gz", "ct_train_1_image"),
    ("batch 1/volume-{}.nii", "batch 1/segmentation-{}.nii", "volume-1"),
    ("case{}/image.nii.gz", "case{}/label.nii.gz", "case1"),
    ("scans/s{}.nii.gz", "s{}-mask.nii.gz", "s1"),
]


@pytest.mark.parametrize(("image", "label", "name"), LAYOUTS)
def test_names_that_agree_but_for_words(
    pairs: Callable[..., Path], image: str, label: str, name: str
) -> None:
    root = pairs(image, label)
    dataset = open_any(root)
    assert recognise(root) == dataset.format == "volume-pairs"
    assert dataset.names[0] == name
    assert [(case.images[0], case.label) for case in dataset.cases] == [
        (root / image.format(number), root / label.format(number)) for number in (1, 2, 3)
    ]
    assert dataset.labels == {0: "background", 1: "label 1", 2: "label 2"}
    assert inspect_dataset(dataset).errors == ()


def test_a_description_names_the_channels(pairs: Callable[..., Path]) -> None:
    root = pairs("images/s{}.nii.gz", "labels/s{}.nii.gz")
    assert open_any(root).channels == ("image",)
    described = {"channel_names": {"0": "CT"}, "labels": {"background": 0, "lesion": 1}}
    (root / "dataset.json").write_text(json.dumps(described))
    assert open_any(root, format="volume-pairs").channels == ("CT",)


@pytest.mark.parametrize("ending", [".nii.gz", ".nrrd", ".mha"])
def test_scans_of_the_abdomen_have_their_organs_names(
    pairs: Callable[..., Path], write_volume: Write, noise: Make, ending: str
) -> None:
    root = pairs(f"Training/img/img000{{}}{ending}", f"Training/label/label000{{}}{ending}", (6, 13))
    write_volume(root / "Testing" / "img" / f"img0061{ending}", noise(100))
    dataset = open_any(root)
    assert recognise(root) == dataset.format == "btcv"
    assert len(dataset.labels) == 14
    assert dataset.channels == ("CT",), "so that it is normalised as such"
    assert (dataset.labels[6], dataset.labels[13]) == ("liver", "left adrenal gland")
    assert dataset.names == ("img0001", "img0002", "img0003")
    assert dataset.unlabelled == ("img0061",)
    assert dataset.file_ending == ending
    assert inspect_dataset(dataset).errors == ()
    assert [case.name for case in find_cases(root / "Testing" / "img", 1)] == ["img0061"]
    assert open_any(root, format="volume-pairs").labels == {0: "background", 1: "label 1", 2: "label 2"}


def test_names_of_labels_from_a_description(pairs: Callable[..., Path]) -> None:
    root = pairs("mr/s{}.nii.gz", "mr/s{}_labels.nii.gz", (17, 53))
    labels = {"background": 0, "left hippocampus": 17, "right hippocampus": 53}
    (root / "dataset.json").write_text(json.dumps({"name": "Brains", "labels": labels}))
    dataset = open_any(root)
    assert (dataset.name, dataset.label_names) == ("Brains", ("left hippocampus", "right hippocampus"))
    assert inspect_dataset(dataset).errors == ()


def test_names_of_labels_from_a_table(
    pairs: Callable[..., Path], write_volume: Write, label_map: Make
) -> None:
    root = pairs("s{}.nii.gz", "s{}_seg.nii.gz", (17, 53))
    table = [f"{value} structure-{value} 1 2 3 0" for value in range(1, 255) if value != 200]
    (root / "lut.txt").write_text("\n".join(table))
    dataset = open_any(root)
    assert dataset.labels == {0: "background", 17: "structure-17", 53: "structure-53"}
    assert inspect_dataset(dataset).errors == ()
    write_volume(root / "s2_seg.nii.gz", label_map(17, 200))
    (problem,) = inspect_dataset(open_any(root)).errors
    assert "has labels that lut.txt does not name: expected 0, 17 and 53, found 0, 17 and 200" in str(problem)
    assert "Add the missing names to lut.txt" in problem.advice


@pytest.mark.parametrize("home", ["brains", "archive/brains/tables"])
def test_a_table_of_labels_is_found_below_the_folder(pairs: Callable[..., Path], home: str) -> None:
    root = pairs("brains/scans/s{}.nii.gz", "brains/masks/s{}.nii.gz", (17, 53))
    table = root / home / "lut.txt"
    table.parent.mkdir(parents=True, exist_ok=True)
    table.write_text("17 Left-Hippocampus 220 216 20 0\n53 Right-Hippocampus 220 216 20 0\n")
    dataset = open_any(root)
    assert dataset.labels == {0: "background", 17: "Left-Hippocampus", 53: "Right-Hippocampus"}
    assert dataset.naming == f"{home}/lut.txt"
    assert inspect_dataset(dataset).errors == ()
    (root / "lut.txt").write_text("17 seventeen 1 2 3 0\n53 fifty-three 1 2 3 0\n")
    assert open_any(root).label_names == ("seventeen", "fifty-three"), "the nearest one counts"


def test_tables_of_labels_that_differ_are_refused(pairs: Callable[..., Path]) -> None:
    root = pairs("case{}/image.nii.gz", "case{}/label.nii.gz", (17, 53))
    for number in (1, 2):
        (root / f"case{number}" / "lut.txt").write_text("17 left 1 2 3 0\n53 right 1 2 3 0\n")
    assert open_any(root).label_names == ("left", "right")
    (root / "case2" / "lut.txt").write_text("17 right 1 2 3 0\n53 left 1 2 3 0\n")
    with pytest.raises(DatasetError, match=r"case1/lut.txt and .*case2/lut.txt are tables .* that differ"):
        open_any(root)


def test_values_that_nobody_names_are_asked_for(pairs: Callable[..., Path]) -> None:
    root = pairs("images/s{}.nii.gz", "masks/s{}.nii.gz", (255,))
    problem = inspect_dataset(open_any(root)).errors[0]
    assert "confirm it with --map-label 255=1" in problem.advice
    assert inspect_dataset(open_any(root, map_label={255: 1})).errors == ()


def test_several_channels_in_a_file(pairs: Callable[..., Path], save_volume: Write, noise: Make) -> None:
    root = pairs("images/s{}.nii.gz", "labels/s{}.nii.gz")
    for number in (1, 2, 3):
        array = noise(0)[..., None].repeat(2, axis=-1)
        save_volume(root / "images" / f"s{number}.nii.gz", array)
        save_volume(root / "labels" / f"s{number}.nii.gz", (array[..., 0] > 0).astype("uint8"))
    dataset = open_any(root)
    assert dataset.channels == ("channel 0", "channel 1")
    assert inspect_dataset(dataset).errors == ()


def test_series_in_dicom_beside_label_maps(tmp_path: Path) -> None:
    for seed, name in enumerate(("a", "b", "c")):
        numbers = np.random.default_rng(seed).integers(0, 900, (6, 5, 4)).astype(np.int16)
        write_series(tmp_path / "images" / name, numbers)
        labels = nibabel.Nifti1Image(
            (numbers.T > 500).astype(np.uint8), np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine_of()
        )
        (tmp_path / "labels").mkdir(exist_ok=True)
        nibabel.save(labels, tmp_path / "labels" / f"{name}.nii.gz")
    dataset = open_any(tmp_path)
    assert (dataset.format, dataset.names, dataset.unlabelled) == ("volume-pairs", ("a", "b", "c"), ())
    assert inspect_dataset(dataset).errors == ()


def test_half_made_cases_are_named(pairs: Callable[..., Path]) -> None:
    root = pairs("images/s{}.nii.gz", "labels/s{}.nii.gz")
    (root / "images" / "s1.nii.gz").unlink()
    (root / "labels" / "s2.nii.gz").unlink()
    texts = sorted(
        str(problem) for problem in inspect_dataset(open_any(root)).errors if problem.kind != "few-cases"
    )
    assert texts[0].startswith("images/s2.nii.gz has no label map")
    assert texts[1].startswith("labels/s1.nii.gz has no image")


@pytest.mark.parametrize("second", ["labels/s1_mask.nii.gz", "masks/s1.nii.gz", "labels/s1.nrrd"])
def test_two_label_maps_of_an_image_are_refused(
    pairs: Callable[..., Path], write_volume: Write, label_map: Make, second: str
) -> None:
    root = pairs("images/s{}.nii.gz", "labels/s{}.nii.gz")
    write_volume(root / second, label_map(1))
    with pytest.raises(
        DatasetError, match="may all be the label maps of one case: expected one image and one label"
    ):
        open_any(root)


def test_parts_with_the_same_names_of_files(pairs: Callable[..., Path], tmp_path: Path) -> None:
    root = pairs("train/images/s{}.nii.gz", "train/labels/s{}.nii.gz")
    assert set(open_any(root).parts) == {None}, "one part alone is none"
    pairs("Test/images/s{}.nii.gz", "Test/labels/s{}.nii.gz", root=root)
    dataset = open_any(root)
    assert dict(zip(dataset.names, dataset.parts, strict=True)) == {
        f"{part}_s{number}": part for part in ("train", "test") for number in (1, 2, 3)
    }
    prepared = prepare(dataset, PreprocessingSettings(spacing="native", pad=False), tmp_path / "cache")
    assert split_any(prepared, 0).test == ("test_s1", "test_s2", "test_s3")


def test_scans_registered_to_others_are_left_out_and_told(pairs: Callable[..., Path]) -> None:
    root = pairs("RawData/Training/img/img000{}.nii.gz", "RawData/Training/label/label000{}.nii.gz", (1, 2))
    pairs("RegData/img/000{}/img0009-0001.nii.gz", "RegData/label/000{}/label0009-0001.nii.gz", root=root)
    dataset = open_any(root)
    assert dataset.names == ("img0001", "img0002", "img0003")
    (told,) = dataset.problems
    assert (told.kind, told.severity) == ("ignored-file", "warning")
    assert told.found == "6 with other names"


def test_files_named_as_nnunet_s_need_its_description(pairs: Callable[..., Path]) -> None:
    root = pairs("imagesTr/s{}_0000.nii.gz", "labelsTr/s{}.nii.gz")
    with pytest.raises(
        DatasetError, match=r"named as in nnU-Net, whose dataset\.json is not there"
    ) as refused:
        open_any(root)
    text = str(refused.value)
    (root / "dataset.json").write_text(text[text.index("{") : text.rindex("}") + 1])
    assert open_any(root).format == "nnunet"
    assert len(open_any(root).cases) == 3


def test_what_a_prediction_wrote_is_no_label_map(pairs: Callable[..., Path]) -> None:
    root = pairs("s{}.nii.gz", "labels/s{}.nii.gz")
    assert recognise(root) == "volume-pairs"
    (root / "labels" / MANIFEST).write_text("")
    assert recognise(root) is None


def test_scans_of_several_kinds_are_no_pairs(pairs: Callable[..., Path]) -> None:
    assert recognise(pairs("s{}_T1w.nii.gz", "s{}_T2w.nii.gz")) is None


def test_label_maps_beside_images_are_not_predicted(pairs: Callable[..., Path]) -> None:
    root = pairs("s{}.nii.gz", "s{}_seg.nii.gz")
    with pytest.warns(
        DatasetWarning,
        match=r"left out 3 files that are none of the images .*s1_seg\.nii\.gz, s2_seg\.nii\.gz and s3_seg",
    ):
        assert [case.name for case in find_cases(root, 1)] == ["s1", "s2", "s3"]


def test_a_folder_a_case_is_predicted_under_the_folders_names(pairs: Callable[..., Path]) -> None:
    root = pairs("case{}/image.nii.gz", "case{}/label.nii.gz")
    assert [case.name for case in find_cases(root, 1)] == ["case1", "case2", "case3"]


@pytest.mark.parametrize("layout", ["{}/s{{}}.nii.gz", "{}/images/s{{}}.nii.gz", "x/{}/s{{}}.nii.gz"])
@pytest.mark.parametrize(
    ("folders", "parts"),
    [
        (("LiTS", "CHAOS"), {None}),
        (("siteVA", "ValHebron"), {None}),
        (("CTs", "T1test"), {None}),
        (("train", "Test"), {"train", "test"}),
        (("training-scans", "testing-scans"), {"train", "test"}),
        (("TrainingData", "ValidationData"), {"train", "val"}),
        (("train_set", "test_set"), {"train", "test"}),
        (("T1test_data", "T2test_data"), {None}),
    ],
)
def test_folders_are_parts_by_their_whole_names(
    write_volume: Write,
    noise: Make,
    label_map: Make,
    tmp_path: Path,
    folders: tuple[str, str],
    parts: set[str | None],
    layout: str,
) -> None:
    for folder in folders:
        image = layout.format(folder)
        for number in (1, 2):
            file = write_volume(tmp_path / image.format(number), noise(100))
            write_volume(
                Path(str(file).replace("/images/", "/labels/").replace(".nii.gz", "_seg.nii.gz")),
                label_map(1, 2),
            )
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": {"background": 0, "a": 1, "b": 2}}))
    assert set(open_any(tmp_path).parts) == parts


def test_a_folder_of_a_patient_is_no_part(pairs: Callable[..., Path], tmp_path: Path) -> None:
    root = pairs("AB_0{}/image.nii.gz", "AB_0{}/label.nii.gz")
    for name in ("TS_01", "VA_01", "test"):
        pairs(f"{name}/image.nii.gz", f"{name}/label.nii.gz", root=root)
    assert set(open_any(root).parts) == {None}


def test_suffixes_of_images_and_labels_are_parts(pairs: Callable[..., Path]) -> None:
    root = pairs("imagesTr/a{}.nii.gz", "labelsTr/a{}.nii.gz")
    pairs("imagesVa/b{}.nii.gz", "labelsVa/b{}.nii.gz", root=root)
    assert open_any(root).parts == ("train",) * 3 + ("val",) * 3
    inner = root.rename(root.with_name("inner"))
    for part in ("train", "test"):
        pairs(f"{part}/imagesTr/c{{}}.nii.gz", f"{part}/labelsTr/c{{}}.nii.gz", root=inner / "both")
    assert set(open_any(inner / "both").parts) == {"train", "test"}, "the outer folder decides"


def test_files_of_one_name_in_two_folders_are_of_two_patients(
    pairs: Callable[..., Path], tmp_path: Path
) -> None:
    root = pairs("siteA/s{}.nii.gz", "siteA/s{}_seg.nii.gz")
    pairs("siteB/s{}.nii.gz", "siteB/s{}_seg.nii.gz", root=root)
    dataset = open_any(root)
    assert len(set(dataset.names)) == len({case.group for case in dataset.cases}) == 6


def test_folders_that_links_lead_to_are_visited_once(pairs: Callable[..., Path], tmp_path: Path) -> None:
    root = pairs("images/s{}.nii.gz", "labels/s{}.nii.gz")
    (root / "again").symlink_to(".")
    (root / "a first").symlink_to("images")
    (root / "around").symlink_to("..")
    assert open_any(root).names == ("s1", "s2", "s3")
    (root / "labels").rename(tmp_path / "elsewhere")
    (root / "labels").symlink_to(tmp_path / "elsewhere")
    (root / "images").rename(root / ".store")
    (root / "images").symlink_to(".store")
    (root / "a first").unlink()
    assert open_any(root).names == ("s1", "s2", "s3")
    assert inspect_dataset(open_any(root)).errors == ()


def test_folders_without_slices_beside_series_do_not_matter(tmp_path: Path) -> None:
    numbers = np.random.default_rng(0).integers(0, 900, (6, 5, 4)).astype(np.int16)
    labels = nibabel.Nifti1Image(
        (numbers.T > 500).astype(np.uint8), np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine_of()
    )
    (tmp_path / "images" / "@eaDir").mkdir(parents=True)
    (tmp_path / "labels").mkdir()
    for name in ("a", "b", "c"):
        write_series(tmp_path / "images" / name, numbers)
        nibabel.save(labels, tmp_path / "labels" / f"{name}.nii.gz")
    assert open_any(tmp_path).names == ("a", "b", "c")


def test_two_datasets_below_a_folder_are_refused_by_name(pairs: Callable[..., Path]) -> None:
    root = pairs("kidney/images/a{}.nii.gz", "kidney/labels/a{}.nii.gz")
    pairs("brain/train/images/b{}.nii.gz", "brain/train/labels/b{}.nii.gz", root=root)
    pairs("brain/test/images/b{}.nii.gz", "brain/test/labels/b{}.nii.gz", root=root)
    with pytest.raises(
        DatasetError,
        match=r"in each of 2 folders \(brain and kidney\).*Give one of them, such as .*/kidney; or, if",
    ) as refused:
        open_any(root)
    assert set(open_any(root / "brain").parts) == {"train", "test"}
    text = str(refused.value)
    (root / "dataset.json").write_text(text[text.index("{") : text.rindex("}") + 1])
    assert len(open_any(root).names) == 9


def test_a_folder_with_images_and_labels_for_each_case_is_a_case(pairs: Callable[..., Path]) -> None:
    assert len(open_any(pairs("p{0}/images/a{0}.nii.gz", "p{0}/labels/a{0}.nii.gz")).names) == 3


def test_sites_below_images_and_labels_are_one_dataset(pairs: Callable[..., Path]) -> None:
    root = pairs("images/siteA/a{}.nii.gz", "labels/siteA/a{}.nii.gz")
    pairs("images/siteB/a{}.nii.gz", "labels/siteB/a{}.nii.gz", root=root)
    assert open_any(root).names[::3] == ("sitea_a1", "siteb_a1")


def test_pairs_beside_a_dataset_with_a_description_are_refused(
    pairs: Callable[..., Path], msd_folder: Callable[..., Path], tmp_path: Path
) -> None:
    root = pairs("other/images/a{}.nii.gz", "other/labels/a{}.nii.gz")
    described = msd_folder(3, root=root / "Task01")
    with pytest.raises(
        DatasetError, match=f"expected one dataset. Give one of them, such as {described}; or move"
    ):
        open_any(root)
    assert open_any(described).format == "msd"


def test_a_dataset_within_another_is_told(
    pairs: Callable[..., Path], msd_folder: Callable[..., Path]
) -> None:
    root = pairs("images/a{}.nii.gz", "labels/a{}.nii.gz")
    msd_folder(3, root=root / "old" / "Task01")
    dataset = open_any(root)
    assert dataset.names == ("a1", "a2", "a3")
    (told,) = dataset.problems
    assert (told.severity, told.file, told.kind) == ("warning", "old/Task01", "ignored-dataset")


def test_volumes_that_belong_to_no_pair_are_counted(
    pairs: Callable[..., Path], write_volume: Write, noise: Make
) -> None:
    root = pairs("images/a{}.nii.gz", "labels/a{}.nii.gz")
    for number in (1, 2):
        write_volume(root / "notes" / f"t{number}.nii.gz", noise(100))
        write_volume(root / "new scans" / f"b{number}.nii.gz", noise(100))
    dataset = open_any(root)
    assert dataset.unlabelled == ("b1", "b2")
    (told,) = dataset.problems
    assert (told.severity, told.file, told.found) == ("warning", "notes/t1.nii.gz", "2 with other names")


def test_own_volumes_named_as_those_of_the_abdomen_have_no_organs(pairs: Callable[..., Path]) -> None:
    root = pairs("img/img000{}.nii.gz", "label/label000{}.nii.gz", (1,))
    assert open_any(root).labels == {0: "background", 1: "foreground"}
    assert recognise(root) == "volume-pairs"
    assert open_any(root, format="btcv").labels[1] == "spleen", "whoever names it knows"
    pairs("img/img000{}.nii.gz", "label/label000{}.nii.gz", (6, 13), root=root)
    assert recognise(root) == "btcv"
    pairs("img/img000{}.nii.gz", "label/label000{}.nii.gz", (1, 255), root=root)
    assert recognise(root) == "volume-pairs"


@pytest.mark.parametrize("description", [{"name": "Mine"}, {"licence": "CC", "reference": "ours"}])
def test_a_description_without_labels_names_what_it_names(
    pairs: Callable[..., Path], description: dict[str, str]
) -> None:
    root = pairs("images/s{}.nii.gz", "labels/s{}.nii.gz")
    (root / "dataset.json").write_text(json.dumps(description))
    dataset = open_any(root)
    assert dataset.labels == {0: "background", 1: "label 1", 2: "label 2"}
    assert dataset.name == description.get("name", root.name)


def test_a_description_of_channels_needs_labels(pairs: Callable[..., Path]) -> None:
    root = pairs("images/s{}.nii.gz", "labels/s{}.nii.gz")
    (root / "dataset.json").write_text(json.dumps({"channel_names": {"0": "CT"}}))
    with pytest.raises(DatasetError, match="has channel_names but no `labels`") as refused:
        open_any(root)
    example = str(refused.value).partition("for example ")[2].rstrip(".")
    (root / "dataset.json").write_text("{" + example + "}")
    assert open_any(root).label_names == ("tumour",)


def test_labels_that_are_a_list_are_refused(pairs: Callable[..., Path]) -> None:
    root = pairs("images/s{}.nii.gz", "labels/s{}.nii.gz")
    (root / "dataset.json").write_text(json.dumps({"labels": ["background", "tumour"]}))
    with pytest.raises(
        DatasetError, match=r"gives the labels as \['background', 'tumour'\]: expected a value for"
    ):
        open_any(root)


@pytest.mark.parametrize(
    ("image", "label"),
    [
        ("sub-00{0}/anat/ct{0}.nii.gz", "sub-00{0}/anat/ct{0}_seg.nii.gz"),
        ("images/sub-00{0}/ct.nii.gz", "labels/sub-00{0}/ct.nii.gz"),
    ],
)
def test_many_cases_in_folders_within_folders(pairs: Callable[..., Path], image: str, label: str) -> None:
    root = pairs(image, label)
    for number in range(4, 150):
        (root / image.format(number)).parent.mkdir(parents=True)
        (root / label.format(number)).parent.mkdir(parents=True, exist_ok=True)
    assert recognise(root) == "volume-pairs"
    assert len(open_any(root).names) == 3
