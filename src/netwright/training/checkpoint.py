"""Checkpoints on disk: tensors and plain values in one file.

A file is written whole or not at all, and reading it runs no code from it. Trainings (`netwright.training.loop`) and
searches with shared weights (`netwright.supernet.search`) write them.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netwright.errors import RunError
from netwright.files import PARTIAL
from netwright.training.weights import write_tensors

if TYPE_CHECKING:  # who asks for a training, or removes what one has left, need not wait for torch
    from torch import Tensor

LEAST_PAUSE = 20.0
"""The shortest time between two checkpoints, as a multiple of the time that writing one takes. So writing takes 5 % of
the time at most."""
_VALUES, _CHANNELS_LAST = "values", "channels_last"
_NAMES = "names"
"""The names of all tensors, by which a file that lacks one is recognised. Older files are without it."""


class CheckpointRefused(RunError):  # noqa: N818  what happened to it
    """A checkpoint is missing or damaged, or belongs to another training."""


@dataclass(frozen=True)
class Checkpoints:
    """Where a training goes on from, and where and when it writes checkpoints.

    Args:
        path: the file to write, in an existing folder.
        seconds: training time between two checkpoints, see `CheckpointTimer`; None: no checkpoint before the end.
        keep: whether a complete training writes a last checkpoint, from which a longer training can go on. Otherwise
            what stays is the last one from its course, if there was any.
        resume_from: a checkpoint of the same training to go on from; None: the training starts from the beginning.
        notes: plain values that are stored in each checkpoint. The caller recognises its training by them.
    """

    path: Path
    seconds: float | None = None
    keep: bool = False
    resume_from: Path | None = None
    notes: Mapping[str, Any] = field(default_factory=dict)


class CheckpointTimer:
    """Says when the next checkpoint is due.

    Args:
        seconds: the time between two checkpoints. It becomes longer where writing is slow, see `LEAST_PAUSE`. None:
            never.
        clock: gives the time in seconds; tests pass their own.
    """

    def __init__(self, seconds: float | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._pause = 0.0 if seconds is None else seconds
        self._written = clock()

    def restart(self) -> None:
        """Starts to count again. The time until now was not used for training."""
        self._written = self._clock()

    @property
    def due(self) -> bool:
        """Whether it is time for the next checkpoint."""
        return self._seconds is not None and self._clock() - self._written >= self._pause

    @contextmanager
    def writing(self) -> Iterator[None]:
        """A context around the writing of a checkpoint. It measures how long that takes."""
        begun = self._clock()
        yield
        self._written = self._clock()
        if self._seconds is not None:
            self._pause = max(self._seconds, LEAST_PAUSE * (self._written - begun))


def save_checkpoint(path: Path, tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> None:
    """Writes tensors and plain JSON values as one safetensors file.

    The file format needs contiguous tensors. A tensor in channels-last format is written in that order, because a copy
    in another order would need as much memory again as all weights.

    Args:
        path: of the file.
        tensors: by name.
        values: for JSON.

    Raises:
        StorageError: the file cannot be written. The previous checkpoint is unchanged.
    """
    turned = {
        name
        for name, value in tensors.items()
        if value.ndim > 2 and not value.is_contiguous() and value.movedim(1, -1).is_contiguous()
    }
    written = {name: value.movedim(1, -1) if name in turned else value for name, value in tensors.items()}
    metadata = {_VALUES: values, _CHANNELS_LAST: sorted(turned), _NAMES: sorted(tensors)}
    write_tensors(path, written, {name: json.dumps(value) for name, value in metadata.items()})


def load_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Reads what `save_checkpoint` wrote. The tensors get the memory format that they had.

    Raises:
        CheckpointRefused: the file is missing or damaged.
    """
    with _opened(path) as (file, metadata):
        turned, names = _list_in(metadata, _CHANNELS_LAST), _list_in(metadata, _NAMES)
        read = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  no mapping
        if lost := sorted(names - set(read)):
            raise ValueError(f"it lacks the tensor {lost[0]!r}")
        if any(read[name].ndim < 3 for name in turned & set(read)):
            raise ValueError(f"its {_CHANNELS_LAST!r} names a tensor without channels")
        tensors = {n: value.movedim(-1, 1) if n in turned else value for n, value in read.items()}
        return tensors, _values_in(metadata)


def load_values(path: Path) -> dict[str, Any]:
    """Reads the plain values that `save_checkpoint` wrote, without the tensors.

    Raises:
        CheckpointRefused: the file is missing or damaged.
    """
    with _opened(path, "numpy") as (_, metadata):
        return _values_in(metadata)


def seconds_in(path: Path) -> float:
    """Seconds of training in a checkpoint; 0 where there is none of a training."""
    if not path.exists():
        return 0.0
    with contextlib.suppress(CheckpointRefused, KeyError, TypeError, ValueError):
        return float(load_values(path)["budget"]["seconds"])
    return 0.0


def require_fields(stored: Any, expected: Any, name: str = "") -> None:
    """Refuses plain values of a checkpoint in which a field is missing or of another kind.

    Args:
        stored: what was read.
        expected: what would be written now. Only its fields and their kinds count: an integer stands for any integer,
            a float for any number, None for a number or None. The stored fields may be more.
        name: what the values are called in the error.

    Raises:
        CheckpointRefused: the message names the field, but no file.

    >>> require_fields({"epoch": 3, "best": None}, {"epoch": 1, "best": None})
    >>> require_fields({"best": None}, {"epoch": 1, "best": None}, "patience")
    Traceback (most recent call last):
    ...
    netwright.training.checkpoint.CheckpointRefused: it lacks 'patience.epoch'
    """
    if isinstance(expected, Mapping) and isinstance(stored, Mapping):
        for key, value in expected.items():
            inner = f"{name}.{key}" if name else key
            if key not in stored:
                raise CheckpointRefused(f"it lacks {inner!r}")
            require_fields(stored[key], value, inner)
    elif not _alike(stored, expected):
        kind = "a number or null" if expected is None else _KINDS.get(type(expected), "other values")
        raise CheckpointRefused(f"its {name!r} is {str(stored)[:60]!r}, expected {kind}")


_KINDS: Mapping[type, str] = {
    int: "an integer",
    float: "a number",
    str: "a text",
    list: "a list",
    dict: "a table",
}


def _alike(stored: Any, expected: Any) -> bool:
    if isinstance(stored, bool) or isinstance(expected, bool):
        return isinstance(stored, bool) and isinstance(expected, bool)
    if expected is None:
        return stored is None or isinstance(stored, int | float)
    return isinstance(stored, int | float if isinstance(expected, float) else type(expected))


def remove_checkpoint(path: Path) -> None:
    """Removes a checkpoint, and what a process left that was killed while it wrote one."""
    path.unlink(missing_ok=True)
    shutil.rmtree(path.with_name(path.name + PARTIAL), ignore_errors=True)


def fetch_checkpoint(source: Path, path: Path) -> None:
    """Copies a checkpoint from another folder, if it can be read from here. Else the training begins again."""
    partial = path.with_name(path.name + PARTIAL)
    with contextlib.suppress(OSError):
        partial.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, partial / path.name)
        (partial / path.name).replace(path)
    shutil.rmtree(partial, ignore_errors=True)


def _values_in(metadata: Mapping[str, str]) -> dict[str, Any]:
    values = json.loads(metadata[_VALUES])
    if not isinstance(values, dict):
        raise ValueError("its values are no table")
    return values


def _list_in(metadata: Mapping[str, str], name: str) -> set[str]:
    """The names in a list of the metadata. Empty where there is no such list."""
    names = json.loads(metadata.get(name, "[]"))
    if not isinstance(names, list) or not all(isinstance(one, str) for one in names):
        raise ValueError(f"its {name!r} is no list of names")
    return set(names)


@contextmanager
def _opened(path: Path, framework: str = "pt") -> Iterator[tuple[Any, Mapping[str, str]]]:
    """Opens a safetensors file; gives it and its metadata. For these alone torch need not be loaded."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework=framework) as file:
            metadata = file.metadata() or {}
            if not {_VALUES, _CHANNELS_LAST} <= set(metadata):
                raise ValueError("it is no checkpoint")
            yield file, metadata
    except (OSError, SafetensorError, ValueError) as error:
        raise CheckpointRefused(
            f"{path} cannot be read: {error}. Restore it from a copy, or remove it: what it was made for then begins "
            "again."
        ) from None
