"""The training loop: one network, one dataset, one protocol."""

from __future__ import annotations

import contextlib
import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import nn

from netwright.errors import StorageError
from netwright.training.checkpoint import Checkpoints
from netwright.training.config import TrainingProtocol
from netwright.training.device import resolve_device, threads
from netwright.training.early_stopping import LossStalled, Patience, Watch
from netwright.training.history import Curves, EpochRecord
from netwright.training.outcome import Status
from netwright.training.problem import Problem
from netwright.training.progress import Progress, ProgressFile, identity_of
from netwright.training.seeding import derive_seed, seeded
from netwright.training.step import Diverged, TrainingStep
from netwright.training.time_budget import TimeBudget, TooSlow


@dataclass(frozen=True)
class Training:
    """A trained network and how its training went.

    ``status`` is complete, diverged, too slow or stalled, with its ``reason``. ``scores``: of the last validations, as
    many as the protocol's ``score_epochs`` where there were so many, each (validation cases, columns) as the problem
    gives them. ``epochs`` were finished; one cut short at the end of a wall-time share is in the curves, but not in
    that number. ``seconds``: of the whole training, in however many parts. ``loss_met_epoch``: as in
    `netwright.training.outcome.Outcome`.
    """

    network: nn.Module
    status: Status
    reason: str
    epochs: int
    planned_epochs: int
    curves: Curves
    seconds_per_batch: float | None
    seconds: float
    loss_met_epoch: int | None = None
    scores: tuple[NDArray[np.float64], ...] = ()


def train(
    network: nn.Module,
    problem: Problem,
    training: Sequence[int],
    validation: Sequence[int],
    protocol: TrainingProtocol,
    *,
    seed: int,
    curves: Curves | None = None,
    on_epoch: Callable[[EpochRecord], None] | None = None,
    stop_after: int | None = None,
    checkpoints: Checkpoints | None = None,
) -> Training:
    """Trains a network, in place, and validates it.

    The network kept is the one after the last epoch, and its scores, not the best of all epochs, are the result
    (with ``score_epochs``, those of the last few): most papers do not say which they took, and the maximum over
    noisy validations flatters. On the CPU and with ``protocol.seconds`` None, the same arguments give the same weights,
    bit for bit, in one go or in parts, each of which goes on from a checkpoint of the one before. With ``seconds``, the
    plan is the clock's, and so is the result.

    A training may go on with more epochs than it was begun with. The schedule is then that of the larger number from
    there on. So what is to be trained in parts is best begun with all its epochs and ``stop_after``: that is the same
    as to train it in one go, bit for bit. Begun with fewer epochs, a training with a constant schedule is the same too;
    under "cosine" the rate, which has fallen to zero, rises to where the longer schedule has it at this step.

    Args:
        network: images (B, C, *size) to logits (B, K, *size), or (B, K) where images are classified, in training
            maybe in a tuple with the logits of auxiliary heads; moved to the device of the protocol.
        problem: task and data.
        training: indices of the cases to train on.
        validation: indices of the cases to validate on.
        protocol: how.
        seed: of the order of cases, their augmentation, and dropout; one that goes on has those of its checkpoint.
        curves: where to record the epochs; those of before a checkpoint are recorded again.
        on_epoch: called after every epoch that is trained here; what it raises ends the training and is passed on.
        stop_after: end, complete, after this epoch, though the protocol has more of them.
        checkpoints: where to go on from, and where and when to write one; None: from the start, and never.

    Raises:
        CheckpointRefused: the checkpoint to go on from is missing or damaged, or that of another training.
        StorageError: the curves, or a checkpoint that is to be kept, cannot be written.
    """
    curves = Curves() if curves is None else curves
    device = resolve_device(protocol.device)
    batches = problem.batches(training, protocol, device, seed)
    loss = problem.loss(training, protocol, device)
    on_cpu = device.type == "cpu"
    with threads(protocol.threads), seeded(derive_seed(seed, "training"), deterministic=on_cpu):
        progress = Progress(
            step=TrainingStep(network, protocol, device, loss, len(batches)),
            batches=batches,
            budget=TimeBudget(
                protocol.seconds,
                protocol.epochs_of(len(batches)),
                len(batches),
                problem.validation_batches(validation, protocol),
                protocol.validate_every_of(len(batches)),
            ),
            watch=Watch(protocol.early),
            patience=Patience(protocol.patience, protocol.minimum_gain),
            curves=curves,
            scores=deque(maxlen=protocol.score_epochs),
            device=device,
        )
        file = None
        if checkpoints is not None:
            file = ProgressFile(checkpoints, identity_of(protocol, training, validation))
        loop = _Loop(
            progress,
            score=lambda: problem.scores(network, validation, protocol, device),
            metric=lambda scores: problem.metrics(scores)[problem.task.metric],
            on_epoch=on_epoch,
            stop_after=stop_after,
            file=file,
        )
        status, reason = loop.run()
    return Training(
        network=network,
        status=status,
        reason=reason,
        epochs=progress.epochs,
        planned_epochs=curves.planned_epochs or loop.planned_epochs,
        curves=curves,
        seconds_per_batch=progress.budget.seconds_per_batch,
        seconds=progress.budget.elapsed,
        loss_met_epoch=progress.watch.loss_met_epoch,
        scores=tuple(progress.scores),
    )


class _Loop:
    """Epochs over batches until the plan is done, the share is used up, patience ends, or there is no hope.

    Args:
        progress: where it begins.
        score: the scores of the validation cases.
        metric: the task's metric of scores; NaN where no case defines it.
        on_epoch: told of every epoch.
        stop_after: the last epoch, where the plan has more.
        file: of checkpoints; None: there are none.
    """

    def __init__(
        self,
        progress: Progress,
        *,
        score: Callable[[], NDArray[np.float64]],
        metric: Callable[[NDArray[np.float64]], float],
        on_epoch: Callable[[EpochRecord], None] | None,
        stop_after: int | None,
        file: ProgressFile | None,
    ) -> None:
        self._progress = progress
        self._score = score
        self._metric = metric
        self._on_epoch = on_epoch
        self._stop_after = math.inf if stop_after is None else stop_after
        self._file = file

    @property
    def planned_epochs(self) -> int:
        """How many there will be, as far as is known now."""
        return int(min(self._progress.budget.planned_epochs, self._stop_after))

    def run(self) -> tuple[Status, str]:
        """The status and its reason."""
        progress = self._progress
        records = None if self._file is None else self._file.read(progress)
        if progress.budget.planned:
            progress.curves.restore(self.planned_epochs, records or [])
        try:
            while self._epoch():
                progress.epoch += 1
        except Diverged as error:
            return Status.DIVERGED, f"{error}, in epoch {progress.epoch}"
        except TooSlow as error:
            return Status.TOO_SLOW, str(error)
        except LossStalled as error:
            return Status.LOSS_STALLED, str(error)
        return Status.COMPLETE, ""

    def _epoch(self) -> bool:
        """One epoch with its validation and record; whether there is another one."""
        progress, budget, epoch = self._progress, self._progress.budget, self._progress.epoch
        in_time = self._train()
        standing = progress.standing() if self._file is not None and self._file.kept else None
        losses = progress.losses
        whole = in_time or len(losses) == budget.batches
        if whole:
            budget.epoch_done(epoch)
            progress.epochs = epoch
        last = not in_time or epoch >= self.planned_epochs
        score = None
        if last or budget.validation_due(epoch):
            score = self._validated()
            last = progress.patience.ends_after(score) or last
        record = EpochRecord(
            epoch=epoch,
            planned_epochs=self.planned_epochs,
            train_loss=_mean([loss for loss, _ in losses]),
            validation_score=score,
            learning_rate=progress.step.learning_rate,
            seconds=budget.elapsed,
        )
        progress.curves.add(record)
        if self._on_epoch is not None:
            self._on_epoch(record)
        if whole:
            progress.watch.epoch(epoch, _mean([of_output for _, of_output in losses]), progress.step.steps)
        if last and self._file is not None and standing is not None:
            self._file.write(progress, standing, progress.scores[-1])
        progress.losses, progress.validation = [], None
        return not last

    def _train(self) -> bool:
        """The batches of the epoch; whether there is time for more."""
        progress, budget = self._progress, self._progress.budget
        if progress.losses and not budget.in_time:
            return False
        progress.step.train_mode()
        batches = progress.batches_to_come()
        budget.batch_starts()
        for images, labels in batches:
            progress.validation = None
            progress.losses.append(progress.step(images, labels, budget.planned_epochs))
            known = budget.planned
            in_time = budget.batch_done()
            if budget.planned and not known:
                progress.curves.start(self.planned_epochs)
            progress.watch.batch(budget.last_batch_seconds, len(images))
            if not in_time:
                return False
            if self._file is not None and self._file.due:
                # Nothing depends on it but the time that a kill costs.
                with contextlib.suppress(StorageError):
                    self._file.write(progress, progress.standing())
                budget.batch_starts()
        return True

    def _validated(self) -> float:
        progress = self._progress
        if progress.validation is not None:
            progress.scores.append(progress.validation)
            return self._metric(progress.validation)
        begun = time.perf_counter()
        try:
            scores = self._score()
        except FloatingPointError as error:
            raise Diverged(str(error)) from None
        score = self._metric(scores)
        progress.scores.append(scores)
        progress.budget.validation_done(time.perf_counter() - begun)
        return score


def _mean(losses: list[float]) -> float:
    return math.fsum(losses) / len(losses)
