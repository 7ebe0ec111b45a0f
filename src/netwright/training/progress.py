"""The state of a training: everything that changes in its course, and how it becomes a checkpoint and back."""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from netwright.execution import heartbeat
from netwright.training.checkpoint import (
    CheckpointRefused,
    Checkpoints,
    CheckpointTimer,
    load_checkpoint,
    require_fields,
    save_checkpoint,
)
from netwright.training.config import TrainingProtocol
from netwright.training.early_stopping import Patience, Watch
from netwright.training.history import Curves, EpochRecord
from netwright.training.problem import EpochBatches
from netwright.training.state import generator_tensors, grouped, require_tensor, restore_generators, within
from netwright.training.step import TrainingStep
from netwright.training.time_budget import TimeBudget

VERSION = 1
"""The version of the contents of a training's checkpoint."""
MAY_DIFFER = ("epochs", "steps", "seconds", "in_parts", "cool_down", "threads", "device", "devices")
"""The settings of the protocol that may change when a training goes on."""

_RECORD = asdict(EpochRecord(1, 1, 0.0, None, 0.0, 0.0))
_CASES = ("the training cases", "the validation cases")


@dataclass(frozen=True)
class Standing:
    """What the end of an epoch changes, with its validation and its record.

    A checkpoint holds these values from before the end of the epoch. A training that goes on repeats the end of the
    epoch, which may then no longer be the last one.
    """

    epochs: int
    records: tuple[EpochRecord, ...]
    scores: tuple[NDArray[np.float64], ...]
    watch: Mapping[str, Any]
    patience: Mapping[str, Any]
    generators: Mapping[str, Tensor]

    def values(self) -> dict[str, Any]:
        """Everything except scores and generators, as plain values."""
        records = [asdict(record) for record in self.records]
        return {
            "epochs": self.epochs,
            "records": records,
            "watch": dict(self.watch),
            "patience": dict(self.patience),
        }


@dataclass
class Progress:
    """The state of a training after some step.

    Args:
        step: weights, optimizer, loss scale.
        batches: the batches of an epoch.
        budget: the time used, and the plan.
        watch: what early termination has counted.
        patience: what patience has counted.
        curves: the epochs so far.
        scores: the scores of the last validations.
        device: the device of the network.
        epoch: the current epoch; the first is 1.
        epochs: how many epochs are finished.
        losses: the losses of the current epoch's batches.
        validation: the scores of the current weights, if they are known already; else None.
    """

    step: TrainingStep
    batches: EpochBatches
    budget: TimeBudget
    watch: Watch
    patience: Patience
    curves: Curves
    scores: deque[NDArray[np.float64]]
    device: torch.device
    epoch: int = 1
    epochs: int = 0
    losses: list[tuple[float, float]] = field(default_factory=list)
    validation: NDArray[np.float64] | None = None
    _order: Tensor | None = None
    _to_come: Iterator[tuple[Tensor, Tensor]] | None = None

    def batches_to_come(self) -> Iterator[tuple[Tensor, Tensor]]:
        """The batches of the current epoch that have not been trained on yet."""
        batches, self._to_come = self._to_come, None
        if batches is None:
            self._order = _state_of(self.batches.generator)
            batches = iter(self.batches)
        return batches

    def standing(self) -> Standing:
        """The values that the end of the epoch will change."""
        return Standing(
            epochs=self.epochs,
            records=tuple(self.curves.records),
            scores=tuple(self.scores),
            watch=self.watch.values(),
            patience=self.patience.values(),
            generators=generator_tensors(self.device),
        )

    def tensors(self, standing: Standing) -> dict[str, Tensor]:
        """The tensors of a checkpoint."""
        now = _state_of(self.batches.generator)
        order = {} if self._order is None or now is None else {"epoch": self._order, "now": now}
        return {
            **self.step.tensors(),
            **grouped(
                generators=standing.generators,
                order=order,
                scores={str(number): torch.from_numpy(s) for number, s in enumerate(standing.scores)},
            ),
            "losses": torch.tensor(self.losses, dtype=torch.float64).reshape(-1, 2),
            "batch_seconds": torch.tensor(self.budget.batch_seconds, dtype=torch.float64),
        }

    def values(self, standing: Standing) -> dict[str, Any]:
        """The plain values of a checkpoint."""
        return {
            "epoch": self.epoch,
            "step": self.step.values(),
            "budget": self.budget.values(),
            "standing": standing.values(),
        }

    def restore(self, tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> None:
        """Restores the state from what `tensors` and `values` gave, except for the curves.

        Raises:
            CheckpointRefused: the network or the batches are other ones, or something is missing or wrong.
        """
        self._require_whole(tensors, values)
        standing = values["standing"]
        self.step.restore(tensors, values["step"])
        self.watch.restore(standing["watch"])
        self.patience.restore(standing["patience"])
        self.epoch, self.epochs = values["epoch"], standing["epochs"]
        self.losses = [(loss, of_output) for loss, of_output in tensors["losses"].tolist()]
        self.scores.extend(
            s.numpy().copy() for _, s in sorted(within(tensors, "scores").items(), key=_number)
        )
        self.validation = tensors["validation"].numpy().copy() if "validation" in tensors else None
        self._find_batch(within(tensors, "order"))
        # Behind the batches that were passed over: networks may draw from these, nothing of the batches does.
        restore_generators(within(tensors, "generators"), self.device)
        self.budget.restore(tensors["batch_seconds"].tolist(), values["budget"], self.epochs)

    def _require_whole(self, tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> None:
        """Refuses what is not made like the checkpoint that would be written now.

        What the parts of the state can judge better is left to them: weights, optimizer, loss scale and generators.
        """
        expected = self.values(self.standing())
        require_fields(values, {**expected, "step": {**expected["step"], "scaler": {}}})
        standing = values["standing"]
        for record in standing["records"]:
            require_fields(record, _RECORD, "standing.records")
        numbers = [*(record["epoch"] for record in standing["records"]), values["epoch"]]
        if numbers != list(range(1, standing["epochs"] + 2)):
            raise CheckpointRefused(f"its epochs {numbers} are not 1 to {standing['epochs'] + 1}")
        for name, columns in (("losses", (2,)), ("batch_seconds", ())):
            example = torch.zeros(0, *columns, dtype=torch.float64)
            require_tensor(tensors, name, example, any_length=True)
        scores = {**within(tensors, "scores"), **{n: t for n, t in tensors.items() if n == "validation"}}
        sizes = next((value.shape for value in scores.values() if value.ndim == 2), (0, 0))
        for name in scores:
            require_tensor(scores, name, torch.zeros(sizes, dtype=torch.float64))
        if len(tensors["losses"]) > len(self.batches):
            raise CheckpointRefused("it was written with other batches")

    def _find_batch(self, order: Mapping[str, Tensor]) -> None:
        """Restores the position in the data. At the end of an epoch that is immediate; within one, the first batches
        are skipped.
        """
        generator, done = self.batches.generator, len(self.losses)
        at_end = done == len(self.batches)
        if generator is not None:
            for name in ("epoch", "now"):
                require_tensor(order, name, generator.get_state(), "order")
            self._order = order["epoch"].clone()
            try:
                generator.set_state(order["now" if at_end else "epoch"].clone())
            except RuntimeError as error:
                raise CheckpointRefused(f"its 'order' is no state of a generator ({error})") from None
        self._to_come = iter(()) if at_end else iter(self.batches)
        for _ in range(0 if at_end else done):
            next(self._to_come)
            heartbeat.beat()
        if generator is not None and not torch.equal(generator.get_state(), order["now"]):
            raise CheckpointRefused("it was written with other batches")


class ProgressFile:
    """Writes the state of one training to its checkpoint, and reads it from the one to go on from.

    Args:
        checkpoints: where and when.
        identity: what the training is, see `identity_of`.
    """

    def __init__(self, checkpoints: Checkpoints, identity: Mapping[str, Any]) -> None:
        self._checkpoints = checkpoints
        self._identity = identity
        self._timer = CheckpointTimer(checkpoints.seconds)

    @property
    def due(self) -> bool:
        """Whether a checkpoint should be written now."""
        return self._timer.due

    @property
    def kept(self) -> bool:
        """Whether a checkpoint should be written at the end."""
        return self._checkpoints.keep

    def write(
        self, progress: Progress, standing: Standing, validation: NDArray[np.float64] | None = None
    ) -> None:
        """Writes the checkpoint.

        Args:
            progress: the state after a step.
            standing: the values from before the end of an epoch.
            validation: the scores of the current weights, so that they need not be computed again.

        Raises:
            StorageError: it cannot be written.
        """
        tensors = progress.tensors(standing)
        if validation is not None and _same(standing.generators, generator_tensors(progress.device)):
            tensors["validation"] = torch.from_numpy(validation)
        values = {
            "version": VERSION,
            "identity": dict(self._identity),
            "notes": dict(self._checkpoints.notes),
            **progress.values(standing),
        }
        with self._timer.writing():
            save_checkpoint(self._checkpoints.path, tensors, values)
        heartbeat.beat()

    def read(self, progress: Progress) -> list[EpochRecord] | None:
        """Restores the training from the checkpoint to go on from. Returns its epochs so far; None where there is no
        checkpoint.

        Raises:
            CheckpointRefused: the checkpoint is missing or damaged, or belongs to another training.
        """
        path = self._checkpoints.resume_from
        if path is None:
            return None
        tensors, values = load_checkpoint(path)
        require_version(path, values)
        try:
            difference = _difference(values, self._identity)
            if difference is None:
                progress.restore(tensors, values)
                self._timer.restart()
                return [
                    EpochRecord(**{name: record[name] for name in _RECORD})
                    for record in values["standing"]["records"]
                ]
        except CheckpointRefused as error:
            difference = str(error)
        raise refused(path, difference)


def require_version(path: Path, values: Mapping[str, Any]) -> None:
    """Refuses the values of a file that is no checkpoint of a training, or one of another version of netwright.

    Raises:
        CheckpointRefused: the message names the file.
    """
    if values.get("version") != VERSION:
        raise refused(path, "it is none of a training, or one of another version of netwright")


def identity_of(
    protocol: TrainingProtocol, training: Sequence[int], validation: Sequence[int]
) -> dict[str, Any]:
    """The settings and cases that must be equal for a training to go on from another's checkpoint.

    Args:
        protocol: of the training.
        training: indices of the training cases.
        validation: indices of the validation cases.
    """
    settings = {name: value for name, value in asdict(protocol).items() if name not in MAY_DIFFER}
    same: dict[str, Any] = json.loads(json.dumps({f"training.{name}": v for name, v in settings.items()}))
    return {
        **same,
        **dict(zip(_CASES, (_digest(training), _digest(validation)), strict=True)),
    }


def refused(path: Path, reason: str) -> CheckpointRefused:
    """The error for a checkpoint from which a training cannot go on, with what to do."""
    return CheckpointRefused(
        f"The training cannot go on from {path}: {reason}. Give it the checkpoint of the same training, or begin "
        "without one."
    )


def _difference(values: Mapping[str, Any], identity: Mapping[str, Any]) -> str | None:
    """Why a checkpoint belongs to another training, in words; None where it does not.

    Raises:
        CheckpointRefused: it does not say what it belongs to.
    """
    require_fields(values, {"identity": {name: "" for name in identity if name in _CASES}})
    stored = values["identity"]
    for name, value in identity.items():
        if name in stored and stored[name] != value:
            shown = f" {stored[name]!r}, here {value!r}" if name.startswith("training.") else " others"
            return f"it was written with {name}{shown}"
    return None


def _digest(cases: Sequence[int]) -> str:
    return hashlib.sha256(json.dumps([int(case) for case in cases]).encode()).hexdigest()[:16]


def _number(item: tuple[str, Tensor]) -> int:
    return int(item[0])


def _state_of(generator: torch.Generator | None) -> Tensor | None:
    return None if generator is None else generator.get_state()


def _same(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)
