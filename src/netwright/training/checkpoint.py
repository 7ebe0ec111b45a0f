"""Checkpoints on disk: tensors and plain values in one file, whole or not at all, read without running anything of it.

Trainings (`netwright.training.loop`) and searches with shared weights (`netwright.supernet.search`) write them.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netwright.errors import RunError
from netwright.training.weights import PARTIAL, write_tensors

if TYPE_CHECKING:  # who asks for a training, or removes what one has left, need not wait for torch
    from torch import Tensor

LEAST_PAUSE = 20.0
"""From one checkpoint to the next, in durations of writing one: no more than 5 % of the time goes into them."""
_VALUES, _CHANNELS_LAST = "values", "channels_last"


class CheckpointRefused(RunError):  # noqa: N818  what happened to it
    """A checkpoint is missing or damaged, or that of another training."""


@dataclass(frozen=True)
class Checkpoints:
    """Where a training goes on from, and where and when it writes checkpoints itself.

    Args:
        path: of the file that is written, in a folder that is there.
        seconds: of training from one checkpoint to the next, see `CheckpointTimer`; None: none before the end.
        keep: whether a complete training leaves one, from which a longer training goes on. Otherwise there is none any
            more once the training has ended.
        resume_from: a checkpoint of the same training, which goes on from there; None: it begins.
        notes: plain values, kept with each checkpoint, by which whoever asked for the training knows it again.
    """

    path: Path
    seconds: float | None = None
    keep: bool = False
    resume_from: Path | None = None
    notes: Mapping[str, Any] = field(default_factory=dict)


class CheckpointTimer:
    """Says when the next checkpoint is due.

    Args:
        seconds: from one checkpoint to the next, or `LEAST_PAUSE` times as long as writing one takes, whichever is
            more. None: never.
        clock: seconds; another one for tests.
    """

    def __init__(self, seconds: float | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._pause = 0.0 if seconds is None else seconds
        self._written = clock()

    def restart(self) -> None:
        """Begin to count anew: the time until now was none of work."""
        self._written = self._clock()

    @property
    def due(self) -> bool:
        """Whether it is time for the next checkpoint."""
        return self._seconds is not None and self._clock() - self._written >= self._pause

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Around the writing of a checkpoint."""
        begun = self._clock()
        yield
        self._written = self._clock()
        if self._seconds is not None:
            self._pause = max(self._seconds, LEAST_PAUSE * (self._written - begun))


def save_checkpoint(path: Path, tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> None:
    """Write tensors and plain JSON values as one safetensors file.

    The file is for contiguous tensors. What is laid out channels last is written that way, as its copy in another order
    would take the memory of all weights once more.

    Raises:
        StorageError: it cannot be written; the one before is as it was.
    """
    turned = {
        name
        for name, value in tensors.items()
        if value.ndim > 2 and not value.is_contiguous() and value.movedim(1, -1).is_contiguous()
    }
    written = {name: value.movedim(1, -1) if name in turned else value for name, value in tensors.items()}
    write_tensors(path, written, {_VALUES: json.dumps(values), _CHANNELS_LAST: json.dumps(sorted(turned))})


def load_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """What `save_checkpoint` wrote; the tensors have the layout in memory that they had.

    Raises:
        CheckpointRefused: the file is missing or damaged.
    """
    with _opened(path) as (file, metadata):
        turned = set(json.loads(metadata[_CHANNELS_LAST]))
        read = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  no mapping
        tensors = {n: value.movedim(-1, 1) if n in turned else value for n, value in read.items()}
        return tensors, json.loads(metadata[_VALUES])


def load_values(path: Path) -> dict[str, Any]:
    """The values alone of what `save_checkpoint` wrote.

    Raises:
        CheckpointRefused: the file is missing or damaged.
    """
    with _opened(path) as (_, metadata):
        values: dict[str, Any] = json.loads(metadata[_VALUES])
        return values


def remove_checkpoint(path: Path) -> None:
    """Remove a checkpoint, and what a process that was killed as it wrote one has left."""
    path.unlink(missing_ok=True)
    shutil.rmtree(path.with_name(path.name + PARTIAL), ignore_errors=True)


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Any, Mapping[str, str]]]:
    """A safetensors file and its texts."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if not {_VALUES, _CHANNELS_LAST} <= set(metadata):
                raise ValueError("it is no checkpoint")
            yield file, metadata
    except (OSError, SafetensorError, ValueError) as error:
        raise CheckpointRefused(
            f"{path} cannot be read: {error}. Restore it from a copy, or remove it: what it was made for then begins "
            "again."
        ) from None
