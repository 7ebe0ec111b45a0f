"""Structures whose names say on which side they lie."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest

from netwright.data import inspect_dataset, open_any
from netwright.data.issues import Problem
from netwright.data.volumes import survey
from netwright.data.volumes.sides import opposites_of

SHAPE = (20, 18, 16)
LABELS = {
    "background": 0,
    "Left kidney": 3,
    "right Kidney": 7,
    "liver": 2,
    "horn, anterior": 9,
    "horn, posterior": 4,
}


def truth() -> np.ndarray:
    """In axes of RAS: the right is where the first index is large."""
    labels = np.zeros(SHAPE, np.int16)
    labels[3:6, 5:8, 4:9], labels[14:17, 5:8, 4:9], labels[9:13, 9:12, 10:14] = 3, 7, 2
    labels[8:12, 14:16, 2:4], labels[8:12, 1:3, 2:4] = 9, 4
    return labels


@pytest.fixture
def dataset(tmp_path: Path) -> Callable[..., list[Problem]]:
    """The warnings of sides in ten cases, stored in some axis codes each; ``flipped``: those with a wrong header."""

    def build(
        flipped: dict[int, tuple[int, ...]] | None = None,
        codes: tuple[str, ...] = ("RAS", "LPS", "SRP"),
        **options: object,
    ) -> list[Problem]:
        rng = np.random.default_rng(0)
        for number in range(10):
            affine = np.diag([1.0, 2.0, 3.0, 1.0])
            labels = truth()
            for axis in (flipped or {}).get(number, ()):
                labels = np.flip(labels, axis)
            for home, array in (("images", rng.normal(size=SHAPE).astype(np.float32)), ("labels", labels)):
                image = nibabel.Nifti1Image(array, affine)
                ends = nibabel.orientations.axcodes2ornt(tuple(("RAS", "LPS", "SRP")[number % 3]))
                stored = image.as_reoriented(
                    nibabel.orientations.ornt_transform([[0, 1], [1, 1], [2, 1]], ends)
                )
                path = tmp_path / home / f"s{number}.nii.gz"
                path.parent.mkdir(exist_ok=True)
                nibabel.save(stored, path)
        (tmp_path / "dataset.json").write_text(json.dumps({"labels": LABELS}))
        inspection = inspect_dataset(open_any(tmp_path, **options))  # type: ignore[arg-type]
        assert inspection.errors == ()
        return [problem for problem in inspection.warnings if problem.kind == "sides"]

    return build


def test_right_headers_in_any_orientation_say_nothing(dataset: Callable[..., list[Problem]]) -> None:
    assert dataset() == []


def test_a_case_with_another_header_than_the_others_is_named(dataset: Callable[..., list[Problem]]) -> None:
    (left,) = dataset({4: (0,)})
    assert left.file == "labels/s4.nii.gz"
    assert "has left and right exchanged, by its header" in left.what
    assert left.expected == "right Kidney further right than Left kidney, as 9 other cases have it"
    assert left.found == "right Kidney 11 mm further left"
    kinds = {(problem.file, problem.what.split()[1]) for problem in dataset({4: (0,), 7: (0, 1)})}
    assert kinds == {
        ("labels/s4.nii.gz", "left"),
        ("labels/s7.nii.gz", "left"),
        ("labels/s7.nii.gz", "posterior"),
    }


def test_where_most_cases_are_so_it_is_told_of_the_dataset(dataset: Callable[..., list[Problem]]) -> None:
    (told,) = dataset(dict.fromkeys(range(8), (0,)))
    assert told.found == "8 of 10 cases in which most lie on the other side"
    assert "left and right exchanged, by its headers" in told.what


def test_values_that_are_mapped_count_as_what_they_are_mapped_to(
    dataset: Callable[..., list[Problem]],
) -> None:
    (told,) = dataset(map_label={3: 7, 7: 3})
    assert told.found == "10 of 10 cases in which most lie on the other side"


def test_centres_do_not_depend_on_the_pieces(
    dataset: Callable[..., list[Problem]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset()
    opened = open_any(tmp_path)
    whole = [survey.case_facts(case, opened).centres for case in opened.cases]  # type: ignore[arg-type, union-attr]
    monkeypatch.setattr("netwright.data.io.pieces.PIECE_VOXELS", 97)
    cut = [survey.case_facts(case, opened).centres for case in opened.cases]  # type: ignore[arg-type, union-attr]
    expected = {value: np.argwhere(truth() == value).mean(axis=0) * [1, 2, 3] for value in (3, 7, 9, 4)}
    for facts in (*whole, *cut):
        assert facts.keys() == expected.keys()
        for value, centre in facts.items():
            np.testing.assert_allclose(centre, expected[value], atol=1e-4)


@pytest.mark.parametrize(
    ("names", "pairs"),
    [
        (("left lung", "right lung"), [(0, 1, 2)]),
        (("Kidney_Right", "Kidney_Left"), [(0, 2, 1)]),
        (("Anterior", "Posterior"), [(1, 2, 1)]),
        (("superior vena cava", "inferior vena cava"), [(2, 2, 1)]),
        (("left upper lobe", "right lower lobe"), []),
        (("leftover", "rightover"), []),
        (("left-right shunt", "right-left shunt"), []),
        (("cleft", "clright"), []),
    ],
)
def test_which_names_are_opposite(names: tuple[str, ...], pairs: list[tuple[int, int, int]]) -> None:
    found = opposites_of({0: "background", **dict(enumerate(names, 1))})
    assert [(pair.axis, pair.low, pair.high) for pair in found] == pairs
