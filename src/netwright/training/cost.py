"""Predicts what a network costs, by a dry run with fake tensors. Nothing is computed or allocated."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import prod
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from netwright.spaces.base import TaskShape
from netwright.training.memory import BYTES_PER_MB, LiveTensors, heap_bytes
from netwright.training.outcome import Cost

Task = TypeVar("Task", bound=TaskShape)
Loss = Callable[[Any, Tensor], Tensor]

FLOAT_BYTES = 4


def dry_run(
    build: Callable[[Task], nn.Module],
    task: Task,
    batch_size: int,
    *,
    loss: Loss,
    size: tuple[int, ...] | None = None,
    label_size: tuple[int, ...] | None = None,
    label_type: torch.dtype = torch.int64,
    device: torch.device | str = "cpu",
    mixed_precision: bool = False,
    optimizer_states: int = 2,
    update_copies: int = 2,
) -> Cost:
    """Builds the network, runs one training step on fake tensors, and counts.

    The memory of the step includes weights, gradients, optimizer state, the batch, and every tensor while it is alive.
    Copies of a convolution's operands count as its workspace, and on the CPU the holes in the heap count too. The
    memory of the framework itself is not included. FLOPs are those of convolutions and matrix products.

    Args:
        build: makes the network for the task.
        task: the input and output of the network.
        batch_size: images in a training step.
        loss: (what the network returns, labels) to a scalar.
        size: of the images; None: the task's. FLOPs are those of an image of the task's in any case.
        label_size: the shape of the labels of one image; () for one label an image, None for one label a voxel.
        label_type: the number type of the labels.
        device: where the network would be trained.
        mixed_precision: activations in bfloat16 under autocast.
        optimizer_states: how many numbers the optimizer keeps for each weight; 2 for Nadam.
        update_copies: how many numbers an update needs for each weight while it runs, including the gradient.

    Returns:
        parameters, size_mb, flops of one image, and predicted_memory_mb; the rest is None.

    Raises:
        InfeasibleArchitecture: from ``build``.
    """
    on_cpu = torch.device(device).type == "cpu"
    size = task.size if size is None else size
    with FakeTensorMode():
        network = build(task)
        network.train()
        tensors = LiveTensors(heap=on_cpu)
        labels = partial(
            torch.empty, batch_size, *(size if label_size is None else label_size), dtype=label_type
        )
        with tensors:
            images = partial(torch.empty, batch_size, task.channels, *size)
            flops = _training_step(network, images, labels, mixed_precision, loss)
    weights = list(network.parameters())
    parameters = sum(weight.numel() for weight in weights)
    trainable = sum(weight.numel() for weight in weights if weight.requires_grad)
    buffers = sum(buffer.numel() for buffer in network.buffers())
    state_bytes = FLOAT_BYTES * (parameters + buffers + optimizer_states * trainable)
    # The update of all weights at once (foreach) needs their gradients and temporary copies of as many numbers.
    taken = [FLOAT_BYTES * weight.numel() for weight in weights if weight.requires_grad]
    update_bytes = update_copies * sum(map(heap_bytes, taken) if on_cpu else taken)
    return Cost(
        parameters=parameters,
        size_mb=FLOAT_BYTES * parameters / BYTES_PER_MB,
        flops=flops / batch_size * prod(task.size) / prod(size),
        predicted_memory_mb=(state_bytes + max(tensors.peak, update_bytes)) / BYTES_PER_MB,
    )


def fits(cost: Cost, limit_mb: float | None) -> bool:
    """Whether the predicted memory is within the limit. True where the prediction or the limit is None."""
    return limit_mb is None or cost.predicted_memory_mb is None or cost.predicted_memory_mb <= limit_mb


def _training_step(
    network: nn.Module,
    make_images: Callable[[], Tensor],
    make_labels: Callable[[], Tensor],
    mixed_precision: bool,
    loss: Loss,
) -> float:
    """Runs the forward and backward pass of one batch. Returns the FLOPs of the forward pass."""
    images = make_images()
    labels = make_labels()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=mixed_precision):
        with FlopCounterMode(display=False) as counter:
            outputs = network(images)
        value = loss(outputs, labels)
    del outputs
    value.backward()  # type: ignore[no-untyped-call]
    return float(counter.get_total_flops())
