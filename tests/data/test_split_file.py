"""Files that say which part each case lies in: what they may look like, and that they are followed exactly."""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from netwright.data.checked_parts import given_parts
from netwright.data.given_parts import GivenParts, given_splits
from netwright.data.split_file import read_split_file
from netwright.data.splits import PARTS, Part, Splits
from netwright.data.volumes.dataset import Case, Dataset
from netwright.errors import DatasetError, SettingsError
from netwright.files import write_json

FRACTIONS = (0.5, 0.2, 0.3)


def dataset_of(
    names: Sequence[str], groups: Mapping[str, str] | None = None, official: Mapping[str, Part] | None = None
) -> Dataset:
    groups, official = groups or {}, official or {}
    cases = tuple(
        Case(name, (Path(f"{name}.nii"),), None, group=groups.get(name, ""), part=official.get(name))
        for name in names
    )
    return Dataset("toy", Path("/toy"), "msd", ("MRI",), {0: "background", 1: "organ"}, cases)


def saved(folder: Path, text: str, name: str = "parts.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def table(rows: Sequence[Sequence[str]], head: Sequence[str] = ("case", "part", "group")) -> str:
    text = io.StringIO()
    csv.writer(text).writerows([head, *rows])
    return text.getvalue()


def parts_of(splits: Splits) -> dict[str, str]:
    lists = (splits.training, splits.validation, splits.test)
    return {name: part for part, names in zip(PARTS, lists, strict=True) for name in names}


def divided(path: Path, data: Dataset, seed: int = 0, fold: int | None = None) -> Splits:
    given, _ = given_parts(read_split_file(path, fold), data)
    return given_splits(given, seed, FRACTIONS)


NAME = st.text(st.characters(exclude_categories=["C", "Z"], exclude_characters="/"), min_size=1, max_size=6)
PATIENTS = st.dictionaries(
    NAME.map(lambda name: f"patient {name}"),
    st.tuples(st.integers(1, 3), st.sampled_from(["train", "val", "test", ""])),
    min_size=3,
    max_size=20,
)


@given(PATIENTS, st.integers(0, 99))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_table_is_followed_exactly_and_the_rest_is_drawn_by_patients(
    tmp_path: Path, patients: dict[str, tuple[int, str]], seed: int
) -> None:
    rows = [
        (f"{patient}_{i}".removeprefix("patient "), part, patient)
        for patient, (count, part) in patients.items()
        for i in range(count)
    ]
    stated = [part for _, part in patients.values()]
    for part in ("train", "val"):
        assume(part in stated or "" in stated)
    missing = {"train"} | ({"val", "test"} - {*stated})
    assume("" not in stated or stated.count("") >= len(missing))
    assume("" in stated or "test" in stated)
    splits = divided(saved(tmp_path, table(rows)), dataset_of([name for name, _, _ in rows]), seed)
    found = parts_of(splits)
    assert sorted(found) == sorted(name for name, _, _ in rows)
    assert len(splits.training) + len(splits.validation) + len(splits.test) == len(rows)
    assert set(found.values()) == {"train", "val", "test"}
    for name, part, _ in rows:
        assert found[name] == part if part else found[name] in missing
    for patient in patients:
        assert len({found[name] for name, _, group in rows if group == patient}) == 1
    # The run's own file of parts is such a file, too, and leaves nothing to chance.
    write_json(tmp_path / "splits.json", splits.to_dict())
    again = divided(tmp_path / "splits.json", dataset_of([name for name, _, _ in rows]), seed + 1)
    assert again == splits == given_splits(GivenParts.of(splits), seed + 2, FRACTIONS)


MEMBERS = st.lists(st.tuples(st.integers(1, 3), st.integers(0, 2)), min_size=5, max_size=40)


@given(MEMBERS, st.integers(0, 99), st.sampled_from([(), ("test",), ("val",)]))
def test_what_is_drawn_is_drawn_class_by_class_and_no_group_is_divided(
    members: list[tuple[int, int]], seed: int, named: tuple[Part, ...]
) -> None:
    """``members``: the size and the class of each group. ``named``: the parts of the first groups."""
    groups = {f"g{g}_{i}": f"g{g}" for g, (size, _) in enumerate(members) for i in range(size)}
    strata = {name: members[int(group[1:])][1] for name, group in groups.items()}
    parts: dict[str, Part | None] = {
        name: dict(enumerate(named)).get(int(g[1:])) for name, g in groups.items()
    }
    drawn = [part for part in PARTS if part not in named]
    classes = Counter(one for _, one in members[len(named) :])
    assume(max(classes.values()) >= len(drawn))
    splits = given_splits(GivenParts(parts, groups), seed, FRACTIONS, strata)
    found = parts_of(splits)
    assert sorted(found) == sorted(groups)
    for name, part in parts.items():
        assert found[name] == part if part else found[name] in drawn
    for group in set(groups.values()):
        assert len({found[name] for name, own in groups.items() if own == group}) == 1
    for one, count in classes.items():
        homes = Counter(
            found[f"g{g}_0"] for g, (_, own) in enumerate(members) if own == one and g >= len(named)
        )
        total = sum(FRACTIONS[PARTS.index(part)] for part in drawn)
        for part in drawn:
            share = count * FRACTIONS[PARTS.index(part)] / total
            assert abs(homes[part] - share) < 1 or homes[part] == 1 or count < 2 * len(drawn)


def test_lists_of_json_and_the_names_of_runs(tmp_path: Path) -> None:
    data = dataset_of("abcdef")
    lists = {"train": ["a", "b", "f"], "val": ["c"], "test": ["d", "e"]}
    splits = divided(saved(tmp_path, json.dumps(lists), "own.json"), data)
    assert (splits.training, splits.validation, splits.test) == (("a", "b", "f"), ("c",), ("d", "e"))
    assert splits.origin == "as own.json says"
    renamed = {"training": lists["train"], "validation": lists["val"], "test": lists["test"]}
    path = saved(tmp_path, "\ufeff" + json.dumps(renamed), "renamed.json")
    assert parts_of(divided(path, data)) == parts_of(splits)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("head", ["case,part,group", " Case,PART,Group", '"case","part","group"'])
def test_tables_as_programs_write_them(tmp_path: Path, separator: str, head: str) -> None:
    """With other separators and capitals, and the words that folders of parts may have."""
    rows = [("a", "train", "p"), ("b", "val", ""), ("c", "test", ""), ("d", "", "p")]
    expected = read_split_file(saved(tmp_path, table(rows), "plain.csv"))
    words = {"train": "Training", "val": "validation", "test": "TESTING"}
    lines = [head, *(",".join((case, words.get(part, ""), group)) for case, part, group in rows)]
    found = read_split_file(saved(tmp_path, "\ufeff" + "\n".join(lines).replace(",", separator)))
    assert (found.parts, found.groups) == (expected.parts, expected.groups)
    assert expected.parts == {"a": "train", "b": "val", "c": "test", "d": None}


def test_lists_may_have_the_names_of_folders(tmp_path: Path) -> None:
    lists = {"Train": ["a"], "valid": ["b"], "TEST": ["c"]}
    expected = {"a": "train", "b": "val", "c": "test"}
    assert read_split_file(saved(tmp_path, json.dumps(lists), "own.json")).parts == expected
    assert read_split_file(saved(tmp_path, json.dumps([lists]), "folds.json"), 0).parts == expected


@pytest.mark.parametrize(
    ("wrong", "names", "meant"),
    [
        ("a0.nii.gz", ["a0", "a1", "b0"], "a0"),
        ("scans/A1.nii", ["a0", "a1", "b0"], "a1"),
        ("a", ["a.mr", "b.mr"], "a.mr"),
        ("case1", ["case_1", "other"], "case_1"),
        ("a.nii.gz", ["a.mr", "a.ct", "b.ct"], None),
    ],
)
def test_the_case_that_was_meant(tmp_path: Path, wrong: str, names: list[str], meant: str | None) -> None:
    with pytest.raises(DatasetError, match="which /toy does not have") as error:
        divided(saved(tmp_path, table([(wrong, "train", "")])), dataset_of(names))
    assert str(error.value).endswith(f"Did you mean {meant}?" if meant else "Correct or remove it.")


def folds(names: Sequence[str], count: int = 5) -> list[dict[str, list[str]]]:
    """As nnU-Net writes them: each case validates once."""
    return [
        {
            "train": [name for i, name in enumerate(names) if i % count != fold],
            "val": [name for i, name in enumerate(names) if i % count == fold],
        }
        for fold in range(count)
    ]


def test_folds_of_nnunet(tmp_path: Path) -> None:
    names = [f"la_{number:03d}" for number in range(20)]
    path = saved(tmp_path, json.dumps(folds(names)), "splits_final.json")
    for fold in (None, 0, 3):
        splits = divided(path, dataset_of(names), fold=fold)
        assert list(splits.validation) == [name for i, name in enumerate(names) if i % 5 == (fold or 0)]
        assert sorted(parts_of(splits)) == names
        assert len(splits.test) == 6, "3/8 of the 16 training cases of the fold"
        assert splits.origin == (
            f"as fold {fold or 0} of splits_final.json says; test is drawn from its training part"
        )


def test_folds_are_counted_from_0_and_not_from_the_end(tmp_path: Path) -> None:
    path = saved(tmp_path, json.dumps(folds("abcdef")), "splits_final.json")
    for fold in (-1, 5):
        with pytest.raises(
            SettingsError, match=f"--fold {fold} does not exist: expected a number from 0 to 4"
        ):
            read_split_file(path, fold)


def test_a_fold_leaves_out_what_it_does_not_name_but_not_official_test_cases(tmp_path: Path) -> None:
    names = [f"la_{number:03d}" for number in range(20)]
    more = [*names, "odd_1", "odd_2", "held_1", "held_2"]
    data = dataset_of(more, official={"held_1": "test", "held_2": "test"})
    file = read_split_file(saved(tmp_path, json.dumps(folds(names)), "splits_final.json"), 1)
    given, notes = given_parts(file, data)
    splits = given_splits(given, 0, FRACTIONS)
    assert splits.test == ("held_1", "held_2")
    assert sorted((*splits.training, *splits.validation)) == names
    assert notes == (
        "splits_final.json does not name the cases odd_1 and odd_2 in fold 1: left out, as nnU-Net does.",
    )
    own = [{**fold, "test": ["odd_1"]} for fold in folds(names)]
    assert divided(saved(tmp_path, json.dumps(own), "own.json"), data).test == ("odd_1",)


def test_a_fold_that_trains_on_patients_of_the_official_test_part_is_refused(tmp_path: Path) -> None:
    names = [f"la_{number:03d}" for number in range(20)]
    data = dataset_of([*names, "held"], {"la_001": "eve", "held": "eve"}, {"held": "test"})
    path = saved(tmp_path, json.dumps(folds(names)), "splits_final.json")
    with pytest.raises(
        DatasetError, match=r"divides the patient \(group\) eve.*train \(la_001\) and test \(held\)"
    ):
        divided(path, data)


def test_cases_follow_the_part_of_their_patient(tmp_path: Path) -> None:
    """Also where the dataset itself knows the patients, and the file names a group for one of the cases only."""
    groups = {"a1": "a", "a2": "a", "b1": "b", "b2": "b"}
    data = dataset_of(["a1", "a2", "b1", "b2", "c", "d"], groups)
    rows = [
        ("a1", "test", ""),
        ("a2", "", ""),
        ("b1", "", "x"),
        ("b2", "", ""),
        ("c", "train", "x"),
        ("d", "val", ""),
    ]
    splits = divided(saved(tmp_path, table(rows)), data)
    assert (splits.training, splits.validation, splits.test) == (("b1", "b2", "c"), ("d",), ("a1", "a2"))
    assert splits.groups == {"a1": "a", "a2": "a", "b1": "x", "b2": "x", "c": "x"}


FULL = [("a", "train", ""), ("b", "train", ""), ("c", "val", ""), ("d", "test", "")]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (
            [*FULL, ("e", "test", "")],
            "names the case e, which /toy does not have: expected names such as a and b",
        ),
        (
            FULL[:-1],
            "does not name the case d of /toy: expected all of its 4 cases. Add it; in CSV, an empty part",
        ),
        ([*FULL, ("b", "val", "")], "names the case b twice: expected each case once, found train and val"),
        ([*FULL, ("b", "train", "")], "names the case b twice"),
        (
            [*FULL[:3], ("d", "tset", "")],
            r"(line 5, d) has an unknown part: expected train, val, test or nothing",
        ),
        ([*FULL[:3], ("d", "test", "p"), ("a", "train", "p")][1:], "divides the patient (group) p"),
        (
            [(name, "test" if part == "val" else part, "") for name, part, _ in FULL],
            "has no validation cases",
        ),
        ([(name, "val" if part == "train" else part, "") for name, part, _ in FULL], "has no training cases"),
        ([*FULL[:3], ("", "test", "")], "(line 5) names no case"),
    ],
)
def test_tables_that_are_refused(rows: list[tuple[str, str, str]], words: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=re.escape(words)):
        divided(saved(tmp_path, table(rows)), dataset_of("abcd"))


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("parts.csv", "case,group\na,b\n", "lacks the column part"),
        ("parts.csv", "case,part,patient\na,train,1\n", "has the column patient"),
        ("parts.csv", "case,part,part\na,train,val\n", "has the column part"),
        ("parts.csv", "case,part\na,train,val\n", "has too few or too many values"),
        ("parts.csv", "", "lacks the column case"),
        ("parts.csv", 'case,part\n"a,train\n', "cannot be read"),
        ("parts.json", '{"train": ["a"], "train": ["b"]}', "the key 'train' occurs twice"),
        ("parts.json", '{"train": ["a"], "holdout": ["b"]}', "has a part 'holdout'"),
        ("parts.json", '{"val": ["a"], "Valid": ["b"]}', "has two lists for val"),
        ("parts.csv", "case part\na train\n", "with commas, semicolons or tabs between them"),
        ("parts.json", '{"train": "a"}', "has no list of names as train"),
        ("parts.json", '{"train": [1]}', "has no list of names as train"),
        ("parts.json", "[]", "has an empty list of folds"),
        ("parts.json", "[3]", r"\(fold 0\) is no fold"),
        ("parts.json", '[{"train": ["a"], "val": ["a"]}]', r"\(fold 0\) names the case a twice"),
        ("parts.json", "3", "holds no parts"),
        ("parts.json", "{", "cannot be read"),
        ("parts.json", '{"training": ["a"], "validation": [], "groups": 3}', "has groups of another form"),
        (
            "parts.json",
            '{"training": ["a"], "validation": [], "left_out": 3}',
            "no list of names as left_out",
        ),
        (
            "parts.json",
            '{"training": ["a"], "validation": ["b"], "left_out": ["a"]}',
            "names the case a twice",
        ),
        ("splits_final.pkl", "x", "Pickled files are not read: save the folds as JSON"),
        ("parts.txt", "a", "is of no form that is known"),
    ],
)
def test_files_that_are_refused(name: str, text: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=words):
        divided(saved(tmp_path, text, name), dataset_of("abcd"))


def test_what_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="does not exist"):
        read_split_file(tmp_path / "none.csv")
    for name, text in (("parts.csv", table(FULL)), ("parts.json", '{"train": ["a"]}')):
        with pytest.raises(SettingsError, match="--fold 0 is for a file with a list of folds"):
            read_split_file(saved(tmp_path, text, name), 0)
    data = dataset_of(["case_1", "case_2", "case_3"])
    with pytest.raises(DatasetError, match=r"Did you mean case_1\?"):
        divided(saved(tmp_path, table([("case1", "train", "")])), data)
    many = dataset_of([f"case_{number}" for number in range(30)])
    with pytest.raises(DatasetError, match="case_0, case_1, case_2, case_3, case_4 and 25 more of /toy"):
        divided(saved(tmp_path, table([])), many)
    groups = {"a": "p", "b": "p"}
    rows = [("a", "train", "x"), ("b", "train", "y"), ("c", "val", ""), ("d", "test", "")]
    with pytest.raises(DatasetError, match=r"has the groups x and y for the cases of p: expected one"):
        divided(saved(tmp_path, table(rows)), dataset_of("abcd", groups))
    rows = [("a", "train", ""), ("b", "val", ""), ("c", "val", ""), ("d", "test", "")]
    with pytest.raises(DatasetError, match=r"divides the patient \(group\) p.*train \(a\) and val \(b\)"):
        divided(saved(tmp_path, table(rows)), dataset_of("abcd", groups))
