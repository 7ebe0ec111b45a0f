"""The course of a training: one record an epoch, kept in memory and written to disk at once."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TextIO

from netwright.errors import StorageError
from netwright.training.outcome import TRAIN_LOSS, VALIDATION_SCORE


@dataclass(frozen=True)
class EpochRecord:
    """The end of an epoch.

    Args:
        epoch: its number; the first is 1.
        planned_epochs: how many epochs are planned now.
        train_loss: the mean over the epoch's batches.
        validation_score: the task's metric on the validation cases; None where the epoch had no validation.
        learning_rate: at the end of the epoch.
        seconds: since the start of the training.
    """

    epoch: int
    planned_epochs: int
    train_loss: float
    validation_score: float | None
    learning_rate: float
    seconds: float


class Curves:
    """Collects records. With a path, it writes each as a line of JSON, after a first line ``{"planned_epochs": N}``.

    Raises:
        StorageError: the file cannot be written, for example on a full disk.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.records: list[EpochRecord] = []
        self.planned_epochs = 0
        self._path = path
        self._file: TextIO | None = None

    def start(self, planned_epochs: int) -> None:
        """Starts again. What an earlier attempt wrote is replaced."""
        self.records.clear()
        self.planned_epochs = planned_epochs
        self._write({"planned_epochs": planned_epochs}, anew=True)

    def restore(self, planned_epochs: int, records: Sequence[EpochRecord]) -> None:
        """Starts again with the records of an earlier part of the same training."""
        self.start(planned_epochs)
        for record in records:
            self.add(record)
        self.planned_epochs = planned_epochs

    def add(self, record: EpochRecord) -> None:
        """Keeps and writes the record of an epoch."""
        self.records.append(record)
        self.planned_epochs = record.planned_epochs
        self._write({k: v if _is_json(v) else None for k, v in asdict(record).items()})

    def values(self) -> dict[str, list[float]]:
        """``train_loss`` and ``validation_score``, one value an epoch.

        An epoch without a validation repeats the validation before it; one before the first validation has NaN.
        """
        scores: list[float] = []
        last = math.nan
        for record in self.records:
            last = last if record.validation_score is None else record.validation_score
            scores.append(last)
        return {TRAIN_LOSS: [r.train_loss for r in self.records], VALIDATION_SCORE: scores}

    def close(self) -> None:
        """Closes the file. A further record opens it again and is appended."""
        if self._file is not None:
            with contextlib.suppress(OSError):  # every line was flushed, or has raised
                self._file.close()
            self._file = None

    def _write(self, line: dict[str, Any], *, anew: bool = False) -> None:
        if self._path is None:
            return
        try:
            if anew:
                self.close()
            if self._file is None:
                self._file = self._path.open("w" if anew else "a", encoding="utf-8")
            self._file.write(json.dumps(line) + "\n")
            self._file.flush()
        except OSError as error:
            raise StorageError(
                f"{self._path} cannot be written ({error.strerror}). Make room or mend it, then resume."
            ) from error


def _is_json(value: Any) -> bool:
    return not isinstance(value, float) or math.isfinite(value)
