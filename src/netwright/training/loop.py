"""The training loop: one network, one dataset, one protocol."""

from __future__ import annotations

import contextlib
import math
import random
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import nn

from netwright.errors import StorageError
from netwright.training.averaging import AveragedNetwork, averaged_network
from netwright.training.checkpoint import Checkpoints
from netwright.training.config import TrainingProtocol
from netwright.training.device import resolve_device, threads
from netwright.training.early_stopping import LossStalled, Patience, Watch
from netwright.training.history import Curves, EpochRecord
from netwright.training.outcome import Status
from netwright.training.problem import EpochBatches, Problem
from netwright.training.progress import Progress, ProgressFile, identity_of
from netwright.training.replicas import Replicas
from netwright.training.seeding import derive_seed, seeded
from netwright.training.step import Diverged, TrainingStep
from netwright.training.time_budget import TimeBudget, TooSlow


@dataclass(frozen=True)
class Training:
    """A trained network and the course of its training.

    Args:
        network: after the last epoch, with its averaged weights where there are any.
        status: complete, diverged, too slow or stalled.
        reason: why the training is not complete.
        epochs: how many were finished. An epoch that the end of the wall time cut short is in the curves, but does not
            count here.
        planned_epochs: how many were planned.
        curves: one record an epoch.
        seconds_per_batch: the median.
        seconds: of the whole training, in all its parts.
        loss_met_epoch: as in `netwright.training.outcome.Outcome`.
        scores: of the last validations, at most the protocol's ``score_epochs``. Each is (validation cases, columns),
            as the problem gives them.
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
    clock: Callable[[], float] = time.perf_counter,
    replicas: Replicas | None = None,
) -> Training:
    """Trains a network in place, and validates it.

    The result is the network after the last epoch with its scores (with ``score_epochs``, those of the last few
    epochs), not the best of all epochs. Most papers do not say which they took, and the maximum over noisy validations
    is too optimistic. On the CPU, with ``protocol.seconds`` None, equal arguments give equal weights, bit for bit. This
    also holds for a training in several parts, each of which goes on from the previous checkpoint. With ``seconds``,
    plan and result depend on the clock.

    A training can go on with more epochs than it began with. From there on, its schedule is that of the larger number.
    To train in parts, it is best to begin with all epochs and ``stop_after``: the result is then the same as in one go,
    bit for bit. With a constant schedule, a beginning with fewer epochs gives the same result too. With "cosine", the
    rate has fallen to zero by then, and rises to its value in the longer schedule.

    A training in parts by wall time has ``protocol.in_parts``, and in ``protocol.seconds`` the seconds in all at the
    end of the part. It ends after the batch at which they are used up, and goes on with the next one.

    Args:
        network: maps images (B, C, *size) to logits (B, K, *size), or (B, K) for classification. In training it may
            return a tuple with the logits of auxiliary heads. It is moved to the protocol's device.
        problem: the task and the data.
        training: indices of the cases to train on.
        validation: indices of the cases to validate on.
        protocol: how to train.
        seed: for the order of cases, their augmentation, and dropout. A training that goes on takes these from its
            checkpoint.
        curves: where to record the epochs. Epochs before a checkpoint are recorded again.
        on_epoch: called after every epoch that is trained here. What it raises ends the training and is passed on.
        stop_after: the epoch after which to end, complete, though the protocol has more.
        checkpoints: where to go on from, and where and when to write one. None: from the start, and never.
        clock: gives the time in seconds; tests pass their own.
        replicas: the network on several devices, which compute each batch together; None: on one.

    Raises:
        CheckpointRefused: the checkpoint to go on from is missing or damaged, or belongs to another training.
        StorageError: the curves, or a checkpoint that is to be kept, cannot be written.
    """
    curves = Curves() if curves is None else curves
    device = resolve_device(protocol.device)
    batches = problem.batches(training, protocol, device, seed)
    loss = problem.loss(training, protocol, device)
    on_cpu = device.type == "cpu"
    with threads(protocol.threads), seeded(derive_seed(seed, "training"), deterministic=on_cpu):
        step = TrainingStep(network, protocol, device, loss, len(batches), replicas)
        validation_batches = problem.validation_batches(validation, protocol)
        progress = _start(protocol, step, batches, validation_batches, curves, clock)
        averaged = None
        if progress.step.averages:
            averaged = averaged_network(network, progress.step, problem, training, protocol, seed=seed)
        file = None
        if checkpoints is not None:
            file = ProgressFile(checkpoints, identity_of(protocol, training, validation))
        loop = _Loop(
            progress,
            score=lambda: problem.scores(network, validation, protocol, device),
            averaged=averaged,
            metric=lambda scores: problem.metrics(scores)[problem.task.metric],
            on_epoch=on_epoch,
            stop_after=stop_after,
            file=file,
        )
        status, reason = loop.run()
        if averaged is not None and status is Status.COMPLETE:
            averaged.take()
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


def _start(
    protocol: TrainingProtocol,
    step: TrainingStep,
    batches: EpochBatches,
    validation_batches: int,
    curves: Curves,
    clock: Callable[[], float],
) -> Progress:
    """The state of a training before its first step."""
    return Progress(
        step=step,
        batches=batches,
        budget=TimeBudget(
            protocol.seconds,
            protocol.epochs_of(len(batches)),
            len(batches),
            validation_batches,
            protocol.validate_every_of(len(batches)),
            clock,
            in_parts=protocol.in_parts,
            validation_share=protocol.validation_share,
            cool_down=protocol.cool_down,
        ),
        watch=Watch(protocol.early),
        patience=Patience(protocol.patience, protocol.minimum_gain),
        curves=curves,
        scores=deque(maxlen=protocol.score_epochs),
        device=resolve_device(protocol.device),
    )


class _Loop:
    """Trains epoch after epoch until the plan is done, the time is used up, patience ends, or there is no hope.

    Args:
        progress: the state to begin with.
        score: gives the scores of the validation cases.
        averaged: the network with averaged weights, of which the scores are then; None: of its own weights.
        metric: the task's metric for given scores; NaN where no case defines it.
        on_epoch: called after every epoch.
        stop_after: the last epoch, where the plan has more.
        file: the checkpoint file; None: no checkpoints.
    """

    def __init__(
        self,
        progress: Progress,
        *,
        score: Callable[[], NDArray[np.float64]],
        averaged: AveragedNetwork | None,
        metric: Callable[[NDArray[np.float64]], float],
        on_epoch: Callable[[EpochRecord], None] | None,
        stop_after: int | None,
        file: ProgressFile | None,
    ) -> None:
        self._progress = progress
        self._score = score
        self._averaged = averaged
        self._metric = metric
        self._on_epoch = on_epoch
        self._stop_after = math.inf if stop_after is None else stop_after
        self._file = file

    @property
    def planned_epochs(self) -> int:
        """The number of epochs, as far as it is known now."""
        return int(min(self._progress.budget.planned_epochs, self._stop_after))

    def run(self) -> tuple[Status, str]:
        """Trains to the end. Returns the status and its reason."""
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
        """Trains one epoch, validates and records it. Returns whether another one follows."""
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
            last = last or (budget.in_parts and not budget.in_time)
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
        """Trains on the batches of the epoch. Returns whether there is time for more."""
        progress, budget = self._progress, self._progress.budget
        if progress.losses and not budget.in_time:
            if progress.epochs == 0 and len(progress.losses) < budget.batches:
                # It goes on within its first epoch, in less wall time than it began with.
                budget.require_epoch()
            return False
        progress.step.train_mode()
        batches = progress.batches_to_come()
        budget.batch_starts()
        for images, labels in batches:
            progress.validation = None
            losses = progress.step(images, labels, budget.schedule_epochs, budget.rate_share)
            progress.losses.append(losses)
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

    def _scored(self) -> NDArray[np.float64]:
        """The scores of a validation, which leaves Python's generator as it was: the first one of a process imports
        libraries, and what they import may draw from it.
        """
        state = random.getstate()
        try:
            with contextlib.nullcontext() if self._averaged is None else self._averaged.in_use():
                return self._score()
        finally:
            random.setstate(state)

    def _validated(self) -> float:
        progress = self._progress
        if progress.validation is not None:
            progress.scores.append(progress.validation)
            return self._metric(progress.validation)
        begun = progress.budget.elapsed
        try:
            scores = self._scored()
        except FloatingPointError as error:
            raise Diverged(str(error)) from None
        score = self._metric(scores)
        progress.scores.append(scores)
        progress.budget.validation_done(progress.budget.elapsed - begun)
        return score


def _mean(losses: list[float]) -> float:
    return math.fsum(losses) / len(losses)
