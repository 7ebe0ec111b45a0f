"""One copy of a network in one process, which computes a part of each batch (`netwright.training.replicas`)."""

from __future__ import annotations

import contextlib
import copy
import os
import signal
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed import TCPStore  # type: ignore[attr-defined]
from torch.nn.parallel import DistributedDataParallel

from netwright.execution.memory import is_out_of_memory
from netwright.execution.worker import ENDING, die_with_parent
from netwright.nn.batch_norm_over_processes import normalising_over_processes
from netwright.nn.schedule import Scheduled
from netwright.training.config import TrainingProtocol
from netwright.training.device import threads, to_channels_last
from netwright.training.forward import TrainingForward
from netwright.training.seeding import seeded

LOOPBACK = "127.0.0.1"
READY = "ready"
Build = Callable[[Any], nn.Module]
"""Makes a network for a task."""


@dataclass(frozen=True)
class Order:
    """A step for a copy.

    It has the shape of its images, whether each copy computes the whole batch, the seed of what it draws, and the
    progress of the training.
    """

    shape: tuple[int, ...]
    whole: bool
    seed: int
    progress: float


class Copy:
    """A copy of the network in one process, ready for `DistributedDataParallel`.

    Args:
        network: whose weights it has. It keeps its own layers: what is computed here has its tensors alone.
        protocol: of the training.
        device: of this copy.
        store: by which the processes find each other.
        rank: of this process.
    """

    def __init__(
        self,
        network: nn.Module,
        protocol: TrainingProtocol,
        device: torch.device,
        store: TCPStore,
        rank: int,
    ) -> None:
        on_gpu = device.type == "cuda"
        if on_gpu:
            torch.cuda.set_device(device)
        # All processes are on this machine, and nobody else may reach them.
        os.environ.setdefault("GLOO_SOCKET_IFNAME", _loopback_name())
        dist.init_process_group(
            "nccl" if on_gpu else "gloo", store=store, rank=rank, world_size=protocol.devices
        )
        network.to(device)
        if protocol.channels_last:
            to_channels_last(network)
        self._weights = list(network.parameters())
        tensors = [*self._weights, *network.buffers()]
        copied = copy.deepcopy(network, {id(tensor): tensor for tensor in tensors})
        normalise = nn.SyncBatchNorm.convert_sync_batchnorm if on_gpu else normalising_over_processes
        copied = normalise(copied)
        self._scheduled = [module for module in copied.modules() if isinstance(module, Scheduled)]
        # A network may have weights that a step does not use.
        self._network = DistributedDataParallel(
            copied, device_ids=[device] if on_gpu else None, find_unused_parameters=True
        )
        self._compute = TrainingForward(protocol, device)

    def share_weights(self) -> None:
        """Set the weights of all processes to those of the first."""
        with torch.no_grad():
            flat = torch.cat([weight.reshape(-1) for weight in self._weights])
            dist.broadcast(flat, 0)
            if dist.get_rank() == 0:
                return
            begin = 0
            for weight in self._weights:
                weight.copy_(flat[begin : begin + weight.numel()].view(weight.shape))
                begin += weight.numel()

    def forward(self, images: Tensor, progress: float) -> Any:
        """What the network returns in training."""
        self._network.train()  # type: ignore[no-untyped-call]
        for module in self._scheduled:
            module.set_progress(progress)
        return self._compute(self._network, images)

    def forget_gradients(self) -> None:
        """Make place for those of the next step."""
        for weight in self._weights:
            weight.grad = None


def serve(
    pipe: Connection,
    rank: int,
    port: int,
    build: Build,
    task: Any,
    protocol: TrainingProtocol,
    device: torch.device,
) -> None:
    """The other processes: computes a part of each batch, until the pipe is closed.

    Args:
        pipe: orders come from it; it says that it is ready, and why it ends.
        rank: of this process.
        port: where the processes find each other, on this machine.
        build: makes the network.
        task: what ``build`` takes.
        protocol: of the training.
        device: of this copy.
    """
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)
    die_with_parent()
    try:
        network = build(task)
        pipe.send(READY)
        store = TCPStore(LOOPBACK, port, protocol.devices, is_master=False)
        on_cpu = device.type == "cpu"
        with threads(protocol.threads):
            replica = Copy(network, protocol, device, store, rank)
            while True:
                order: Order = pipe.recv()
                with seeded(order.seed, deterministic=on_cpu):
                    _step(replica, order, device)
    except (EOFError, ConnectionResetError):
        os._exit(0)  # the training is over
    except BaseException as error:
        with contextlib.suppress(OSError):
            text = " ".join(str(error).split())[:300]
            pipe.send((f"{type(error).__name__}: {text}", is_out_of_memory(error)))
        os._exit(1)


def _step(replica: Copy, order: Order, device: torch.device) -> None:
    """One step of another process."""
    replica.share_weights()
    images = torch.empty(order.shape, device=device)
    dist.recv(images, 0)
    outputs = as_tuple(replica.forward(images, order.progress))
    if not order.whole:
        for output in outputs:
            dist.send(output.detach().contiguous(), 0)
    gradients: list[Tensor] = []
    for output in outputs:
        gradients.append(torch.empty_like(output, memory_format=torch.contiguous_format))
        dist.recv(gradients[-1], 0)
    torch.autograd.backward(outputs, gradients)
    replica.forget_gradients()


def as_tuple(outputs: Any) -> tuple[Tensor, ...]:
    return tuple(outputs) if isinstance(outputs, Sequence) else (outputs,)


def _loopback_name() -> str:
    names = [name for _, name in socket.if_nameindex() if name.startswith("lo")]
    return names[0] if names else "lo"
