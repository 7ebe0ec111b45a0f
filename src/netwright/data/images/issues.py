"""What can be wrong with a whole set of pictures, in words that help a user to repair it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from netwright.data.images.dataset import ImageSet, Record
from netwright.data.images.settings import ImageSettings
from netwright.data.issues import Problem, enumerate_words
from netwright.data.splits import MINIMUM_CASES

FEW_PICTURES = 10
"""With fewer pictures, a class can hardly be learned or tested."""

_FEW_VALIDATED = 20
"""With fewer pictures in all, chance decides which network is best."""


def location(record: Record) -> str:
    """Where a picture is: its file, and its row in a file of many pictures."""
    return str(record.path) if record.row is None else f"{record.path} ({record.name})"


def few_pictures(dataset: ImageSet) -> list[Problem]:
    """Too few pictures to learn from at all."""
    pictures = sum(part != "test" for part in dataset.parts)
    if pictures >= MINIMUM_CASES:
        return []
    return [
        Problem(
            "error",
            str(dataset.root),
            "has too few pictures to learn from",
            expected=f"at least {MINIMUM_CASES}, and far more for a result that means something",
            found=str(pictures),
            advice="Check that the files were copied to the right folder.",
            kind="few-cases",
        )
    ]


def sort_of_classes(dataset: ImageSet) -> list[Problem]:
    """Problems of classes with too few pictures to be learned or tested, and of a small validation part."""
    learned, tested = (
        Counter(label for record in dataset.records if record.part in parts for label in record.classes)
        for parts in ((None, "train"), ("test",))
    )
    empty_classes = {Path(problem.file).name for problem in dataset.problems if problem.kind == "empty-class"}
    problems = _few_validated(dataset)
    for label, name in enumerate(dataset.classes):
        if learned[label] == 0:
            if name not in empty_classes:
                problems.append(
                    _about(dataset, "error", name, "has no image to learn from", 0, "empty-class")
                )
        elif learned[label] < FEW_PICTURES:
            problems.append(
                _about(dataset, "warning", name, "has few images to learn from", learned[label], "few-cases")
            )
        if tested and not tested[label] and learned[label]:
            problems.append(
                _about(dataset, "warning", name, "has no image in the test part", 0, "untested-class")
            )
    return problems


def _few_validated(dataset: ImageSet) -> list[Problem]:
    validated = dataset.parts.count("val")
    if not 0 < validated < _FEW_VALIDATED:
        return []
    return [
        Problem(
            "warning",
            str(dataset.root),
            "has few images in the official validation part, by which networks are chosen",
            expected=f"{_FEW_VALIDATED} or more",
            found=str(validated),
            advice="Chance decides among networks: move the pictures of this part to training, so that a larger one is "
            "drawn, or give parts of your own with --split-file.",
            kind="few-validated",
        )
    ]


def not_whole(root: Path, title: str, differences: Sequence[str]) -> list[Problem]:
    """The problem of a folder that does not hold all of a published dataset; none without ``differences``.

    Args:
        root: the folder.
        title: of the dataset.
        differences: what is other than in the original.
    """
    if not differences:
        return []
    return [
        Problem(
            "warning",
            str(root),
            f"is not the whole of {title}",
            expected="every file of the original",
            found=enumerate_words(differences),
            advice="If that is meant, go on: what is there is read. Otherwise fetch it again.",
            kind="not-whole",
        )
    ]


def labels_of_all(location: str, labels: Sequence[str], learned: Sequence[Sequence[int]]) -> list[Problem]:
    """Labels that every picture for training has; those that none has are found by `sort_of_classes`.

    Args:
        location: the file.
        labels: their names.
        learned: for each picture for training, 1 where it has the label.
    """
    return [
        Problem(
            "error",
            location,
            f"has a label ({label}) that every picture has",
            expected="pictures with it and pictures without",
            found=f"1 in all of {len(learned)} rows to learn from",
            advice="There is nothing to tell apart: add pictures without it, or remove the column.",
            kind="label-of-all",
        )
        for number, label in enumerate(labels)
        if learned and all(values[number] for values in learned)
    ]


def labels_out_of_range(
    location: str, outside: NDArray[Any], values: NDArray[Any], first: int, classes: int
) -> Problem:
    """The problem of labels that belong to no class.

    Args:
        location: the file.
        outside: the positions of the wrong labels.
        values: all labels of the file.
        first: the smallest label.
        classes: the number of classes.
    """
    labels = sorted({int(value) for value in values[outside]})
    return Problem(
        "error",
        location,
        "has labels out of range",
        expected=f"{first} to {first + classes - 1}, the classes of the training part",
        found=f"{enumerate_words(labels[:5])} in {outside.size} picture{'s' * (outside.size != 1)}",
        advice="Add training pictures for every class; if a file names the classes, it must name all of them.",
        kind="label-range",
    )


def _about(
    dataset: ImageSet, severity: Literal["error", "warning"], name: str, what: str, count: int, kind: str
) -> Problem:
    advice = {
        "empty-class": f"Add pictures of it, or remove the {dataset.class_word}.",
        "few-cases": "Results from so few pictures are not reliable: add pictures.",
        "untested-class": "Its accuracy cannot be measured: add pictures of it to the test part.",
    }[kind]
    return Problem(
        severity,
        str(dataset.root),
        f"has a {dataset.class_word} ({name}) that {what}",
        expected=f"{FEW_PICTURES} or more" if kind == "few-cases" else "some",
        found=str(count) if count else "none",
        advice=advice,
        kind=kind,
    )


def mixed_sizes(dataset: ImageSet, sizes: Sequence[tuple[int, int]]) -> list[Problem]:
    """Pictures with classes of more than one size."""
    different = Counter(sizes)
    if (
        len(different) < 2 or not dataset.classes
    ):  # those that are restored are brought to a size of their own
        return []
    heights, widths = zip(*different, strict=True)
    height, width = ImageSettings().resolved(sizes).size or (0, 0)
    areas = np.array(list(different))
    smallest, largest = (areas[pick(areas.prod(axis=1))].tolist() for pick in (np.argmin, np.argmax))
    ratios = np.array(heights) / np.array(widths)
    stretched = (
        f", of proportions from {ratios.min():.2g} to {ratios.max():.2g}" if np.ptp(ratios) > 0.01 else ""
    )
    return [
        Problem(
            "warning",
            str(dataset.root),
            "holds pictures of different sizes",
            expected="one size (height x width)",
            found=f"{len(different)} sizes from {smallest[0]} x {smallest[1]} to {largest[0]} x {largest[1]}"
            f"{stretched}",
            advice=f"All are brought to about {height} x {width}, their median: proportions kept, the rest black. "
            "Another size: images.size; without black borders: images.fit=stretch.",
            kind="sizes",
        )
    ]


def mixed_kinds(dataset: ImageSet, channels: Mapping[int, int], depths: Mapping[str, int]) -> list[Problem]:
    """Problems of sets that mix grey with colours, or 8 bits with 16. The advice says what becomes of the pictures.

    Args:
        dataset: the pictures.
        channels: number of channels -> number of pictures.
        depths: number type -> number of pictures.
    """
    of_some = "some classes" if dataset.class_word == "class" else "pictures with some labels"
    problems = []
    if len(channels) > 1:
        problems.append(
            Problem(
                "warning",
                str(dataset.root),
                "holds grey pictures and pictures in colours",
                expected="one kind",
                found=f"{channels[1]} grey, {channels[3]} in red, green and blue",
                advice="The grey ones are read as colours, the same in each channel."
                + f" Where only {of_some} are grey, a network learns that instead: convert all to grey then."
                * bool(dataset.classes),
                kind="mixed-colours",
            )
        )
    if len(depths) > 1:
        problems.append(
            Problem(
                "warning",
                str(dataset.root),
                "holds pictures of 8 and of 16 bits",
                expected="one kind",
                found=enumerate_words([f"{count} of {name}" for name, count in sorted(depths.items())]),
                advice="Those of 8 bits are scaled so that white is white in both. Where the 16 bits are not used to "
                "the full, the two still differ: look at one of each.",
                kind="mixed-depth",
            )
        )
    return problems


def beyond_white(dataset: ImageSet, ranges: Sequence[tuple[Record, float, float]]) -> list[Problem]:
    """Problems of pictures to restore whose real numbers lie outside 0 to 1. Without a known white, errors have no
    scale.

    ``ranges`` holds the lowest and the highest value of each picture.
    """
    if dataset.classes or dataset.depth != "float32":
        return []
    problems = [range_problem(location(record), low, high) for record, low, high in ranges]
    return [problem for problem in problems if problem is not None]


def range_problem(location: str, low: float, high: float) -> Problem | None:
    """The problem of a picture to restore with real numbers from ``low`` to ``high``; None where they lie in 0 to 1.

    Args:
        location: the file, for the message.
        low: the smallest number.
        high: the largest number.
    """
    if low >= 0 and high <= 1:
        return None
    return Problem(
        "error",
        location,
        "holds real or 32-bit numbers beyond black and white",
        expected="values from 0 (black) to 1 (white)",
        found=f"{low:.4g} to {high:.4g}",
        advice="Divide by the value of white, or save the pictures with 8 or 16 bits.",
        kind="range",
    )


def _class_of(dataset: ImageSet, record: Record) -> str:
    names = [dataset.classes[label] for label in record.classes] if dataset.classes else []
    return f" ({', '.join(names)})" if names else ""


def transparent(records: Sequence[Record]) -> list[Problem]:
    """The problem of pictures that are partly transparent."""
    if not records:
        return []
    return [
        Problem(
            "warning",
            location(records[0]),
            "is transparent in places",
            expected="pictures without an alpha channel",
            found=f"{len(records)} picture{'s' * (len(records) != 1)} with one that is used",
            advice="Transparent pixels become black. If they should be white, save the pictures on white.",
            kind="transparent",
        )
    ]


def constant(intensities: Sequence[tuple[Record, float]]) -> list[Problem]:
    """Problems of pictures that have one intensity everywhere."""
    return [
        Problem(
            "warning",
            location(record),
            "is constant",
            expected="a picture",
            found=f"the intensity {value:g} everywhere",
            advice="A network cannot learn from it: check whether the export failed, or remove it.",
            kind="constant",
        )
        for record, value in intensities
    ]


def duplicates(dataset: ImageSet, contents: Sequence[tuple[Record, bytes]]) -> list[Problem]:
    """Problems of pictures with equal pixels. In two parts they improve the test falsely; in two classes they confuse
    the training.
    """
    first: dict[bytes, Record] = {}
    tested = "test" in dataset.parts
    problems = []
    for record, content in contents:
        other = first.setdefault(content, record)
        if other is record:
            continue
        if other.part != record.part:
            kind, what = "duplicate-parts", f"is in two parts, {other.part} and {record.part}"
            advice = (
                "A picture from training makes the test result look too good: remove it from one of them."
            )
        elif other.label != record.label:
            kind = "duplicate-classes"
            what = (
                "is in two classes" if dataset.class_word == "class" else "is there twice, with other labels"
            )
            advice = "At most one of them is right: remove the wrong one."
        else:
            kind, what = "duplicate", "is a duplicate"
            advice = (
                "It counts twice."
                if tested
                else "With one of them in training and the other in test, the result looks too good: "
                "remove one."
            )
        problems.append(
            Problem(
                "warning",
                location(record),
                what,
                expected="each picture once",
                found=f"the same pixels as in {other.name}{_class_of(dataset, other)}",
                advice=advice,
                kind=kind,
            )
        )
    return problems
