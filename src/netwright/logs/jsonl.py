"""Trials and epochs as lines of JSON, in ``log.jsonl`` of the run folder: `tail -f` shows them as they come."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from netwright.errors import StorageError
from netwright.logs.base import Sink, Values

FILE = "log.jsonl"


class JsonLines:
    """Appends to one file. Each line is whole, and has a ``kind``: "epoch" or "trial"."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._epochs: dict[str, int] = {}
        self._trials: set[int] = set()
        try:
            self._read()
            self._file = path.open("a", encoding="utf-8")
        except OSError as error:
            raise StorageError(f"{path} cannot be written ({error.strerror or error}).") from error

    def _read(self) -> None:
        """Take up what an earlier process wrote; a line that its end has torn is dropped."""
        if not self._path.exists():
            return
        content = self._path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        if len(whole) < len(content):
            with self._path.open("r+b") as file:
                file.truncate(len(whole))
        for line in whole.decode("utf-8", errors="replace").splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if isinstance(entry, dict) and entry.get("kind") == "epoch":
                self._epochs[str(entry["training"])] = int(entry["epoch"])
            elif isinstance(entry, dict) and entry.get("kind") == "trial":
                self._trials.add(int(entry["trial"]))

    def epochs(self, training: str) -> int:
        """The last epoch that it has of a training; 0: none."""
        return self._epochs.get(training, 0)

    def has_trial(self, number: int) -> bool:
        """Whether it has the end of a trial."""
        return number in self._trials

    def log_epoch(self, training: str, epoch: int, values: Values) -> None:
        """Append an epoch."""
        self._write({"kind": "epoch", "training": training, "epoch": epoch, **values})
        self._epochs[training] = epoch

    def log_trial(
        self, number: int, choice: Mapping[str, Any], words: Mapping[str, str], values: Values
    ) -> None:
        """Append a trial."""
        self._write(
            {"kind": "trial", "trial": number, **words, "choice": dict(choice), "values": dict(values)}
        )
        self._trials.add(number)

    def close(self) -> None:
        """Close the file. What a full disk keeps from being written is logged again when the run is resumed."""
        with contextlib.suppress(OSError):
            self._file.close()

    def _write(self, entry: Mapping[str, Any]) -> None:
        try:
            self._file.write(json.dumps(entry, allow_nan=False) + "\n")
            self._file.flush()
        except OSError as error:
            raise StorageError(
                f"{self._path} cannot be written ({error.strerror or error}). Make room, then resume."
            ) from error


def open_sink(root: Path) -> Sink:
    """The log of the run in a folder."""
    return JsonLines(root / FILE)
