"""One step of a training: forward, loss, backward, optimizer."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from netwright.execution import heartbeat
from netwright.nn.schedule import Scheduled
from netwright.training import schedule_free
from netwright.training.checkpoint import CheckpointRefused
from netwright.training.config import TrainingProtocol
from netwright.training.device import to_channels_last
from netwright.training.forward import TrainingForward
from netwright.training.losses import TrainingLoss
from netwright.training.lr_schedule import cosine, linear_warm_up
from netwright.training.moving_average import MovingAverage
from netwright.training.optimizers import optimizer_of
from netwright.training.replicas import Replicas
from netwright.training.state import (
    grouped,
    network_tensors,
    optimizer_tensors,
    restore_optimizer,
    restore_scaler,
    shapes,
    within,
)

_SINGLE_VALUE = ("Expected more than 1 value per channel", "Expected more than 1 spatial element")


class Diverged(Exception):  # noqa: N818  a verdict on a candidate, not a mishap
    """The loss or the output is no longer finite; the message says where."""


class TrainingStep:
    """One step of the optimizer on one batch, in the precision and memory format of the protocol."""

    def __init__(
        self,
        network: nn.Module,
        protocol: TrainingProtocol,
        device: torch.device,
        loss: TrainingLoss,
        batches: int,
        replicas: Replicas | None = None,
    ) -> None:
        self._network = network.to(device)
        if protocol.channels_last:
            to_channels_last(network)
        self._forward = TrainingForward(protocol, device)
        self._replicas = replicas
        self._progress = 0.0
        self._rate = protocol.learning_rate
        self._cosine = protocol.schedule == "cosine"
        self._warm_up = batches if protocol.warm_up else 0
        self._warm_up_steps = protocol.warm_up_steps
        self._batches = batches
        self._gradient_norm = protocol.gradient_norm
        self._scheduled = [module for module in network.modules() if isinstance(module, Scheduled)]
        self._optimizer = optimizer_of(protocol, network.parameters())
        self._schedule_free = protocol.optimizer == schedule_free.NAME
        self._average = (
            None
            if protocol.moving_average is None
            else MovingAverage(network.parameters(), protocol.moving_average)
        )
        self._scaler = torch.amp.GradScaler(device.type, enabled=self._forward.half == torch.float16)
        self._loss = loss
        self.learning_rate = protocol.learning_rate
        self.steps = 0

    def __call__(
        self, images: Tensor, labels: Tensor, planned_epochs: float, rate_share: float = 1.0
    ) -> tuple[float, float]:
        """Takes one step. Returns the loss of the batch before the step, and the loss of the output without auxiliary
        heads.

        Args:
            images: (B, C, *size).
            labels: (B, *label size).
            planned_epochs: of the whole training.
            rate_share: the share that the step has of the learning rate of the schedule.

        Raises:
            Diverged: the loss is NaN or infinite. The weights are unchanged.
        """
        self._follow_plan(planned_epochs * self._batches, rate_share)
        self._optimizer.zero_grad(set_to_none=True)
        if self._replicas is None:
            outputs = self._forward(self._network, images)
        else:
            outputs = self._replicas.outputs(images, self.steps, self._progress)
        loss, of_output = self._loss.parts(outputs, labels)
        self._scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        if self._replicas is not None:
            self._replicas.backward()
        value = loss.item()  # waits for the GPU, so only after the whole pass was sent to it
        if not math.isfinite(value):
            raise Diverged(f"the training loss became {value} at step {self.steps + 1}")
        if self._gradient_norm is not None:
            self._scaler.unscale_(self._optimizer)
            nn.utils.clip_grad_norm_(self._network.parameters(), self._gradient_norm)
        self._scaler.step(self._optimizer)
        self._scaler.update()
        self.steps += 1
        if self._average is not None:
            self._average.update(self.steps)
        heartbeat.beat()
        return value, value if of_output is loss else of_output.item()

    @property
    def averages(self) -> bool:
        """Whether there are averaged weights."""
        return self._average is not None or self._schedule_free

    def average(self) -> None:
        """Sets the weights to their averages."""
        if self._average is not None:
            self._average.copy_to_weights()
        elif self._schedule_free:
            schedule_free.average(self._optimizer)

    def go_on(self) -> None:
        """To be called when the weights are again what they were before `average`."""
        if self._schedule_free:
            schedule_free.go_on(self._optimizer)

    def tensors(self) -> dict[str, Tensor]:
        """The weights, the optimizer's state for them, and their averages, for a checkpoint."""
        return grouped(
            network=network_tensors(self._network),
            optimizer=optimizer_tensors(self._optimizer),
            average={} if self._average is None else self._average.tensors(),
        )

    def values(self) -> dict[str, Any]:
        """The rest of the state for a checkpoint, as plain values."""
        return {
            "steps": self.steps,
            "learning_rate": float(self.learning_rate),
            "scaler": self._scaler.state_dict(),
            "optimizer": schedule_free.values(self._optimizer) if self._schedule_free else {},
        }

    def restore(self, tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> None:
        """Restores the state from what `tensors` and `values` gave.

        Raises:
            CheckpointRefused: the weights belong to another network, or a part of the state is missing.
        """
        weights = within(tensors, "network")
        if shapes(weights) != shapes(self._network.state_dict()):
            raise CheckpointRefused("it was written with another network")
        self._network.load_state_dict(weights)
        restore_optimizer(self._optimizer, within(tensors, "optimizer"))
        if self._schedule_free:
            schedule_free.restore(self._optimizer, values["optimizer"])
        if self._average is not None:
            self._average.restore(within(tensors, "average"))
        restore_scaler(self._scaler, values["scaler"])
        self.steps, self.learning_rate = values["steps"], values["learning_rate"]

    def train_mode(self) -> None:
        """Switches batch normalisation and dropout to training mode."""
        self._network.train()

    def _follow_plan(self, steps: float, rate_share: float) -> None:
        """Sets what depends on the total number of steps, and the learning rate."""
        if self._cosine:
            share = cosine(self.steps, steps, self._warm_up)
        else:
            share = linear_warm_up(self.steps, self._warm_up_steps)
        self.learning_rate = self._rate * share * rate_share
        for group in self._optimizer.param_groups:
            group["lr"] = self.learning_rate
        self._progress = min(1.0, self.steps / max(1, steps))
        for module in self._scheduled:
            module.set_progress(self._progress)


def is_single_value(error: BaseException) -> bool:
    """Whether the error is that of torch's normalisation layers for a channel with a single value in training."""
    return isinstance(error, ValueError) and str(error).startswith(_SINGLE_VALUE)
