"""The training loop: one network, one dataset, one protocol."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from netwright.training.config import TrainingProtocol
from netwright.training.device import resolve_device, threads
from netwright.training.early_stopping import LossStalled, Patience, Watch
from netwright.training.history import Curves, EpochRecord
from netwright.training.outcome import Status
from netwright.training.problem import Problem
from netwright.training.seeding import derive_seed, seeded
from netwright.training.step import Diverged, TrainingStep
from netwright.training.time_budget import TimeBudget, TooSlow


@dataclass(frozen=True)
class Training:
    """A trained network and how its training went.

    ``status`` is complete, diverged, too slow or stalled, with its ``reason``. ``scores``: of the last validations, as
    many as the protocol's ``score_epochs`` where there were so many, each (validation cases, columns) as the problem
    gives them. ``epochs`` were finished; one cut
    short at the end of a wall-time share is in the curves, but not in that number. ``loss_met_epoch``: as in
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
) -> Training:
    """Trains a network, in place, and validates it.

    The network kept is the one after the last epoch, and its scores, not the best of all epochs, are the result
    (with ``score_epochs``, those of the last few): most papers do not say which they took, and the maximum over
    noisy validations flatters. On the CPU and with
    ``protocol.seconds`` None, the same arguments give the same weights, bit for bit.

    Args:
        network: images (B, C, *size) to logits (B, K, *size), or (B, K) where images are classified, in training
            maybe in a tuple with the logits of auxiliary heads; moved to the device of the protocol.
        problem: task and data.
        training: indices of the cases to train on.
        validation: indices of the cases to validate on.
        protocol: how.
        seed: of the order of cases, their augmentation, and dropout.
        curves: where to record the epochs.
        on_epoch: called after every epoch; what it raises ends the training and is passed on.
    """
    curves = Curves() if curves is None else curves
    device = resolve_device(protocol.device)
    batches = problem.batches(training, protocol, device, seed)
    loss = problem.loss(training, protocol, device)
    on_cpu = device.type == "cpu"
    with threads(protocol.threads), seeded(derive_seed(seed, "training"), deterministic=on_cpu):
        step = TrainingStep(network, protocol, device, loss, len(batches))
        budget = TimeBudget(
            protocol.seconds,
            protocol.epochs_of(len(batches)),
            len(batches),
            problem.validation_batches(validation, protocol),
            protocol.validate_every_of(len(batches)),
        )
        validate = partial(_validate, network, problem, validation, protocol, device)
        watch, patience = Watch(protocol.early), Patience(protocol.patience, protocol.minimum_gain)
        loop = _Loop(
            step, batches, validate, budget, watch, patience, curves, on_epoch, protocol.score_epochs
        )
        status, reason = loop.run()
    return Training(
        network=network,
        status=status,
        reason=reason,
        epochs=loop.epochs,
        planned_epochs=curves.planned_epochs or budget.planned_epochs,
        curves=curves,
        seconds_per_batch=budget.seconds_per_batch,
        seconds=budget.elapsed,
        loss_met_epoch=watch.loss_met_epoch,
        scores=tuple(loop.scores),
    )


def _validate(
    network: nn.Module,
    problem: Problem,
    cases: Sequence[int],
    protocol: TrainingProtocol,
    device: torch.device,
) -> tuple[NDArray[np.float64], float]:
    """The scores of the cases, and the task's metric of them; NaN where no case defines it."""
    scores = problem.scores(network, cases, protocol, device)
    return scores, problem.metrics(scores)[problem.task.metric]


class _Loop:
    """Epochs over batches until the plan is done, the share is used up, patience ends, or there is no hope."""

    def __init__(
        self,
        step: TrainingStep,
        batches: Iterable[tuple[Tensor, Tensor]],
        validate: Callable[[], tuple[NDArray[np.float64], float]],
        budget: TimeBudget,
        watch: Watch,
        patience: Patience,
        curves: Curves,
        on_epoch: Callable[[EpochRecord], None] | None,
        scores: int,
    ) -> None:
        self._step = step
        self._batches = batches
        self._validate = validate
        self._budget = budget
        self._watch = watch
        self._patience = patience
        self._curves = curves
        self._on_epoch = on_epoch
        self.epochs = 0
        self.scores: deque[NDArray[np.float64]] = deque(maxlen=scores)

    def run(self) -> tuple[Status, str]:
        """The status and its reason."""
        if self._budget.planned:
            self._curves.start(self._budget.planned_epochs)
        try:
            epoch = 1
            while self._epoch(epoch):
                epoch += 1
        except Diverged as error:
            return Status.DIVERGED, f"{error}, in epoch {epoch}"
        except TooSlow as error:
            return Status.TOO_SLOW, str(error)
        except LossStalled as error:
            return Status.LOSS_STALLED, str(error)
        return Status.COMPLETE, ""

    def _epoch(self, epoch: int) -> bool:
        """One epoch with its validation and record; whether there is another one."""
        losses, in_time = self._train()
        whole = in_time or len(losses) == self._budget.batches
        if whole:
            self._budget.epoch_done(epoch)
            self.epochs = epoch
        last = not in_time or epoch >= self._budget.planned_epochs
        score = None
        if last or self._budget.validation_due(epoch):
            score = self._validated()
            last = self._patience.ends_after(score) or last
        record = EpochRecord(
            epoch=epoch,
            planned_epochs=self._budget.planned_epochs,
            train_loss=_mean([loss for loss, _ in losses]),
            validation_score=score,
            learning_rate=self._step.learning_rate,
            seconds=self._budget.elapsed,
        )
        self._curves.add(record)
        if self._on_epoch is not None:
            self._on_epoch(record)
        if whole:
            self._watch.epoch(epoch, _mean([of_output for _, of_output in losses]), self._step.steps)
        return not last

    def _train(self) -> tuple[list[tuple[float, float]], bool]:
        """The losses of the epoch's batches, as of `TrainingStep`, and whether there is time for more."""
        losses: list[tuple[float, float]] = []
        self._step.train_mode()
        self._budget.epoch_starts()
        for images, labels in self._batches:
            losses.append(self._step(images, labels, self._budget.planned_epochs))
            known = self._budget.planned
            in_time = self._budget.batch_done()
            if self._budget.planned and not known:
                self._curves.start(self._budget.planned_epochs)
            self._watch.batch(self._budget.last_batch_seconds, len(images))
            if not in_time:
                return losses, False
        return losses, True

    def _validated(self) -> float:
        begun = time.perf_counter()
        try:
            scores, score = self._validate()
        except FloatingPointError as error:
            raise Diverged(str(error)) from None
        self.scores.append(scores)
        self._budget.validation_done(time.perf_counter() - begun)
        return score


def _mean(losses: list[float]) -> float:
    return math.fsum(losses) / len(losses)
