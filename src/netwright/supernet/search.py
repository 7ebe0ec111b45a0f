"""Architecture search inside one training: "Probabilistic Model-Based Dynamic Architecture Search" (under review at
ICLR 2019, anonymous), Algorithm 1.

What the paper leaves open, and how it is done here: the halves of the training cases are drawn at random, and the
batches of both are augmented. A sample that makes no network, or that does not fit into memory, is skipped for the
weights and ranks last for theta.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from netwright.errors import InfeasibleArchitecture
from netwright.execution import heartbeat
from netwright.nn.steps import Steps, Supernet
from netwright.strategies.base import Choice
from netwright.strategies.ladder import choice_of
from netwright.strategies.natural_gradient import State
from netwright.supernet.descent import Descent
from netwright.supernet.settings import SupernetSettings
from netwright.supernet.snapshots import LastStep, Snapshot, append_snapshot, keep_snapshots, write_last_step
from netwright.supernet.streams import Stream
from netwright.training.checkpoint import (
    CheckpointRefused,
    CheckpointTimer,
    load_checkpoint,
    require_fields,
    save_checkpoint,
)
from netwright.training.config import TrainingProtocol
from netwright.training.device import (
    half_precision,
    resolve_device,
    tensor_channels_last,
    threads,
    to_channels_last,
)
from netwright.training.files import CHECKPOINT
from netwright.training.problem import Problem
from netwright.training.seeding import derive_seed, seeded
from netwright.training.state import require_tensor

TOLD_SECONDS = 2.0
"""How often the current step is written to a file, from which others read the progress."""
DRAWS = 1000
"""If the likeliest choice makes no network, the likeliest of this many draws that makes one is taken."""


@dataclass(frozen=True)
class SearchInputs:
    """The inputs of a search.

    ``cases``: those that it learns from, which are divided into halves. ``protocol``: loss, augmentation, batch size,
    precision and device. ``start``: the distribution before the first step, and the ladders of its variables.
    ``samples``: lambda, the number of networks per step.
    """

    supernet: Supernet
    problem: Problem
    cases: Sequence[int]
    protocol: TrainingProtocol
    settings: SupernetSettings
    start: State
    samples: int = 2


@dataclass(frozen=True)
class _Progress:
    """The progress of a search, besides weights and theta. Losses and their number are since the last snapshot."""

    step: int = 0
    seconds: float = 0.0
    snapshots: int = 0
    infeasible: int = 0
    loss: float = 0.0
    losses: int = 0
    theta_loss: float = 0.0
    theta_losses: int = 0


class SharedSearch:
    """One search, from its current state to its end, on one device.

    Every random number comes from the seed and the number of the step. So on the CPU a search that is resumed from a
    checkpoint gives the same bits as an uninterrupted one, unless it is limited in time.

    Args:
        inputs: what is searched, and on which data.
        seed: of the halves, the samples, the order of cases and their augmentation.
        folder: an existing folder for checkpoint and snapshots.
    """

    def __init__(self, inputs: SearchInputs, *, seed: int, folder: Path) -> None:
        self._inputs, self._settings, self._seed, self._folder = inputs, inputs.settings, seed, folder
        self._device = resolve_device(inputs.protocol.device)
        self.supernet = inputs.supernet.to(self._device)
        if inputs.protocol.channels_last:
            to_channels_last(self.supernet)
        half = half_precision(self._device) if inputs.protocol.mixed_precision else None
        loss = inputs.problem.loss(inputs.cases, inputs.protocol, self._device)
        self._descent = Descent(self.supernet, self._settings, loss, half)
        for_weights, for_theta = halves(inputs.cases, seed)
        self._weights, self._theta = self._stream(for_weights, "weights"), self._stream(for_theta, "theta")
        self.distribution = inputs.start.distribution
        self._progress = _Progress()
        self._clock = self._told = time.monotonic()
        self._timer = CheckpointTimer(self._settings.checkpoint_seconds)

    @property
    def step(self) -> int:
        """The number of steps done."""
        return self._progress.step

    @property
    def steps(self) -> int:
        """The most steps."""
        return self._settings.steps_of(self.steps_an_epoch)

    @property
    def steps_an_epoch(self) -> int:
        """The number of batches in the weights' half."""
        return self._weights.length

    @property
    def seconds(self) -> float:
        """The wall time of the steps done."""
        return self._progress.seconds

    @property
    def progress(self) -> float:
        """The part of the search that is done, 0 to 1."""
        limit = self._settings.seconds
        in_time = 0.0 if limit is None else self._progress.seconds / limit
        return min(1.0, max(self._progress.step / self.steps, in_time))

    @property
    def momentum_to_come_mb(self) -> float:
        """Memory for the momentum of weights that no network has used yet, in MB of 1e6 bytes."""
        return self._descent.momentum_to_come / 1e6

    def run(self, stop: Callable[[], bool] = lambda: False) -> bool:
        """Search to the end. A checkpoint is written every now and then, and on leaving.

        Args:
            stop: called before each step; True ends the run early.

        Returns:
            Whether the search has ended; False if it was stopped.

        Raises:
            DivergedSearch: gradients have not been finite for many steps.
            MemoryShortage: no network could be computed for many steps.
            StorageError: a file cannot be written.
        """
        ended = self.advance(stop)
        self.save()
        return ended

    def advance(self, stop: Callable[[], bool] = lambda: False) -> bool:
        """Like `run`, but without the checkpoint on leaving."""
        on_cpu = self._device.type == "cpu"
        self._clock = time.monotonic()
        self._timer.restart()
        with threads(self._inputs.protocol.threads), seeded(self._seed, deterministic=on_cpu):
            self.supernet.train()
            self._record()
            while self.progress < 1.0:
                if stop():
                    return False
                self._step()
                heartbeat.beat()
                self._record()
                self._tell()
                if self._timer.due:
                    self.save()
        return True

    def save(self) -> None:
        """Write the checkpoint: weights, momentum, theta, its learning rate, and the progress."""
        tensors = {**self._distribution_tensors(), **self._descent.tensors()}
        with self._timer.writing():
            save_checkpoint(self._folder / CHECKPOINT, tensors, self._values())

    def _distribution_tensors(self) -> dict[str, Tensor]:
        distribution = self.distribution
        return {"theta": torch.from_numpy(distribution.theta), "s": torch.from_numpy(distribution.s)}

    def _values(self) -> dict[str, Any]:
        """The plain values of the checkpoint."""
        return {
            "standing": asdict(self._progress),
            "eta": float(self.distribution.eta),
            "gamma": float(self.distribution.gamma),
            **self._descent.values(),
        }

    def load(self) -> bool:
        """Resume the search from its checkpoint. Returns whether there was one.

        Raises:
            CheckpointRefused: it is damaged, or belongs to another search.
        """
        path = self._folder / CHECKPOINT
        if not path.exists():
            keep_snapshots(self._folder, -1)
            return False
        tensors, values = load_checkpoint(path)
        try:
            require_fields(values, {**self._values(), "scaler": {}})
            for name, tensor in self._distribution_tensors().items():
                require_tensor(tensors, name, tensor)
            self._descent.restore(tensors, values)
        except CheckpointRefused as error:
            raise CheckpointRefused(
                f"The search cannot go on from {path}: {error}. Restore the file from a copy, or remove it: the search "
                "then begins again."
            ) from None
        self._progress = _Progress(**{name: values["standing"][name] for name in asdict(self._progress)})
        self.distribution = replace(
            self.distribution,
            theta=tensors["theta"].numpy(),
            s=tensors["s"].numpy(),
            eta=values["eta"],
            gamma=values["gamma"],
        )
        keep_snapshots(self._folder, self._progress.step)
        return True

    def choice(self) -> Choice:
        """The likeliest choice (Algorithm 1, line 9) that makes a network.

        Raises:
            InfeasibleArchitecture: neither the likeliest choice nor any of many draws makes one.
        """
        distribution = self.distribution
        rng = np.random.default_rng(derive_seed(self._seed, "likeliest"))
        drawn = [distribution.sample(rng) for _ in range(DRAWS)]
        drawn.sort(key=distribution.log_likelihood, reverse=True)
        for levels in [distribution.likeliest(), *drawn]:
            if self._network(levels) is not None:
                return self._choice(levels)
        raise InfeasibleArchitecture(
            f"Of what the search has learned, neither the likeliest choice nor any of {DRAWS} draws makes a network."
        )

    def _step(self) -> None:
        """Algorithm 1, lines 3 to 7."""
        standing = self._progress
        torch.manual_seed(derive_seed(self._seed, "step", standing.step))
        rng = np.random.default_rng(derive_seed(self._seed, "sample", standing.step))
        levels = [self.distribution.sample(rng) for _ in range(self._inputs.samples)]
        networks = [self._network(sample) for sample in levels]
        losses = self._descent.step(networks, *self._batch(self._weights), self.progress)
        theta_losses = self._descent.losses(networks, *self._batch(self._theta))
        self.distribution = self.distribution.updated(np.array(levels), np.array(theta_losses))
        finite = [loss for loss in theta_losses if math.isfinite(loss)]
        now = time.monotonic()
        self._progress = replace(
            standing,
            step=standing.step + 1,
            seconds=standing.seconds + now - self._clock,
            infeasible=standing.infeasible + sum(network is None for network in networks),
            loss=standing.loss + sum(losses),
            losses=standing.losses + len(losses),
            theta_loss=standing.theta_loss + sum(finite),
            theta_losses=standing.theta_losses + len(finite),
        )
        self._clock = now

    def _choice(self, levels: NDArray[np.int64]) -> Choice:
        start = self._inputs.start
        every = np.zeros(len(start.ladders), dtype=np.int64)
        every[start.variable] = levels
        return choice_of(start.ladders, every)

    def _network(self, levels: NDArray[np.int64]) -> Steps | None:
        try:
            return self.supernet.steps(self._choice(levels))
        except InfeasibleArchitecture:
            return None

    def _stream(self, cases: Sequence[int], name: str) -> Stream:
        problem, protocol = self._inputs.problem, self._inputs.protocol
        return Stream(
            lambda epoch: problem.batches(cases, protocol, self._device, derive_seed(self._seed, name, epoch))
        )

    def _batch(self, stream: Stream) -> tuple[Tensor, Tensor]:
        images, labels = stream.batch(self._progress.step)
        return (tensor_channels_last(images) if self._inputs.protocol.channels_last else images), labels

    def _tell(self) -> None:
        now = time.monotonic()
        if now - self._told >= TOLD_SECONDS:
            self._told = now
            write_last_step(self._folder, LastStep(self.step, self.progress))

    def _record(self) -> None:
        """Write a snapshot if one is due: at the start, at the end, and evenly between."""
        standing, distribution = self._progress, self.distribution
        due = 1 + math.floor(self.progress * self._settings.snapshots)
        if due <= standing.snapshots:
            return
        snapshot = Snapshot(
            step=standing.step,
            seconds=standing.seconds,
            progress=self.progress,
            loss=_mean(standing.loss, standing.losses),
            theta_loss=_mean(standing.theta_loss, standing.theta_losses),
            eta=distribution.eta,
            certainty=distribution.certainty(),
            entropy=distribution.entropy(),
            infeasible=standing.infeasible,
            probabilities=tuple(tuple(row.tolist()) for row in distribution.probabilities()),
        )
        append_snapshot(self._folder, snapshot)
        self._progress = replace(standing, snapshots=due, loss=0.0, losses=0, theta_loss=0.0, theta_losses=0)


def halves(cases: Sequence[int], seed: int) -> tuple[list[int], list[int]]:
    """The cases for the weights and those for theta, drawn at random (Section 2, Overall Algorithm)."""
    order = np.random.default_rng(derive_seed(seed, "halves")).permutation(np.asarray(cases))
    middle = (len(order) + 1) // 2
    return sorted(order[:middle].tolist()), sorted(order[middle:].tolist())


def _mean(total: float, count: int) -> float | None:
    return total / count if count and math.isfinite(total) else None
