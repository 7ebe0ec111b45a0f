"""Arrays with several labels for each picture, (N, labels) of 0 and 1, as MedMNIST's ChestMNIST has them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from netwright.data.io.arrays import ArrayFile
from netwright.data.issues import Problem, UnusableFile
from netwright.data.splits import Part


def names_of_labels(
    files: Mapping[Part, ArrayFile],
    values: Mapping[Part, NDArray[np.int64]],
    names: tuple[str, ...] | None,
) -> tuple[str, ...]:
    """The names of the labels, or their numbers from 0, after the arrays of all parts were checked.

    Args:
        files: that hold the labels.
        values: their content, (N, labels) where pictures may have several.
        names: of the labels, None where no file says so.

    Raises:
        UnusableFile: the parts differ, a value is neither 0 nor 1, there are as many names as not labels, or each
            picture has exactly one label, as if classes were stored one-hot.
    """
    count = values["train"].shape[-1]
    for part, file in files.items():
        _require_alike(file, values[part], files["train"], values["train"])
    if all((labels.sum(axis=1) == 1).all() for labels in values.values()):
        raise unfit_array(
            files["train"],
            "looks like classes, one-hot",
            "one class a picture, (N,) or (N, 1), or pictures with several labels or none",
            f"the shape {values['train'].shape}, with exactly one 1 in each row",
            "If it is one-hot, save labels.argmax(axis=1). If these are labels, save the pictures as files, and write "
            "a labels.csv (--format label-table).",
        )
    if names is not None and len(names) != count:
        raise unfit_array(
            files["train"],
            f"has {count} labels a picture",
            f"{len(names)}, as many as names in the JSON file beside it",
            str(count),
            "Correct the names.",
        )
    return names or tuple(str(number) for number in range(count))


def _require_alike(
    file: ArrayFile, labels: NDArray[np.int64], of_training: ArrayFile, training: NDArray[np.int64]
) -> None:
    """Refuse labels of a part that are not as many as those of the training part, or not 0 and 1."""
    if training.ndim != 2 or labels.shape[1:] != training.shape[1:]:
        raise unfit_array(
            file if training.ndim == 2 else of_training,
            "does not have several labels a picture, or not as many as another part",
            "as many in each part",
            f"{training.shape[1:] or 1} and {labels.shape[1:] or 1}",
            "Save the labels of all parts alike.",
        )
    if ((labels != 0) & (labels != 1)).any():
        raise unfit_array(
            file,
            "has several labels a picture that are not 0 or 1",
            "1 where the picture has the label, else 0",
            f"{int(labels.min())} to {int(labels.max())}",
            "Save a column of 0 and 1 for each label.",
        )


def unfit_array(file: ArrayFile, what: str, expected: str, actual: str, advice: str) -> UnusableFile:
    """That an array holds something else than it should.

    Args:
        file: with the array.
        what: is wrong with it.
        expected: what should be there.
        actual: what is there instead.
        advice: what to do.
    """
    return UnusableFile(Problem("error", file.location, what, expected, actual, advice, kind="array"))
