"""The meaning of label values: one mapping for training, test, inspection and every reader of masks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netwright.data.volumes.regions import IGNORE, IGNORED


def mapped(value: int, map_label: Mapping[int, int]) -> int:
    """The value that a value in a file stands for.

    All pairs hold at once, so ``{1: 2, 2: 1}`` exchanges two labels. A value without a pair stays as it is.
    """
    return map_label.get(value, value)


def unnamed_values(
    values: Iterable[float], label_values: Sequence[int], map_label: Mapping[int, int]
) -> list[float]:
    """The values in a file that stand for none of ``label_values``, in their given order.

    Args:
        values: in the file.
        label_values: of the dataset.
        map_label: value -> value to take instead.
    """
    known = set(label_values)
    ignored = {value for value, meant in map_label.items() if meant == IGNORE}
    return [
        value
        for value in values
        if value % 1 != 0 or (value not in ignored and mapped(int(value), map_label) not in known)
    ]


def values_by_name(labels: Mapping[int, str], known: Mapping[int, str]) -> dict[int, int]:
    """The value of a network's label for each value of a dataset's label of the same name, where the two differ.

    Empty unless the network knows the names of all labels: then values count. Capitals do not matter.

    >>> values_by_name({0: "background", 1: "Posterior"}, {1: "anterior", 2: "posterior"})
    {1: 2}

    Args:
        labels: value -> name of the dataset; 0 is background.
        known: value -> name of the network, but background.
    """
    value_of = {name.casefold(): value for value, name in known.items()}
    if len(value_of) < len(known):
        return {}
    named = {value: name.casefold() for value, name in labels.items() if value != 0}
    if not set(named.values()) <= value_of.keys() or len(set(named.values())) < len(named):
        return {}
    return {value: value_of[name] for value, name in named.items() if value_of[name] != value}


def class_indices(
    values: NDArray[Any], label_values: Sequence[int], map_label: Mapping[int, int]
) -> NDArray[np.uint8]:
    """The class index of every value: the position in ``label_values`` of the value that it stands for, or `IGNORED`.

    Args:
        values: the values as they are in the file, in any shape.
        label_values: the value of each class, in order of class index; at most 256.
        map_label: value in the file -> value that it stands for.

    Raises:
        ValueError: a value stands for none of ``label_values``. See `unnamed_values`.
    """
    values_present, _ = count_values(values)
    index_of_value = {value: position for position, value in enumerate(label_values)}
    if unnamed := unnamed_values(values_present.tolist(), label_values, map_label):
        raise ValueError(f"The value {unnamed[0]:g} is none of {', '.join(map(str, label_values))}.")
    index_of_value[IGNORE] = IGNORED
    indices = np.array(
        [index_of_value[mapped(int(value), map_label)] for value in values_present.tolist()], dtype=np.uint8
    )
    if not _small(values):
        return np.asarray(indices[np.searchsorted(values_present, values)])
    table = np.zeros(int(values_present[-1]) + 1 if len(values_present) else 1, dtype=np.uint8)
    table[values_present] = indices
    return np.asarray(table[values])


def count_values(values: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.intp]]:
    """The different values, in order, and how often each occurs."""
    if not _small(values):
        return np.unique(values, return_counts=True)
    counts = np.bincount(values.ravel())
    values_present = np.flatnonzero(counts)
    return values_present, counts[values_present]


def _small(values: NDArray[Any]) -> bool:
    """Whether the values are small integers. To count these is faster than to sort them."""
    if values.dtype.kind not in "iu" or not values.size:
        return False
    return bool(values.min() >= 0 and values.max() <= np.iinfo(np.uint16).max)
