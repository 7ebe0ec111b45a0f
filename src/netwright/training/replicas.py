"""One training on several devices: each computes a part of every batch.

This process has the first copy of the network. It alone reads data, computes losses, steps the optimizer, validates and
writes checkpoints, so a training is the same program on any number of devices. The other copies are in processes of
their own. For each step they get the weights and their images, and send back what the network returns. The loss is that
of the whole batch, whatever loss it is. Its gradients go back to the copies, and DistributedDataParallel adds up the
gradients of the weights. Batch normalisation takes the statistics of the whole batch.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import multiprocessing
import socket
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing import connection
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed import TCPStore  # type: ignore[attr-defined]

from netwright.errors import ExecutionError
from netwright.training.config import TrainingProtocol
from netwright.training.replica_process import LOOPBACK, READY, Build, Copy, Order, as_tuple, serve
from netwright.training.seeding import derive_seed

START_SECONDS = 300.0
END_SECONDS = 5.0

_FORMER: deque[Any] = deque(maxlen=1)
"""The last group of processes. Whoever gives one up holds Python's lock and waits for its threads, and these may just
then wait for that lock to give up their tensors: by the next training they are idle."""


class ReplicaLost(RuntimeError):  # noqa: N818  what happened, not whose fault
    """A process that computes a part of each batch ended in the middle of it."""


@contextlib.contextmanager
def replicated(
    network: nn.Module,
    build: Build,
    task: Any,
    protocol: TrainingProtocol,
    device: torch.device,
    seed: int,
) -> Iterator[Replicas | None]:
    """Within it, copies of a network are on the other devices of a training; None where it has one device.

    Args:
        network: the first copy. It is moved to its device.
        build: makes such a network for the task; the weights of the others are replaced. It must be picklable.
        task: what ``build`` takes.
        protocol: of the training, with the number of devices.
        device: of the first copy; those of the others follow.
        seed: of what the others draw, such as dropout.

    Raises:
        ExecutionError: the processes cannot be started.
        ReplicaLost: one of them ended while it started.
    """
    if protocol.devices == 1:
        yield None
        return
    replicas = Replicas(build, task, protocol, device, seed)
    try:
        replicas.start(network)
        yield replicas
    finally:
        replicas.close()


class Replicas:
    """The copies of a network. Arguments as for `replicated`."""

    def __init__(
        self, build: Build, task: Any, protocol: TrainingProtocol, device: torch.device, seed: int
    ) -> None:
        self._device, self._seed, self._count = _neighbour(device, 0), seed, protocol.devices
        self._protocol = protocol
        self._others: list[_Other] = []
        store = _store(self._count)
        context = multiprocessing.get_context("spawn")
        try:
            for rank in range(1, self._count):
                ours, theirs = context.Pipe()
                given = (theirs, rank, store.port, build, task, protocol, _neighbour(device, rank))
                process = context.Process(target=serve, args=given, daemon=True)
                process.start()
                theirs.close()
                self._others.append(_Other(rank, process, ours))
        except OSError as error:
            self.close()
            raise ExecutionError(
                f"Processes for {self._count} devices cannot be started: {error}."
            ) from error
        self._store = store
        self._own: tuple[Tensor, ...] = ()
        self._leaves: tuple[Tensor, ...] = ()
        self._parts: list[slice] = []

    def start(self, network: nn.Module) -> None:
        """Connect the copies with a network, the first one."""
        with self._watched():
            for other in self._others:
                other.await_ready(self._count)
            self._copy = Copy(network, self._protocol, self._device, self._store, 0)

    def outputs(self, images: Tensor, step: int, progress: float) -> Any:
        """What the network returns in training for a whole batch. Gradients are to be taken for it, and then
        `backward` to be called.

        A batch with fewer images than devices is computed whole by each of them.

        Args:
            images: (B, C, *size), on the first device.
            step: the number of the step.
            progress: as `netwright.nn.schedule.Scheduled` takes it.
        """
        self._parts = _parts(len(images), self._count)
        with self._watched():
            for other in self._others:
                share = images[self._parts[other.rank]]
                seed = derive_seed(self._seed, "copy", other.rank, step)
                other.pipe.send(Order(tuple(share.shape), self._repeated, seed, progress))
            self._copy.share_weights()
            for other in self._others:
                dist.send(images[self._parts[other.rank]].contiguous(), other.rank)
            returned = self._copy.forward(images[self._parts[0]], progress)
            self._own = as_tuple(returned)
            whole = [self._joined(output) for output in self._own]
        self._leaves = tuple(output.requires_grad_() for output in whole)
        return self._leaves if isinstance(returned, tuple) else self._leaves[0]

    def backward(self) -> None:
        """From the gradients of the outputs, compute those of the weights of the first copy."""
        gradients = [torch.zeros_like(leaf) if leaf.grad is None else leaf.grad for leaf in self._leaves]
        if not self._repeated:
            gradients = [gradient * self._count for gradient in gradients]  # of which the mean is taken
        with self._watched():
            for other in self._others:
                for gradient in gradients:
                    dist.send(gradient[self._parts[other.rank]].contiguous(), other.rank)
            torch.autograd.backward(self._own, [gradient[self._parts[0]] for gradient in gradients])
        self._own = self._leaves = ()

    def close(self) -> None:
        """End the processes."""
        for other in self._others:
            other.pipe.close()  # by which they end
        if dist.is_initialized():
            _FORMER.append(dist.group.WORLD)
            dist.destroy_process_group()
        for other in self._others:
            other.process.join(END_SECONDS)
            other.process.kill()
            other.process.join()

    @property
    def _repeated(self) -> bool:
        return len(self._parts) > 1 and self._parts[0] == self._parts[1]

    def _joined(self, output: Tensor) -> Tensor:
        """The output for the whole batch, from all copies."""
        own = output.detach()
        if self._repeated:
            return own.clone()
        whole = [own]
        for other in self._others:
            part = self._parts[other.rank]
            whole.append(own.new_empty((part.stop - part.start, *own.shape[1:])))
            dist.recv(whole[-1], other.rank)
        return torch.cat(whole)

    @contextlib.contextmanager
    def _watched(self) -> Iterator[None]:
        """Within it, an error that comes from the end of another process says so.

        Raises:
            ReplicaLost: one ended.
            MemoryError: one ended for lack of memory.
        """
        try:
            yield
        except ReplicaLost:
            raise
        except (RuntimeError, OSError, EOFError) as error:
            ended = connection.wait([other.process.sentinel for other in self._others], END_SECONDS)
            for other in [other for other in self._others if other.process.sentinel in ended]:
                other.process.join(END_SECONDS)  # its exit code comes a moment later
                other.explain(self._count, error)
            raise


@dataclass(frozen=True)
class _Other:
    """Another process, by its rank."""

    rank: int
    process: Any
    pipe: connection.Connection

    def await_ready(self, count: int) -> None:
        """Wait until it has made its copy of the network. Arguments and errors as for `explain`."""
        if not self.pipe.poll(START_SECONDS):
            raise ExecutionError(
                f"Process {self.rank + 1} of {count} of a training did not start in {START_SECONDS / 60:.0f} minutes."
            )
        said = self.pipe.recv()
        if said != READY:
            self._raise(count, *said)

    def explain(self, count: int, error: BaseException) -> None:
        """Raise what is known of the end of the process, if it ended.

        Raises:
            ReplicaLost: it ended.
            MemoryError: it ended for lack of memory.
        """
        code = self.process.exitcode
        if code is None:
            return
        with contextlib.suppress(EOFError, OSError):
            while self.pipe.poll():
                said = self.pipe.recv()
                if said == READY:
                    continue
                if _is_consequence(said[0]):
                    return
                self._raise(count, *said)
        how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        raise ReplicaLost(f"{self._words(count)} {how}") from error

    def _raise(self, count: int, text: str, for_memory: bool) -> None:
        raise (MemoryError if for_memory else ReplicaLost)(f"{self._words(count)}: {text}")

    def _words(self, count: int) -> str:
        return f"process {self.rank + 1} of {count} of the training"


def _parts(images: int, devices: int) -> list[slice]:
    """The images of each device: as equal parts as possible, or all for each where there are fewer than devices."""
    if images < devices:
        return [slice(0, images)] * devices
    ends = [math.ceil(images * rank / devices) for rank in range(devices + 1)]
    return [slice(begin, end) for begin, end in itertools.pairwise(ends)]


def _neighbour(device: torch.device, rank: int) -> torch.device:
    """The device so many after another one; on CPUs all are one."""
    return torch.device("cuda", (device.index or 0) + rank) if device.type == "cuda" else device


def _store(count: int) -> TCPStore:
    """Where the processes meet: a server that only this machine can reach."""
    listening = socket.socket()
    listening.bind((LOOPBACK, 0))
    listening.listen()
    port = listening.getsockname()[1]
    return TCPStore(
        LOOPBACK,
        port,
        count,
        is_master=True,
        wait_for_workers=False,
        master_listen_fd=listening.detach(),
    )


def _is_consequence(text: str) -> bool:
    """Whether a process ended only because another one had."""
    return "Connection closed by peer" in text or "Connection reset by peer" in text
