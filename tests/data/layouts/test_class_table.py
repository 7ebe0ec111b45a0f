"""Pictures whose classes a table tells: folders as publishers make them, and what is wrong with a table."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from netwright.data.images.dataset import ImageSet
from netwright.data.layouts.picture_tables import tables_that_name
from netwright.data.layouts.table_choice import pictures_of, rivals
from netwright.data.open import inspect_any, open_any
from netwright.data.recognition import recognise
from netwright.errors import DatasetError
from netwright_tests import save_photograph

Write = Callable[..., Path]

PICTURES = 12


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Pictures and texts by name in a folder."""

    def build(pictures: Iterable[str], **texts: str) -> Path:
        root = tmp_path / "data"
        for name in pictures:
            save_photograph(root / name)
        for name, text in texts.items():
            path = root / name.replace("__", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return root

    return build


def lines(head: str, rows: Iterable[str]) -> str:
    return "\n".join([head, *rows, ""])


def opened(root: Path) -> ImageSet:
    data = open_any(root)
    assert isinstance(data, ImageSet)
    assert data.format == "class-table"
    return data


def told(data: ImageSet) -> dict[str, str]:
    """The class of each picture, by the name of its file."""
    return {
        Path(record.name).name: data.classes[record.label]
        for record in data.records
        if isinstance(record.label, int)
    }


def warnings_of(data: ImageSet) -> list[str]:
    return [str(one) for one in inspect_any(data).problems if one.kind not in ("few-cases", "untested-class")]


def test_ham10000_has_its_classes_in_a_table_beside_two_pieces(write: Write) -> None:
    dx = {f"ISIC_{number:07d}": ("nv", "mel", "bkl")[number % 3] for number in range(PICTURES)}
    root = write(
        [f"HAM10000_images_part_{1 + number % 2}/{name}.jpg" for number, name in enumerate(dx)],
        **{
            "HAM10000_metadata.csv": lines(
                "lesion_id,image_id,dx,dx_type,age,sex,localization",
                (f"HAM_{n // 2},{name},{one},histo,4{n}.0,male,back" for n, (name, one) in enumerate(dx.items())),
            ),
            "hmnist_8_8_L.csv": lines("pixel0000,pixel0001,label", (f"{n},{n + 7},{n % 3}" for n in range(PICTURES))),
        },
    )  # fmt: skip
    data = opened(root)
    assert data.classes == ("bkl", "mel", "nv")
    assert told(data) == {f"{name}.jpg": one for name, one in dx.items()}
    assert set(data.parts) == {None}
    (warning,) = warnings_of(data)
    assert "same lesion_id for several pictures" in warning
    assert "--split-file a table with the columns case, part (empty) and group" in warning


def test_aptos_is_learned_from_the_part_with_labels(write: Write) -> None:
    root = write(
        [f"{part}_images/{part[:2]}{n}.png" for part in ("train", "test") for n in range(PICTURES)],
        **{
            "train.csv": lines("id_code,diagnosis", (f"tr{n},{n % 3}" for n in range(PICTURES))),
            "test.csv": lines("id_code", (f"te{n}" for n in range(PICTURES))),
            "sample_submission.csv": lines("id_code,diagnosis", (f"te{n},{n % 2}" for n in range(PICTURES))),
        },
    )
    data = opened(root)
    assert data.classes == ("0", "1", "2")
    assert told(data) == {f"tr{n}.png": str(n % 3) for n in range(PICTURES)}
    (warning,) = warnings_of(data)
    assert "test_images/te0.png has no label in the table" in warning
    assert "found 12 files" in warning


@pytest.mark.parametrize("home", ["", "ISIC_2019_Training_GroundTruth__"])
def test_isic_2019_has_one_1_in_each_row(write: Write, home: str) -> None:
    columns = ("MEL", "NV", "UNK")
    rows = [
        f"ISIC_{n},{','.join('1.0' if n % 2 == number else '0.0' for number in range(3))}"
        for n in range(PICTURES)
    ]
    meta = [
        f"ISIC_{n},{40 + n % 3},{'torso' if n % 2 else 'head'},{'' if n else 'male'}" for n in range(PICTURES)
    ]
    root = write(
        [f"ISIC_2019_Training_Input/ISIC_{n}.jpg" for n in range(PICTURES)]
        + [f"ISIC_2019_Test_Input/ISIC_{n + 50}.jpg" for n in range(PICTURES)],
        **{
            f"{home}ISIC_2019_Training_GroundTruth.csv": lines(f"image,{','.join(columns)}", rows),
            "ISIC_2019_Training_Metadata.csv": lines("image,age_approx,anatom_site_general,sex", meta),
        },
    )
    data = opened(root)
    assert data.task == "classification"
    assert data.classes == ("MEL", "NV"), "no picture to learn from is UNK"
    assert told(data) == {f"ISIC_{n}.jpg": columns[n % 2] for n in range(PICTURES)}
    of_test = [f"ISIC_{n + 50},{'0,0,1' if n == 0 else '1,0,0'},{n % 2}.0,0.{n}" for n in range(PICTURES)]
    (root / "ISIC_2019_Test_GroundTruth.csv").write_text(
        lines(f"image,{','.join(columns)},score_weight,validation_weight", of_test)
    )
    data = opened(root)
    assert data.parts.count("train") == PICTURES
    assert data.parts.count("test") == PICTURES - 1
    assert any("is of a class (UNK) that training lacks" in warning for warning in warnings_of(data))


def test_nih_chest_x_rays_have_several_labels_and_lists_of_parts(write: Write) -> None:
    findings = ("Cardiomegaly", "Cardiomegaly|Effusion", "No Finding", "Effusion")
    names = [f"{n:08d}_000.png" for n in range(PICTURES)]
    root = write(
        [f"images_00{1 + n % 2}/images/{name}" for n, name in enumerate(names)],
        **{
            "Data_Entry_2017.csv": lines(
                "Image Index,Finding Labels,Follow-up #,Patient ID,OriginalImage[Width,Height],",
                (f"{name},{findings[n % 4]},0,{n},2682,2749," for n, name in enumerate(names)),
            ),
            "BBox_List_2017.csv": lines(
                "Image Index,Finding Label,Bbox [x,y,w,h],,,",
                (f"{name},{findings[-n]},1.5,2.5,3.5,4.5,,," for n, name in enumerate(names[:4])),
            ),
            "train_val_list.txt": "\n".join(names[:8]),
            "test_list.txt": "\n".join(names[8:]),
        },
    )
    data = opened(root)
    assert (data.task, data.classes) == ("multilabel", ("Cardiomegaly", "Effusion"))
    by_name = {Path(record.name).name: record for record in data.records}
    assert [by_name[name].label for name in names] == [(1, 0), (1, 1), (0, 0), (0, 1)] * 3
    assert [by_name[name].part for name in names] == ["train"] * 8 + ["test"] * 4


def test_pictures_of_one_stem_are_told_apart_by_the_part_of_the_table(write: Write) -> None:
    root = write(
        [f"{part}/{n}.jpg" for part in ("train", "test") for n in range(PICTURES)],
        **{"train.csv": lines("id,breed", (f"{n},{('pug', 'boxer')[n % 2]}" for n in range(PICTURES)))},
    )
    data = opened(root)
    assert data.names == tuple(sorted(f"train/{n}.jpg" for n in range(PICTURES)))
    (root / "train.csv").rename(root / "dogs.csv")
    errors = inspect_any(open_any(root)).errors
    assert any("(line 2, '0') may name several pictures" in str(error) for error in errors)


def test_paths_within_a_folder_around_the_dataset_name_pictures(write: Write) -> None:
    """As CheXpert has them, where all files have the same names."""
    names = [f"train/patient{n:05d}/study1/view1_frontal.jpg" for n in range(PICTURES)]
    rows = (f"CheXpert-v1.0-small/{name},{'ab'[n % 2]}" for n, name in enumerate(names))
    data = opened(write(names, **{"train.csv": lines("Path,label", rows)}))
    assert {record.name: record.label for record in data.records} == {n: i % 2 for i, n in enumerate(names)}


def test_a_table_without_names_of_its_columns_is_refused(write: Write) -> None:
    rows = [f"{n}.png,{'ab'[n % 2]}" for n in range(PICTURES)]
    root = write([f"all/{n}.png" for n in range(PICTURES)], **{"about.csv": lines(rows[0], rows[1:])})
    with pytest.raises(
        DatasetError, match=r"begins with the picture 0\.png.*first line, for example image,label"
    ):
        open_any(root)
    (root / "about.csv").write_text(lines("file,label", rows))
    assert len(opened(root).records) == PICTURES


def test_tables_of_the_parts_are_one(write: Write) -> None:
    root = write(
        [f"images/{n}.png" for n in range(PICTURES)],
        **{
            "train.csv": lines("image;class", (f"{n}.png;{'ab'[n % 2]}" for n in range(8))),
            "valid.csv": lines("image;class", (f"{n}.png;{'ab'[n % 2]}" for n in range(8, 10))),
            "test.csv": lines("image;class", (f"{n}.png;{'ab'[n % 2]}" for n in range(10, 12))),
        },
    )
    data = opened(root)
    assert {part: data.parts.count(part) for part in ("train", "val", "test")} == {
        "train": 8,
        "val": 2,
        "test": 2,
    }


AMBIGUOUS = lines(
    "file,place,light", (f"{n}.png,{'xy'[n % 2]},{('day', 'night')[n // 6]}" for n in range(PICTURES))
)


def test_columns_that_may_both_be_meant_are_refused_until_a_description_says_which(write: Write) -> None:
    root = write([f"{n}.png" for n in range(PICTURES)], **{"where.csv": AMBIGUOUS})
    with pytest.raises(DatasetError, match=r"found place and light\. Say in a dataset\.json") as caught:
        open_any(root)
    example = str(caught.value).partition("for example ")[2].partition("; or")[0]
    (root / "dataset.json").write_text(example)
    assert opened(root).classes == ("x", "y")
    (root / "dataset.json").write_text(example.replace('"place"', '"light"'))
    assert told(opened(root))["11.png"] == "night"
    (root / "dataset.json").unlink()
    assert open_any(root, format="images").format == "images"


@pytest.mark.parametrize("heads", [("file,place,light",) * 2, ("file,class,light", "id,species,light")])
def test_what_is_said_of_several_tables_can_be_written_into_a_description(
    write: Write, heads: tuple[str, str]
) -> None:
    """Tables of the parts with the same columns, and tables of which each may tell the classes."""
    rows = [f"{n}.png,{'xy'[n % 2]},{'dn'[n // 3 % 2]}" for n in range(PICTURES)]
    halves = (rows[:6], rows[6:])
    root = write(
        [f"all/{n}.png" for n in range(PICTURES)],
        **{
            f"lists__{name}.csv": lines(head, half)
            for name, head, half in zip("ab", heads, halves, strict=True)
        },
    )
    with pytest.raises(DatasetError, match="which table and which columns are meant") as caught:
        open_any(root)
    (root / "dataset.json").write_text(str(caught.value).partition("for example ")[2].partition("}")[0] + "}")
    assert opened(root).classes == ("x", "y")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"table": "when.csv"}, r"names the table .*when\.csv: expected a file that is there"),
        ({"label": "sort"}, r"the column 'sort' as `label`: expected one of where\.csv \(file, place and light\)"),
        ({"label": None}, r"the column None as `label`"),
        ({"file": "place"}, r"names no picture in the column place.*found 'x'"),
        ({"table": ["where.csv", "other.csv"]}, "2 tables with different columns"),
    ],
)  # fmt: skip
def test_a_description_that_names_what_is_not_there(
    write: Write, changes: dict[str, object], message: str
) -> None:
    root = write(
        [f"{n}.png" for n in range(PICTURES)], **{"where.csv": AMBIGUOUS, "other.csv": "id,place\n1,x\n"}
    )
    described = {"table": "where.csv", "file": "file", "label": "place", **changes}
    (root / "dataset.json").write_text(json.dumps(described))
    with pytest.raises(DatasetError, match=message):
        open_any(root)


def test_several_columns_of_a_description_are_labels(write: Write) -> None:
    rows = (f"{n}.png,{n % 2},{n // 6},{n % 5}" for n in range(PICTURES))
    root = write([f"{n}.png" for n in range(PICTURES)], **{"where.csv": lines("file,wet,dark,degrees", rows)})
    described = {"table": "where.csv", "file": "file", "label": ["wet", "dark"]}
    (root / "dataset.json").write_text(json.dumps(described))
    data = opened(root)
    assert (data.task, data.classes) == ("multilabel", ("wet", "dark"))
    assert {record.name: record.label for record in data.records}["7.png"] == (1, 1)


BINARY = ("melanoma", "keratosis")


def binary(values: Iterable[tuple[int, int]]) -> str:
    return lines(f"image,{','.join(BINARY)}", (f"{n}.png,{a},{b}" for n, (a, b) in enumerate(values)))


def assumed(data: ImageSet) -> list[str]:
    return [str(one) for one in inspect_any(data).problems if one.kind == "assumed-labels"]


@pytest.mark.parametrize(
    ("values", "task", "told"),
    [
        ([(1, 0), (0, 1)] * 6, "classification", 0),
        ([(1, 0), (0, 1), (0, 0)] * 4, "multilabel", 1),
        ([(1, 0), (1, 1), (0, 1)] * 4, "multilabel", 0),
    ],
)
def test_what_columns_of_0_and_1_tell_follows_from_their_values(
    write: Write, values: list[tuple[int, int]], task: str, told: int
) -> None:
    """Of ISIC 2017 the rows without a 1 are naevi: nobody can know, so it is told."""
    root = write([f"all/{n}.png" for n in range(PICTURES)], **{"truth.csv": binary(values)})
    data = opened(root)
    assert data.task == task
    assert data.classes == BINARY
    assert len(assumed(data)) == told


def test_a_description_says_whether_columns_of_0_and_1_are_classes(write: Write) -> None:
    values = [(1, 0), (0, 1), (0, 0)] * 4
    root = write([f"all/{n}.png" for n in range(PICTURES)], **{"truth.csv": binary(values)})
    (warning,) = assumed(opened(root))
    (root / "dataset.json").write_text(warning.partition("dataset.json: ")[2].rstrip("."))
    data = opened(root)
    assert (data.task, len(data.records)) == ("classification", 8), "those without a 1 are left out"
    assert any("has no label in the table" in one for one in warnings_of(data))
    described = json.loads((root / "dataset.json").read_text())
    (root / "dataset.json").write_text(json.dumps({**described, "several": True}))
    assert opened(root).task == "multilabel"
    assert assumed(opened(root)) == []
    (root / "dataset.json").write_text(json.dumps({**described, "label": "melanoma"}))
    with pytest.raises(
        DatasetError, match=r"gives `several` as False: expected true or false, beside a list"
    ):
        open_any(root)
    (root / "dataset.json").write_text(json.dumps(described))
    (root / "truth.csv").write_text(binary([(1, 1), *values[1:]]))
    (error,) = inspect_any(opened(root)).errors
    assert "(line 2, '0.png') has 1 for several classes" in str(error)


def test_columns_of_0_and_1_among_others_are_refused_with_how_to_name_them(write: Write) -> None:
    rows = (f"{n}.png,{n % 2},{n // 6},{('day', 'night')[n // 6]}" for n in range(PICTURES))
    root = write([f"{n}.png" for n in range(PICTURES)], **{"where.csv": lines("file,wet,dark,light", rows)})
    with pytest.raises(
        DatasetError, match=r"wet and dark hold 0 and 1: for a label each, give `label` a list"
    ):
        open_any(root)


def test_a_command_reads_a_table_once(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """It recognises a folder before the folder is opened."""
    rows = (f"{n},{'ab'[n % 2]}" for n in range(PICTURES))
    root = write([f"all/{n}.png" for n in range(PICTURES)], **{"about.csv": lines("id,label", rows)})
    read: list[str] = []
    before = Path.open

    def counted(path: Path, *arguments: Any, **options: Any) -> Any:
        read.append(path.name)
        return before(path, *arguments, **options)

    monkeypatch.setattr(Path, "open", counted)
    assert recognise(root) == "class-table"
    recognised = read.count("about.csv")
    assert recognised > 0
    assert len(opened(root).records) == PICTURES
    assert read.count("about.csv") == recognised
    (root / "about.csv").write_text(lines("id,label", (f"{n},{'abc'[n % 3]}" for n in range(PICTURES))))
    assert opened(root).classes == ("a", "b", "c")


@pytest.mark.parametrize(
    "table",
    [
        lines("file,width,height", (f"{n}.png,640.5,{480.5 + n}" for n in range(PICTURES))),
        lines("file,title", (f"{n}.png,Untitled {n}" for n in range(PICTURES))),
        lines("city,label", (f"Graz {n},{n % 2}" for n in range(PICTURES))),
        lines("case,part,group", (f"{n}.png,{('train', 'val')[n % 2]},{n % 3}" for n in range(PICTURES))),
        '"no table\n',
        "",
    ],
)
def test_tables_of_other_things_leave_pictures_what_they_were(write: Write, table: str) -> None:
    root = write([f"{n}.png" for n in range(PICTURES)], **{"about.csv": table})
    assert recognise(root) == "images"
    with pytest.raises(DatasetError, match=r"no table that tells the classes .*found about\.csv"):
        open_any(root, format="class-table")


def test_rows_that_cannot_be_used(write: Write) -> None:
    rows = [f"{n},{'ab'[n % 2]}" for n in range(PICTURES)]
    root = write(
        [f"{n}.png" for n in range(PICTURES)],
        **{"about.csv": lines("id,label", [*rows[:-1], "11,", "99,a", "3,a", "2,a"])},
    )
    data = opened(root)
    assert len(data.records) == PICTURES - 1, "11 has no class; 2 and 3 are once each"
    found = [f"{one.severity}: {one}" for one in data.problems]
    assert len(found) == 3
    assert any(one.startswith("error: about.csv (line 15, '3') names a picture again") for one in found)
    assert any("1 of 15 pictures of about.csv missing, such as 99" in one for one in found)
    assert any(one.startswith("warning: 11.png has no label in the table") for one in found)


def test_folders_of_classes_stay_classes_unless_a_table_contradicts_them(write: Write) -> None:
    root = write(
        [f"{('cat', 'dog')[n % 2]}/{n}.png" for n in range(PICTURES)],
        **{"about.csv": lines("file,label", (f"{n}.png,{('cat', 'dog')[n % 2]}" for n in range(PICTURES)))},
    )
    assert recognise(root) == "image-folder"
    (root / "about.csv").write_text(lines("file,sex", (f"{n}.png,{'mf'[n // 6]}" for n in range(PICTURES))))
    assert recognise(root) == "image-folder"
    (root / "about.csv").write_text(lines("file,label", (f"{n}.png,{'ab'[n // 6]}" for n in range(PICTURES))))
    with pytest.raises(DatasetError, match="several classes of the pictures in the folder cat"):
        recognise(root)
    assert told(open_any(root, format="class-table"))["11.png"] == "b"  # type: ignore[arg-type]
    assert told(open_any(root, format="image-folder"))["11.png"] == "dog"  # type: ignore[arg-type]


@pytest.mark.parametrize(("other", "found"), [("", "''"), ("holdout", "'holdout'")])
def test_a_column_of_parts_with_something_else_is_refused(write: Write, other: str, found: str) -> None:
    """Else its test pictures would be trained on, without a word."""
    split = ["train"] * 8 + ["test"] * 3 + [other]
    rows = (f"{n}.png,{'ab'[n % 2]},{part}" for n, part in enumerate(split))
    root = write([f"all/{n}.png" for n in range(PICTURES)], **{"about.csv": lines("image,kind,split", rows)})
    with pytest.raises(DatasetError, match=rf"\(line 13\) has the split {found}: expected one of train"):
        open_any(root)


def test_a_table_of_pixels_names_no_pictures(write: Write) -> None:
    """Though some of its values are the names of pictures; with 784 columns it would take minutes to find that out."""
    rows = (f"{n % 2},{','.join(str((n * 7 + k) % 256) for k in range(20))}" for n in range(1010))
    root = write([f"{n}.png" for n in range(PICTURES)], **{"train.csv": "\n".join(rows)})
    assert rivals(root, pictures_of(root)) == []
    assert tables_that_name(pictures_of(root), [root / "train.csv"]) == []


def test_a_table_is_found_whose_first_rows_name_pictures_that_are_elsewhere(write: Write) -> None:
    """As where one archive of several was downloaded; and names that differ in small and capital letters are one."""
    rows = [f"gone_{n}.png,a" for n in range(300)] + [f"P{n}.PNG,{'ab'[n % 2]}" for n in range(PICTURES)]
    data = opened(
        write([f"all/p{n}.png" for n in range(PICTURES)], **{"about.csv": lines("image,kind", rows)})
    )
    assert told(data) == {f"p{n}.png": "ab"[n % 2] for n in range(PICTURES)}


@pytest.mark.parametrize(("errors", "refused"), [(1, False), (12, True)])
def test_folders_of_classes_beside_a_table_that_tells_others_of_a_few(
    write: Write, errors: int, refused: bool
) -> None:
    kinds = [("normal", "sick")[n % 2] for n in range(40)]
    rows = (
        f"{n}.png,{kind if n >= errors else 'normal sick'.replace(kind, '').strip()}"
        for n, kind in enumerate(kinds)
    )
    root = write(
        [f"{kind}/{n}.png" for n, kind in enumerate(kinds)], **{"about.csv": lines("image,target", rows)}
    )
    if refused:
        with pytest.raises(DatasetError, match=r"another than that of most for 12 of 40 pictures"):
            open_any(root)
    else:
        assert open_any(root).format == "image-folder"


def test_kinds_of_parts_that_lie_in_two_parts_are_classes(write: Write) -> None:
    root = write(
        [f"{part}/part_{kind}/{n}.png" for part in ("train", "test") for kind in (1, 2) for n in range(4)]
    )
    assert open_any(root).format == "image-folder"
