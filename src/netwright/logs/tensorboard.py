"""Trials and epochs for TensorBoard, in ``tensorboard/`` of the run folder: ``tensorboard --logdir RUN/tensorboard``.

Each training is a run of its own there, with its curves. The ends of trials are scalars by the trial's number, in the
run ``search``.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tensorboard.backend.event_processing.event_accumulator import (
    STORE_EVERYTHING_SIZE_GUIDANCE,
    EventAccumulator,
)
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from netwright.logs.base import Sink, Values

FOLDER = "tensorboard"
SEARCH = "search"


class TensorBoard:
    """Writes event files."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writers: dict[str, EventFileWriter] = {}
        self._last: dict[str, int] = {}
        self._trials: set[int] | None = None

    def epochs(self, training: str) -> int:
        """The last epoch of a training that is in the log; 0: none."""
        if training not in self._last:
            self._last[training] = next(iter(reversed(self._steps(training))), 0)
        return self._last[training]

    def has_trial(self, number: int) -> bool:
        """Whether the end of a trial is in the log."""
        if self._trials is None:
            self._trials = set(self._steps(SEARCH))
        return number in self._trials

    def log_epoch(self, training: str, epoch: int, values: Values) -> None:
        """Write an epoch as scalars, each a curve over the epochs."""
        self._write(training, epoch, values)
        self._last[training] = epoch

    def log_trial(
        self, number: int, choice: Mapping[str, Any], words: Mapping[str, str], values: Values
    ) -> None:
        """Write the numbers of a trial as scalars; ``finished`` is 1 for each."""
        numbers = {
            f"choice/{name}": value for name, value in choice.items() if isinstance(value, int | float)
        }
        self._write(SEARCH, number, {**values, **numbers, "finished": 1.0})
        if self._trials is not None:
            self._trials.add(number)
        # A writer has a thread of its own: there is one for each training that is going on.
        done = self._writers.pop(f"trials/{number:04d}", None)
        if done is not None:
            done.close()

    def close(self) -> None:
        """Write what is not yet written."""
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()

    def _write(self, run: str, step: int, values: Values) -> None:
        if run not in self._writers:
            self._writers[run] = EventFileWriter(str(self._folder / run))
        scalars = [
            Summary.Value(tag=name, simple_value=float(v)) for name, v in values.items() if v is not None
        ]
        self._writers[run].add_event(Event(wall_time=time.time(), step=step, summary=Summary(value=scalars)))
        self._writers[run].flush()

    def _steps(self, run: str) -> list[int]:
        """The steps of everything that was written to a run before, in the order in which they were written."""
        folder = self._folder / run
        if not folder.exists():
            return []
        events = EventAccumulator(str(folder), size_guidance=STORE_EVERYTHING_SIZE_GUIDANCE).Reload()
        scalars = [scalar for tag in events.Tags()["scalars"] for scalar in events.Scalars(tag)]
        return [scalar.step for scalar in sorted(scalars, key=lambda scalar: scalar.wall_time)]


def open_sink(root: Path) -> Sink:
    """TensorBoard's folder in a run folder."""
    return TensorBoard(root / FOLDER)
