"""MATLAB files of version 7.3, which are HDF5: arrays of structs with texts and numbers, read with h5py."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from netwright.data.files import reading, require_file
from netwright.data.io.bounds import MAX_PICTURES
from netwright.data.issues import Problem, UnusableFile

_MOST_VALUES = 1 << 10
"""In a field of a struct, or characters of a text."""

Structs = list[tuple[str, dict[str, list[float]]]]


def read_named_structs(path: Path, variable: str, text: str, struct: str, fields: tuple[str, ...]) -> Structs:
    """An array of structs that have a text and an array of structs of numbers each, in order.

    In HDF5 an array of structs is a group with a column of references for each field; of a single struct it has the
    number itself.

    Args:
        path: of the file.
        variable: its name.
        text: the name of the field with the text.
        struct: that of the field with the inner structs.
        fields: the numbers of each inner struct.

    Raises:
        UnusableFile: the file is missing, damaged or holds something else, or h5py is not installed.
    """
    require_file(path, "Restore the file.", "a MATLAB file")
    if importlib.util.find_spec("h5py") is None:
        raise _without_h5py(path)
    state = path.stat()
    return _read_once(path, variable, text, struct, fields, (state.st_size, state.st_mtime_ns))


@lru_cache(maxsize=4)  # large ones take a while, and a command opens its dataset several times
def _read_once(
    path: Path, variable: str, text: str, struct: str, fields: tuple[str, ...], state: tuple[int, int]
) -> Structs:
    import h5py

    expected = f"a MATLAB file of version 7.3 with structs {variable} of {text} and {struct}"
    with reading(path, expected), h5py.File(path, "r") as file:
        group = _member(file.id, variable)
        texts, structs = (_references(_member(group, name), MAX_PICTURES) for name in (text, struct))
        if len(texts) != len(structs):
            raise ValueError(f"{len(texts)} {text} and {len(structs)} {struct}")
        return [
            (_text(_opened(file, of_text)), dict(_numbers(file, _opened(file, of_struct), fields)))
            for of_text, of_struct in zip(texts, structs, strict=True)
        ]


def _opened(file: Any, reference: Any) -> Any:
    """What a reference refers to, without the checks of h5py's objects, which take most of the time."""
    import h5py

    return h5py.h5r.dereference(reference, file.id)


def _member(group: Any, name: str) -> Any:
    """What a group has under a name; a link, which may lead into any other file, is not followed."""
    import h5py

    if group.links.get_info(name.encode()).type != h5py.h5l.TYPE_HARD:
        raise ValueError(f"{name} is a link")
    return h5py.h5o.open(group, name.encode())


def _numbers(file: Any, group: Any, fields: tuple[str, ...]) -> Iterator[tuple[str, list[float]]]:
    """Each field of a single struct, or of several."""
    for field in fields:
        dataset = _member(group, field)
        if dataset.dtype.kind != "O":
            yield field, [_number(dataset)]
        else:
            references = _references(dataset, _MOST_VALUES)
            yield field, [_number(_opened(file, reference)) for reference in references]


def _number(dataset: Any) -> float:
    if dataset.dtype.kind not in "fiu":
        raise ValueError(f"numbers of type {dataset.dtype}")
    (value,) = _values(dataset, np.dtype(np.float64), 1)
    return float(value)


def _text(dataset: Any) -> str:
    return bytes(_values(dataset, np.dtype("<u2"), _MOST_VALUES)).decode("utf-16-le")


def _references(dataset: Any, most: int) -> Any:
    import h5py

    if dataset.dtype != h5py.ref_dtype:
        raise ValueError(f"values of type {dataset.dtype} where structs are expected")
    return _values(dataset, h5py.ref_dtype, most)


def _values(dataset: Any, kind: Any, most: int) -> Any:
    """All values of a dataset, in MATLAB's order of columns; not more than ``most`` of them."""
    import h5py

    if np.prod(dataset.shape, dtype=float) > most:
        raise ValueError(f"{' x '.join(map(str, dataset.shape))} values, where {most} are read at most")
    properties = dataset.get_create_plist()
    if properties.get_layout() == h5py.h5d.VIRTUAL or properties.get_external_count():
        raise ValueError("values that lie in another file")
    values = np.zeros(dataset.shape, kind)
    dataset.read(h5py.h5s.ALL, h5py.h5s.ALL, values)
    return values.ravel()


def _without_h5py(path: Path) -> UnusableFile:
    return UnusableFile(
        Problem(
            "error",
            str(path),
            "is a MATLAB file of version 7.3",
            expected="h5py, which reads it",
            found="no h5py",
            advice="Install it: pip install 'netwright[matlab]'.",
            kind="matlab",
        )
    )
