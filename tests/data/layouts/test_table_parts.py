"""Columns of tables that say official parts or folds: what is kept, what is told, and what is refused."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import pytest

from netwright.data.open import inspect_any, open_any
from netwright.data.split_file import read_split_file
from netwright.errors import DatasetError
from netwright_tests import save_photograph
from processes import run

PICTURES = 12
HOLDOUT = ["train"] * 6 + ["val"] * 2 + ["test"] * 4

Album = Callable[..., Path]


@pytest.fixture
def album(tmp_path: Path) -> Album:
    """Twelve pictures of two kinds in turn, and a table with further columns, each given by its values."""

    def build(columns: dict[str, Sequence[object]], table: str = "about.csv", first: str = "image") -> Path:
        root = tmp_path / "data"
        rows = [",".join([first, "kind", *columns])]
        for number in range(PICTURES):
            save_photograph(root / f"all/{number}.png")
            name = f"all/{number}.png" if first == "file" else f"{number}.png"
            kind = number % 2 if first == "file" else "ab"[number % 2]
            rows.append(",".join(map(str, [name, kind, *(values[number] for values in columns.values())])))
        (root / table).write_text("\n".join(rows))
        return root

    return build


def parts_of(root: Path) -> list[str | None]:
    """The part of each picture, in the order of the table."""
    data = open_any(root)
    of_name = dict(zip(data.names, data.parts, strict=True))
    return [of_name[f"all/{number}.png"] for number in range(PICTURES)]


def told(root: Path) -> list[str]:
    return [str(one) for one in inspect_any(open_any(root)).problems if one.kind == "unread-parts"]


def says(part: str, yes: object, no: object) -> list[object]:
    return [yes if own == part else no for own in HOLDOUT]


def either(part: str, other: str) -> list[str]:
    return [part if own == part else other for own in HOLDOUT]


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"split": HOLDOUT}, HOLDOUT),
        ({"is_test": says("test", 1, 0)}, either("test", "train")),
        ({"isTest": says("test", "True", "False")}, either("test", "train")),
        ({"Is Test": says("test", "yes", "no")}, either("test", "train")),
        ({"is_training_image": says("train", 1, 0)}, either("train", "test")),
        ({"is_valid": says("val", "TRUE", "FALSE")}, either("val", "train")),
        ({"is_train": says("train", 1, 0), "is_val": says("val", 1, 0)}, HOLDOUT),
        ({"is_val": says("val", "y", "n"), "is_test": says("test", "y", "n")}, HOLDOUT),
        ({"split": HOLDOUT, "is_test": [0] * 8 + [1] * 4}, HOLDOUT),
    ],
)
@pytest.mark.parametrize(("table", "first"), [("about.csv", "image"), ("labels.csv", "file")])
def test_parts_are_kept_in_all_spellings(
    album: Album, columns: dict[str, Sequence[object]], expected: list[str], table: str, first: str
) -> None:
    root = album(columns, table, first)
    assert open_any(root).format == ("label-table" if first == "file" else "class-table")
    assert open_any(root).class_names == (("kind",) if first == "file" else ("a", "b"))
    assert parts_of(root) == expected
    assert told(root) == []


def test_a_column_of_words_says_parts_whatever_it_is_called(album: Album) -> None:
    assert parts_of(album({"Usage": [part.upper() for part in HOLDOUT]})) == HOLDOUT
    assert (
        parts_of(album({"Set": [f"{part}ing" if part != "val" else "valid" for part in HOLDOUT]})) == HOLDOUT
    )


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"fold": [n % 3 for n in range(PICTURES)]}, ("fold", "0, 1 and 2", "--fold 0", "--folds 3 draws")),
        ({"kfold": [n % 2 for n in range(PICTURES)]}, ("kfold", "0 and 1", "--split-file FOLDS.json")),
        ({"split": [n % 3 for n in range(PICTURES)]}, ("split", "0, 1 and 2", "may be trained on")),
        ({"is_valid": [1] * 10 + [0] * 2}, ("is_valid", "0 and 1", "may be trained on")),
        ({"fold_0": either("val", "train")}, ("fold_0", "val and train", "call it split")),
        ({"phase": ["dev", *HOLDOUT[1:]]}, ("phase", "dev, val", "may be trained on")),
    ],
)
def test_what_is_not_looked_at_is_told(
    album: Album, columns: dict[str, Sequence[object]], words: Iterable[str]
) -> None:
    root = album(columns)
    assert set(parts_of(root)) == {None}
    (warning,) = told(root)
    assert warning.startswith("about.csv has the column ")
    for word in words:
        assert word in warning


def test_folds_are_no_labels(album: Album) -> None:
    root = album({"fold": [n % 2 for n in range(PICTURES)]}, "labels.csv", "file")
    assert open_any(root).class_names == ("kind",)
    assert set(parts_of(root)) == {None}
    assert len(told(root)) == 1


@pytest.mark.parametrize(
    "columns",
    [
        {"is_valid": [1] * 10 + [0] * 2, "is_val": says("val", 1, 0)},
        {"is_val": says("val", 1, 0), "is_valid": [1] * 10 + [0] * 2},
        {"is_val": says("val", 1, 0), "is_validation": says("val", "yes", "no"), "is_test": [0] * 12},
    ],
)
@pytest.mark.parametrize(("table", "first"), [("about.csv", "image"), ("labels.csv", "file")])
def test_several_columns_of_one_part(
    album: Album, columns: dict[str, Sequence[object]], table: str, first: str
) -> None:
    root = album(columns, table, first)
    assert parts_of(root) == either("val", "train")
    assert open_any(root).class_names == (("kind",) if first == "file" else ("a", "b"))


@pytest.mark.parametrize(
    "column", [{"status": ["valid"] * 12}, {"split": ["train"] * 12}, {"is_test": [0] * 12}]
)
def test_a_column_with_one_value_leaves_the_parts_of_folders(
    album: Album, column: dict[str, Sequence[object]]
) -> None:
    root = album(column)
    for number in range(PICTURES):
        part = "test" if number > 8 else "train"
        (root / part).mkdir(exist_ok=True)
        (root / f"all/{number}.png").rename(root / f"{part}/{number}.png")
    data = open_any(root)
    assert dict(zip(data.names, data.parts, strict=True)) == {
        f"{'test' if n > 8 else 'train'}/{n}.png": "test" if n > 8 else "train" for n in range(PICTURES)
    }


@pytest.mark.parametrize(
    ("is_test", "words"),
    [
        (says("test", 1, 0), ["about.csv has parts in is_test", "others for 12 of 12"]),
        ([0] * 11 + [""], ["about.csv (line 13) has the is_test ''"]),
        ([0] * 12, []),
    ],
)
def test_parts_of_a_table_beside_class_folders_are_told(
    album: Album, is_test: Sequence[object], words: Sequence[str]
) -> None:
    root = album({"is_test": is_test})
    table = (root / "about.csv").read_text().replace(",kind,", ",label,")
    (root / "about.csv").write_text(table)
    for number in range(PICTURES):
        (root / "ab"[number % 2]).mkdir(exist_ok=True)
        (root / f"all/{number}.png").rename(root / "ab"[number % 2] / f"{number}.png")
    (root / "all").rmdir()
    assert open_any(root).format == "image-folder"
    assert set(open_any(root).parts) == {None}
    warnings = told(root)
    assert len(warnings) == bool(words)
    for word in words:
        assert word in warnings[0]


def test_tables_of_which_one_says_parts(album: Album) -> None:
    root = album({"split": HOLDOUT})
    lines = (root / "about.csv").read_text().split("\n")
    (root / "a.csv").write_text("\n".join(["image,kind", *(line.rpartition(",")[0] for line in lines[1:5])]))
    (root / "about.csv").write_text("\n".join([lines[0], *lines[5:]]))
    assert parts_of(root) == HOLDOUT
    (root / "a.csv").rename(root / "z.csv")
    assert parts_of(root) == HOLDOUT


@pytest.mark.parametrize(("table", "first"), [("about.csv", "image"), ("labels.csv", "file")])
def test_parts_that_may_be_a_label_are_told(album: Album, table: str, first: str) -> None:
    bits = [n % 2 for n in range(PICTURES)]
    root = album({"is_car": bits, "is_dog": bits[::-1], "is_train": says("train", 1, 0)}, table, first)
    if first == "image":
        (root / "dataset.json").write_text(
            '{"table": "about.csv", "file": "image", "label": ["is_car", "is_dog"]}'
        )
    (warning,) = (one for one in inspect_any(open_any(root)).problems if one.kind == "assumed-parts")
    assert "is_train, which is taken for official parts" in str(warning)
    assert "as is_car is, found 6 for train and 6 for test" in str(warning)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"is_test": [0] * 11 + [""]}, r"\(line 13\) has the is_test '': expected one of 1"),
        ({"is_test": [0] * 11 + ["maybe"]}, r"\(line 13\) has the is_test 'maybe'"),
        ({"fold": [0] * 11 + ["test"]}, r"\(line 2\) has the fold '0': expected one of train"),
        (
            {"is_val": [0] * 8 + [1] * 4, "is_test": [0] * 11 + [1]},
            r"\(line 13\) says different parts, or none.*found is_val 1 and is_test 1",
        ),
        ({"is_train": says("train", 1, 0), "is_val": [0] * 12, "is_test": [0] * 12}, r"\(line 8\).*or none"),
        (
            {"split": HOLDOUT, "is_test": [1] + [0] * 7 + [1] * 4},
            r"\(line 2\).*found split train and is_test 1",
        ),
        ({"split": ["train"] * 12, "is_test": [0] * 11 + [1]}, r"\(line 13\) says different parts"),
        ({"is_val": says("val", 1, 0), "is_valid": [0] * 11 + [1]}, r"\(line 8\).*is_val 1 and is_valid 0"),
    ],
)
@pytest.mark.parametrize(("table", "first"), [("about.csv", "image"), ("labels.csv", "file")])
def test_what_says_parts_of_some_pictures_is_refused(
    album: Album, columns: dict[str, Sequence[object]], message: str, table: str, first: str
) -> None:
    root = album(columns, table, first)
    with pytest.raises(DatasetError, match=message):
        open_any(root)


def test_the_script_of_the_page_writes_folds_that_a_split_file_can_have(album: Album) -> None:
    root = album({"fold": [n % 3 for n in range(PICTURES)]})
    page = (Path(__file__).parents[3] / "docs" / "layouts.md").read_text()
    section = page[page.index("### Folds in a table") :]
    script = re.search(r"```python\n(.*?)```", section, re.DOTALL)
    assert script is not None
    code = script[1].replace('"DATASET"', repr(str(root))).replace('"train.csv"', '"about.csv"')
    done = run([sys.executable, "-c", code], cwd=root.parent)
    assert done.returncode == 0, done.stderr
    split = read_split_file(root.parent / "folds.json", fold=1)
    assert split.folds == 3
    assert {name for name, part in split.parts.items() if part == "val"} == {
        f"all/{n}.png" for n in range(PICTURES) if n % 3 == 1
    }
    assert set(split.parts) == set(open_any(root).names)
