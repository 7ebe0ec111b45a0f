"""What a network gives of the validation cases, kept on disk and read from there a case, or some planes, at a time."""

from __future__ import annotations

import hashlib
import math
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netwright.data.volumes.slabs import Slabs
from netwright.errors import RunError, StorageError
from netwright.files import PARTIAL, read_json, write_json
from netwright.training.files import WEIGHTS

OUTPUTS, INDEX = "validation-outputs.bin", "validation-outputs.json"
"""The numbers of all cases one behind the other, and what they are."""

ROOM = 0.5
"""The share of the free disk that the outputs of one network may take."""

PART_VALUES = 2**22
"""Numbers of a volume that are read at once: 8 MiB."""

_LARGEST_HALF = float(np.finfo(np.float16).max)


@dataclass(frozen=True)
class KeptOutputs:
    """The outputs of one network, one a case, as `netwright.training.problem.Problem.outputs` gives them.

    Those with spatial axes are kept in half precision. Those of whole pictures are few, and ranks depend on their last
    digits: they are kept as they are. Of volumes, the planes along one axis lie one behind the other, as (planes, K,
    *other axes), so that they are written and read a few at a time.

    Args:
        path: of the file.
        dtype: of the numbers.
        shapes: of each case, as it lies in the file.
        axes: of each case the axis of its planes; None: it is an array.
    """

    path: Path
    dtype: str
    shapes: tuple[tuple[int, ...], ...]
    axes: tuple[int | None, ...]

    @property
    def is_table(self) -> bool:
        """Whether every case has the same few numbers."""
        return len(set(self.shapes)) == 1 and len(self.shapes[0]) == 1

    def numbers(self) -> NDArray[np.floating]:
        """All of them, mapped from disk."""
        return np.asarray(np.memmap(self.path, dtype=np.dtype(self.dtype), mode="r"))

    def cases(self) -> Iterator[NDArray[np.floating] | Slabs]:
        """The output of each case, mapped from disk."""
        numbers, start = self.numbers(), 0
        for shape, axis in zip(self.shapes, self.axes, strict=True):
            end = start + math.prod(shape)
            stored = numbers[start:end].reshape(shape)
            yield stored if axis is None else _slabs(stored, axis)
            start = end


def _slabs(stored: NDArray[np.floating], axis: int) -> Slabs:
    """A volume's output (planes, K, *other axes), some planes at a time."""
    step = max(1, PART_VALUES // stored[0].size)
    parts = (np.moveaxis(stored[first : first + step], 0, 1 + axis) for first in range(0, len(stored), step))
    _, x, y, z = np.moveaxis(stored, 0, 1 + axis).shape
    return Slabs((x, y, z), axis, parts)


def mean_outputs(
    kept: Sequence[KeptOutputs], weights: Sequence[float]
) -> Iterator[NDArray[np.floating] | Slabs]:
    """The weighted mean of several networks' outputs, one case after the other, in single precision or better.

    Args:
        kept: of each network, of the same cases.
        weights: of each network, at least one above 0.
    """
    used = [(one, weight / math.fsum(weights)) for one, weight in zip(kept, weights, strict=True) if weight]
    if all(one.is_table for one, _ in used):
        yield from _mean([(one.numbers().reshape(-1, *one.shapes[0]), share) for one, share in used])
        return
    shares = [share for _, share in used]
    for outputs in zip(*(one.cases() for one, _ in used), strict=True):
        slabs = [output for output in outputs if isinstance(output, Slabs)]
        if slabs:
            parts = zip(*(one.parts for one in slabs), strict=True)
            means = (_mean(list(zip(some, shares, strict=True))) for some in parts)
            yield Slabs(slabs[0].shape, slabs[0].axis, means)
        else:
            yield _mean(list(zip(outputs, shares, strict=True)))


def _mean(terms: Sequence[tuple[NDArray[np.floating], float]]) -> NDArray[np.floating]:
    first, share = terms[0]
    total = first.astype(np.result_type(first.dtype, np.float32))
    total *= share
    for array, part in terms[1:]:
        total += array * total.dtype.type(part)
    return total


def keep_outputs(
    folder: Path, outputs: Iterator[NDArray[np.floating] | Slabs], cases: Sequence[int], data: str
) -> KeptOutputs:
    """Write the outputs of the network in a folder into that folder, whole or not at all.

    Args:
        folder: with the network's weights.
        outputs: one a case, read as it is written.
        cases: their indices.
        data: what names the prepared data.

    Raises:
        StorageError: there is not enough room.
    """
    path, partial = folder / OUTPUTS, folder / f".{OUTPUTS}{PARTIAL}"
    (folder / INDEX).unlink(missing_ok=True)
    shapes: list[tuple[int, ...]] = []
    axes: list[int | None] = []
    dtype = ""
    try:
        room = ROOM * shutil.disk_usage(folder).free
        with partial.open("wb") as file:
            for output in outputs:
                axis = output.axis if isinstance(output, Slabs) else None
                parts = output.planes() if isinstance(output, Slabs) else iter([output])
                shape, planes = (), 0
                for array in map(_as_kept, parts):
                    if file.tell() + array.nbytes > room:
                        raise StorageError(
                            f"{folder} has no room for outputs of validation cases. Make room."
                        )
                    file.write(np.ascontiguousarray(array).data)
                    shape, planes, dtype = array.shape, planes + len(array), array.dtype.name
                shapes.append(shape if axis is None else (planes, *shape[1:]))
                axes.append(axis)
        partial.replace(path)
        write_json(
            folder / INDEX, {**_identity(folder, cases, data), "dtype": dtype, "shapes": shapes, "axes": axes}
        )
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error}. Make room or mend the folder.") from error
    finally:
        partial.unlink(missing_ok=True)
    return KeptOutputs(path, dtype, tuple(shapes), tuple(axes))


def _as_kept(output: NDArray[np.floating]) -> NDArray[np.floating]:
    if output.ndim == 1:
        return output
    return output.clip(-_LARGEST_HALF, _LARGEST_HALF).astype(np.float16)


def find_outputs(folder: Path, cases: Sequence[int], data: str) -> KeptOutputs | None:
    """The outputs that are kept in a network's folder; None where there are none of these weights and cases, or they
    are damaged.

    Args:
        folder: of the network.
        cases: indices of the validation cases, in order.
        data: the path of the prepared data, as text.
    """
    path = folder / OUTPUTS
    try:
        index = read_json(folder / INDEX)
        if {name: index[name] for name in ("cases", "data", "weights")} != _identity(folder, cases, data):
            return None
        shapes, axes = tuple(map(tuple, index["shapes"])), tuple(index["axes"])
        kept = KeptOutputs(path, str(index["dtype"]), shapes, axes)
        numbers = sum(math.prod(shape) for shape in kept.shapes)
        whole = kept.dtype in ("float16", "float32", "float64")
        whole = whole and len(shapes) == len(axes) == len(cases)
        return kept if whole and path.stat().st_size == numbers * np.dtype(kept.dtype).itemsize else None
    except (RunError, OSError, KeyError, TypeError, ValueError):
        return None


def drop_outputs(folder: Path) -> None:
    """Removes the outputs that are kept in a network's folder, if there are any."""
    for name in (INDEX, OUTPUTS):
        (folder / name).unlink(missing_ok=True)


def _identity(folder: Path, cases: Sequence[int], data: str) -> dict[str, Any]:
    with (folder / WEIGHTS).open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"cases": list(cases), "data": data, "weights": digest}
