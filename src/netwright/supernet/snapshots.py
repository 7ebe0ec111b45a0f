"""Snapshots of a search inside one training: its losses and probabilities, written during the search."""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from netwright.data.files import write_whole
from netwright.errors import StorageError

SNAPSHOTS, STANDING = "path.jsonl", "standing.json"
TAIL_BYTES = 2**20
"""More than the length of the last line."""


@dataclass(frozen=True)
class Snapshot:
    """The state of a search after ``step`` steps, ``seconds`` of wall time after its start, ``progress`` from 0 to 1.

    ``loss``: mean of the sampled networks' losses on the weights' batches since the last snapshot; ``theta_loss``: the
    same on the other half's batches; None where there was none. ``eta``: the learning rate of the probabilities.
    ``certainty``: the mean over the variables of the largest probability. ``entropy``: the mean of their entropies,
    each divided by that of the uniform distribution. ``infeasible``: the number of samples since the start that made no
    network, or one that could not be computed. ``probabilities``: theta, by variable.
    """

    step: int
    seconds: float
    progress: float
    loss: float | None
    theta_loss: float | None
    eta: float
    certainty: float
    entropy: float
    infeasible: int
    probabilities: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class LastStep:
    """The number of steps done, and the part of the search that is done, 0 to 1, between two snapshots."""

    step: int
    progress: float


def write_last_step(folder: Path, last: LastStep) -> None:
    """Write the current step to a file; it replaces the last one.

    Raises:
        StorageError: the file cannot be written.
    """
    write_whole(folder / STANDING, json.dumps(asdict(last)).encode())


def last_step(folder: Path) -> LastStep | None:
    """The step of the search a few seconds ago; None before the first."""
    try:
        return LastStep(**json.loads((folder / STANDING).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def append_snapshot(folder: Path, snapshot: Snapshot) -> None:
    """Write one more snapshot.

    Raises:
        StorageError: the file cannot be written.
    """
    path = folder / SNAPSHOTS
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(_line(snapshot))
    except OSError as error:
        raise StorageError(
            f"{path} cannot be written ({error.strerror}). Make room or mend it, then resume."
        ) from error


def keep_snapshots(folder: Path, step: int) -> None:
    """Drop the snapshots after the last checkpoint, because their steps will be repeated.

    Raises:
        StorageError: the file cannot be written.
    """
    known = read_snapshots(folder)
    kept = [snapshot for snapshot in known if snapshot.step <= step]
    if len(kept) < len(known) or not _ends_whole(folder / SNAPSHOTS):
        write_whole(folder / SNAPSHOTS, "".join(map(_line, kept)).encode())


def read_snapshots(folder: Path) -> list[Snapshot]:
    """All snapshots so far, without a last line that is still being written."""
    try:
        lines = (folder / SNAPSHOTS).read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    snapshots = []
    for line in lines:
        with contextlib.suppress(ValueError):
            snapshots.append(_parsed(line))
    return snapshots


def last_snapshot(folder: Path) -> Snapshot | None:
    """The last snapshot so far; None before the first."""
    try:
        with (folder / SNAPSHOTS).open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL_BYTES))
            lines = file.read().splitlines(keepends=True)
    except OSError:
        return None
    whole = [line for line in lines if line.endswith(b"\n")]
    return _parsed(whole[-1].decode()) if whole else None


def _parsed(line: str) -> Snapshot:
    values = json.loads(line)
    values["probabilities"] = tuple(map(tuple, values["probabilities"]))
    return Snapshot(**values)


def _ends_whole(path: Path) -> bool:
    """Whether the last line is complete."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - 1))
            return size == 0 or file.read(1) == b"\n"
    except FileNotFoundError:
        return True


def _line(snapshot: Snapshot) -> str:
    """The snapshot as a line. Probabilities have six digits, enough to be looked at; the checkpoint has all."""
    rounded = [[round(value, 6) for value in row] for row in snapshot.probabilities]
    return json.dumps({**asdict(snapshot), "probabilities": rounded}) + "\n"
