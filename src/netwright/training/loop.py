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

from netwright.execution import heartbeat
from netwright.nn.schedule import Scheduled
from netwright.training.config import TrainingProtocol
from netwright.training.device import (
    call_network,
    half_precision,
    resolve_device,
    threads,
    to_channels_last,
)
from netwright.training.early_stopping import LossStalled, Patience, Watch
from netwright.training.history import Curves, EpochRecord
from netwright.training.losses import TrainingLoss
from netwright.training.outcome import Status
from netwright.training.precision import half_precision_training
from netwright.training.problem import Problem
from netwright.training.seeding import derive_seed, seeded
from netwright.training.time_budget import Pace, TooSlow

_OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "nadam": torch.optim.NAdam,
    "adam": torch.optim.Adam,
    "sgd": partial(torch.optim.SGD, momentum=0.9),
}
_SINGLE_VALUE = ("Expected more than 1 value per channel", "Expected more than 1 spatial element")


class Diverged(Exception):  # noqa: N818  a verdict on a candidate, not a mishap
    """The loss or the output is no longer finite; the message says where."""


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
        pace = Pace(
            protocol.seconds,
            protocol.epochs_of(len(batches)),
            len(batches),
            problem.validation_batches(validation, protocol),
            protocol.validate_every_of(len(batches)),
        )
        validate = partial(_validate, network, problem, validation, protocol, device)
        watch, patience = Watch(protocol.early), Patience(protocol.patience, protocol.minimum_gain)
        loop = _Loop(step, batches, validate, pace, watch, patience, curves, on_epoch, protocol.score_epochs)
        status, reason = loop.run()
    return Training(
        network=network,
        status=status,
        reason=reason,
        epochs=loop.epochs,
        planned_epochs=curves.planned_epochs or pace.planned_epochs,
        curves=curves,
        seconds_per_batch=pace.seconds_per_batch,
        seconds=pace.elapsed,
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


class TrainingStep:
    """One step of the optimizer on one batch, in the precision and memory format of the protocol."""

    def __init__(
        self,
        network: nn.Module,
        protocol: TrainingProtocol,
        device: torch.device,
        loss: TrainingLoss,
        batches: int,
    ) -> None:
        self._network = network.to(device)
        if protocol.channels_last:
            to_channels_last(network)
        self._channels_last = protocol.channels_last
        self._half = half_precision(device) if protocol.mixed_precision else None
        self._device = device
        self._rate = protocol.learning_rate
        self._cosine = protocol.schedule == "cosine"
        self._warm_up = batches if protocol.warm_up else 0
        self._batches = batches
        self._gradient_norm = protocol.gradient_norm
        self._scheduled = [module for module in network.modules() if isinstance(module, Scheduled)]
        self._optimizer = optimizer_of(protocol, network.parameters())
        self._scaler = torch.amp.GradScaler(device.type, enabled=self._half == torch.float16)
        self._loss = loss
        self.learning_rate = protocol.learning_rate
        self.steps = 0

    def __call__(self, images: Tensor, labels: Tensor, planned_epochs: int) -> tuple[float, float]:
        """The loss of the batch before the step, and that of the output alone, without auxiliary heads.

        Raises:
            Diverged: the loss is NaN or infinite; the weights are those before.
        """
        self._follow_plan(planned_epochs * self._batches)
        self._optimizer.zero_grad(set_to_none=True)
        with half_precision_training(self._device, self._half):
            outputs = call_network(self._network, images, channels_last=self._channels_last)
        loss, of_output = self._loss.parts(outputs, labels)
        self._scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        value = loss.item()  # waits for a GPU, hence only after all of the pass has been handed to it
        if not math.isfinite(value):
            raise Diverged(f"the training loss became {value} at step {self.steps + 1}")
        if self._gradient_norm is not None:
            self._scaler.unscale_(self._optimizer)
            nn.utils.clip_grad_norm_(self._network.parameters(), self._gradient_norm)
        self._scaler.step(self._optimizer)
        self._scaler.update()
        self.steps += 1
        heartbeat.beat()
        return value, value if of_output is loss else of_output.item()

    def train_mode(self) -> None:
        """Batch normalisation and dropout as in training."""
        self._network.train()

    def _follow_plan(self, steps: int) -> None:
        """Sets what depends on how many steps there are to be in all."""
        if self._cosine:
            self.learning_rate = self._rate * cosine(self.steps, steps, self._warm_up)
            for group in self._optimizer.param_groups:
                group["lr"] = self.learning_rate
        for module in self._scheduled:
            module.set_progress(min(1.0, self.steps / max(1, steps)))


def optimizer_of(protocol: TrainingProtocol, weights: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """The optimizer of a protocol, at its full learning rate."""
    own = {"nesterov": protocol.nesterov} if protocol.optimizer == "sgd" else {}
    return _OPTIMIZERS[protocol.optimizer](
        weights, lr=protocol.learning_rate, weight_decay=protocol.weight_decay, foreach=True, **own
    )


def cosine(step: int, steps: int, longest_warm_up: int) -> float:
    """The share of the learning rate at a step (the first is 0): up over ``longest_warm_up`` or 5 % of the steps,
    whichever is fewer, then down to zero along half a cosine (Loshchilov and Hutter 2017, equation 5).
    """
    warm_up = min(longest_warm_up, math.ceil(0.05 * steps))
    if step < warm_up:
        return (step + 1) / warm_up
    progress = min(1.0, (step - warm_up) / max(1, steps - warm_up))
    return half_cosine(progress)


def half_cosine(progress: float) -> float:
    """The share of the learning rate where ``progress`` of a training, 0 to 1, is done: from 1 down to 0."""
    return 0.5 * (1 + math.cos(math.pi * progress))


def is_single_value(error: BaseException) -> bool:
    """Whether torch's normalisation layers refused, while training, a channel that has but one value."""
    return isinstance(error, ValueError) and str(error).startswith(_SINGLE_VALUE)


class _Loop:
    """Epochs over batches until the plan is done, the share is used up, patience ends, or there is no hope."""

    def __init__(
        self,
        step: TrainingStep,
        batches: Iterable[tuple[Tensor, Tensor]],
        validate: Callable[[], tuple[NDArray[np.float64], float]],
        pace: Pace,
        watch: Watch,
        patience: Patience,
        curves: Curves,
        on_epoch: Callable[[EpochRecord], None] | None,
        scores: int,
    ) -> None:
        self._step = step
        self._batches = batches
        self._validate = validate
        self._pace = pace
        self._watch = watch
        self._patience = patience
        self._curves = curves
        self._on_epoch = on_epoch
        self.epochs = 0
        self.scores: deque[NDArray[np.float64]] = deque(maxlen=scores)

    def run(self) -> tuple[Status, str]:
        """The status and its reason."""
        if self._pace.planned:
            self._curves.start(self._pace.planned_epochs)
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
        whole = in_time or len(losses) == self._pace.batches
        if whole:
            self._pace.epoch_done(epoch)
            self.epochs = epoch
        last = not in_time or epoch >= self._pace.planned_epochs
        score = None
        if last or self._pace.validation_due(epoch):
            score = self._validated()
            last = self._patience.ends_after(score) or last
        record = EpochRecord(
            epoch=epoch,
            planned_epochs=self._pace.planned_epochs,
            train_loss=_mean([loss for loss, _ in losses]),
            validation_score=score,
            learning_rate=self._step.learning_rate,
            seconds=self._pace.elapsed,
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
        self._pace.epoch_starts()
        for images, labels in self._batches:
            losses.append(self._step(images, labels, self._pace.planned_epochs))
            known = self._pace.planned
            in_time = self._pace.batch_done()
            if self._pace.planned and not known:
                self._curves.start(self._pace.planned_epochs)
            self._watch.batch(self._pace.last_batch_seconds, len(images))
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
        self._pace.validation_done(time.perf_counter() - begun)
        return score


def _mean(losses: list[float]) -> float:
    return math.fsum(losses) / len(losses)
