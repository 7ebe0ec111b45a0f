"""A run as its logs see it: the epochs that workers write to disk, and the trials that the storage has as finished."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from netwright.errors import StorageError
from netwright.execution.notes import say_once
from netwright.logs import open_sinks
from netwright.logs.base import Sink, Values
from netwright.runs.folder import RunFolder
from netwright.runs.trials import RUNNING, TrialRecord
from netwright.training.files import CURVES

OTHER_TRAININGS = ("verdict/*", "winner")
"""Folders of a run with trainings that do not belong to a trial."""
PAUSE_SECONDS = 60.0
"""How long a sink is not used after an error, because each attempt may wait long for a server that is down."""


class Follower:
    """Looks for what is new in a run, and gives it to the sinks.

    A trial that has ended and was logged is not looked at again, so that a look costs as much late in a run as early.

    Args:
        root: the run folder.
        sinks: each gets every epoch and every finished trial once, however often the run is resumed.
    """

    def __init__(self, root: Path, sinks: Sequence[Sink]) -> None:
        self._root = root
        self._sinks = sinks
        self._sizes: dict[Path, int] = {}
        self._beginnings: dict[Path, str] = {}
        self._settled: set[int] = set()
        self._paused_until = -math.inf

    @property
    def needed(self) -> bool:
        """Whether anything is logged."""
        return bool(self._sinks)

    def follow(self, records: Iterable[TrialRecord]) -> None:
        """Log what is new. A sink that cannot be written to costs no search: a note tells of it, once, and what is
        missing is tried again a minute later, and when the run is resumed.

        Args:
            records: the trials of the run as they stand. The epochs of a trial are those in its folder.
        """
        if not self._sinks or time.monotonic() < self._paused_until:
            return
        try:
            for record in records:
                if record.number not in self._settled:
                    self._follow_trial(record)
            for pattern in OTHER_TRAININGS:
                for curves in sorted(self._root.glob(f"{pattern}/{CURVES}")):
                    self._follow_epochs(curves)
        except StorageError as error:
            self._paused_until = time.monotonic() + PAUSE_SECONDS
            say_once(str(error))

    def _follow_trial(self, record: TrialRecord) -> None:
        curves = RunFolder(self._root).trial(record.number) / CURVES
        self._follow_epochs(curves)
        if record.status == RUNNING:
            return
        for sink in self._sinks:
            if not sink.has_trial(record.number):
                _log_trial(sink, record)
        self._settled.add(record.number)
        self._sizes.pop(curves, None)
        self._beginnings.pop(curves, None)

    def _follow_epochs(self, curves: Path) -> None:
        try:
            size = curves.stat().st_size
            if self._sizes.get(curves) == size:
                return
            lines = curves.read_text(encoding="utf-8").split("\n")[:-1]  # the last may be half written
        except OSError:  # there is none, or a worker begins it anew at this moment
            return
        epochs = [entry for entry in map(_parsed, lines) if "epoch" in entry]
        if not epochs:
            self._sizes[curves] = size
            return
        training = curves.parent.relative_to(self._root).as_posix()
        beginning = json.dumps({name: value for name, value in epochs[0].items() if name != "seconds"})
        anew = self._beginnings.setdefault(curves, beginning) != beginning
        self._beginnings[curves] = beginning
        for sink in self._sinks:
            last = 0 if anew else sink.epochs(training)
            for entry in epochs:
                if entry["epoch"] > last:
                    values = {name: _number(value) for name, value in entry.items() if name != "epoch"}
                    sink.log_epoch(training, entry["epoch"], values)
        self._sizes[curves] = size


@contextmanager
def following(root: Path, names: Sequence[str]) -> Iterator[Follower]:
    """A follower of the run in a folder, whose sinks are closed at the end.

    Args:
        root: the run folder.
        names: of sinks, see `netwright.logs.LOGS`.

    Raises:
        SettingsError: a sink cannot be used here.
        StorageError: a sink cannot be written to.
    """
    sinks = open_sinks(names, root)
    try:
        yield Follower(root, sinks)
    finally:
        for sink in sinks:
            sink.close()


def _log_trial(sink: Sink, record: TrialRecord) -> None:
    words = {"status": record.status, "reason": record.reason, "words": record.words}
    sink.log_trial(record.number, record.choice, words, _values_of(record))


def _values_of(record: TrialRecord) -> Values:
    values: dict[str, Any] = {"reward": record.reward}
    if record.cached_from is not None:
        values["cached_from"] = record.cached_from
    if record.outcome is not None:
        values |= record.outcome.metrics
        values |= {name: cost for name, cost in asdict(record.outcome.cost).items() if cost is not None}
        values |= {"epochs": record.outcome.epochs, "seconds": record.outcome.seconds}
    return {name: _number(value) for name, value in values.items()}


def _number(value: Any) -> float | None:
    return value if isinstance(value, int | float) and math.isfinite(value) else None


def _parsed(line: str) -> dict[str, Any]:
    try:
        entry = json.loads(line)
    except ValueError:
        return {}
    return entry if isinstance(entry, dict) else {}
