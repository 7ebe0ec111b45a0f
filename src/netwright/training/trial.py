"""Evaluates one candidate: predicts its cost, builds, trains, measures and saves it. A failure becomes an outcome."""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import math
import multiprocessing
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from netwright.errors import InfeasibleArchitecture, concerns_all
from netwright.execution import heartbeat
from netwright.execution.memory import is_out_of_memory
from netwright.means import mean_known
from netwright.nn.losses import Outputs
from netwright.training.attempt import Attempt, attempt_of
from netwright.training.checkpoint import Checkpoints, remove_checkpoint
from netwright.training.config import TrainingProtocol
from netwright.training.cost import dry_run, fits
from netwright.training.device import half_precision, resolve_device
from netwright.training.fidelity import fidelity_of
from netwright.training.files import CURVES, LOG, WEIGHTS
from netwright.training.history import Curves, EpochRecord
from netwright.training.inference_time import inference_ms
from netwright.training.initial_weights import load_fitting
from netwright.training.loop import Training, train
from netwright.training.losses import loss_of
from netwright.training.memory import measured_memory
from netwright.training.outcome import Cost, Outcome, Status
from netwright.training.problem import NetworkTask, Problem
from netwright.training.replicas import replicated
from netwright.training.seeding import derive_seed, seeded
from netwright.training.step import is_single_value
from netwright.training.weights import save_weights

LABEL_TYPES = {"int64": torch.int64, "float32": torch.float32}
Build = Callable[[Any], nn.Module]
"""Makes a network for a task."""
OnEpoch = Callable[[EpochRecord], None]
Refuse = Callable[[Cost], str | None]


def evaluate_candidate(
    build: Build,
    problem: Problem,
    training: Sequence[int],
    validation: Sequence[int],
    protocol: TrainingProtocol,
    *,
    seed: int,
    memory_limit_mb: float | None = None,
    refuse: Refuse | None = None,
    folder: Path | None = None,
    on_epoch: OnEpoch | None = None,
    stop_after: int | None = None,
    checkpoints: Checkpoints | None = None,
    cost: Cost | None = None,
    weights: Path | None = None,
) -> Outcome:
    """Trains a candidate on the training cases and measures it on the validation cases.

    The metrics of a complete outcome are the problem's, for the network after the last epoch or the last few (see
    `train`).

    Nothing that the candidate does is raised. It becomes the status and reason of the outcome: an infeasible network,
    one that is too large (by the dry run or in fact), a loss that is not finite, a training that does not fit into its
    wall time, and any other exception, also ``SystemExit``. A training whose loss stalls is started once more with new
    weights, from a seed derived from the candidate's. What ``on_epoch`` raises is passed on.

    Args:
        build: makes the network.
        problem: the task and the data.
        training: indices of the cases to train on.
        validation: indices of the cases to validate on.
        protocol: how to train.
        seed: for every random number: weights, order, augmentation, dropout.
        memory_limit_mb: for a training step; None for no limit.
        refuse: gets the cost that is known before the training, and returns why the candidate is not wanted, or None.
        folder: gets ``curves.jsonl`` during the training, ``weights.safetensors`` at the end, and ``log.txt`` with the
            traceback of a crash; None for no files.
        on_epoch: called after every epoch. The epochs of a second training count from 1 again.
        stop_after: as in `train`.
        checkpoints: as in `train`. The last one stays, for whoever stores the outcome to remove afterwards: a kill
            before that then costs what came after the checkpoint. Of a crash none stays, since it may have led to it.
        cost: what an earlier part of the same training measured. It is not predicted and measured again. None: this is
            the first part.
        weights: a safetensors file that the network begins with, as far as it fits; None: it begins anew. A training
            that goes on, and one that is started once more, do not read it.

    Raises:
        NetwrightError: the fault is not the candidate's: a full disk, an unknown device, or another problem of the
            machine or the settings; or a checkpoint is damaged, or belongs to another training.
    """
    begun = time.perf_counter()
    device = resolve_device(protocol.device)
    evaluation = _Evaluation(
        build, problem, protocol, device, seed, folder, stop_after, checkpoints, cost, weights
    )
    callback = _Callback(on_epoch)
    try:
        outcome = evaluation.run(training, validation, memory_limit_mb, refuse, callback)
    except BaseException as error:
        if error is callback.raised or _is_of_the_user(error):
            raise
        outcome = evaluation.outcome(*_verdict(error, folder))
    finally:
        evaluation.curves.close()
        gc.collect()
        if device.type == "cuda":
            torch.cuda.empty_cache()
    if checkpoints is not None and outcome.status is Status.CRASHED:
        remove_checkpoint(checkpoints.path)
    return dataclasses.replace(
        outcome,
        seconds=time.perf_counter() - begun + evaluation.seconds_before,
        fidelity=fidelity_of(protocol, stop_after),
    )


def _is_of_the_user(error: BaseException) -> bool:
    """Whether the error is the user's Ctrl-C. Workers ignore Ctrl-C; in a worker, the candidate itself raised it."""
    return isinstance(error, KeyboardInterrupt) and multiprocessing.parent_process() is None


class _Callback:
    """Calls ``on_epoch`` and remembers what it raised, to distinguish that from what the candidate raises."""

    def __init__(self, on_epoch: OnEpoch | None) -> None:
        self._on_epoch = on_epoch
        self.raised: BaseException | None = None

    def __call__(self, record: EpochRecord) -> None:
        if self._on_epoch is None:
            return
        try:
            self._on_epoch(record)
        except BaseException as error:
            self.raised = error
            raise


class _Evaluation:
    """What is known about a candidate so far. A failure at any point keeps it."""

    def __init__(
        self,
        build: Build,
        problem: Problem,
        protocol: TrainingProtocol,
        device: torch.device,
        seed: int,
        folder: Path | None,
        stop_after: int | None,
        checkpoints: Checkpoints | None,
        cost: Cost | None,
        weights: Path | None,
    ) -> None:
        self._build = build
        self._problem = problem
        self._task = problem.task
        self._protocol = protocol
        self._device = device
        self._seed = seed
        self._folder = folder
        self._known = cost is not None
        self._cost = cost or Cost()
        self._stop_after = stop_after
        self._checkpoints = checkpoints
        self._weights = weights
        self._stalled = ""
        self.seconds_before = 0.0
        self.curves = Curves(folder / CURVES if folder is not None else None)

    def run(
        self,
        training: Sequence[int],
        validation: Sequence[int],
        memory_limit_mb: float | None,
        refuse: Refuse | None,
        on_epoch: OnEpoch,
    ) -> Outcome:
        if not self._known:
            with seeded(derive_seed(self._seed, "dry run")):
                self._cost = predicted_cost(self._build, self._task, self._protocol)
        heartbeat.predict_batch(
            self._cost.flops, self._protocol.batch_size, self._protocol.threads, self._device.type == "cuda"
        )
        refused = None if refuse is None else refuse(self._cost)
        if refused is not None:
            return self.outcome(Status.INFEASIBLE, refused)
        if not fits(self._cost, memory_limit_mb):
            return self.outcome(
                Status.OUT_OF_MEMORY,
                f"a training step of {self._protocol.batch_size} images would need "
                f"{self._cost.predicted_memory_mb:.0f} MB, the limit is {memory_limit_mb:.0f} MB (predicted)",
            )
        with contextlib.nullcontext() if self._known else measured_memory(self._device) as memory:
            trained = self._trained(training, validation, on_epoch)
        self._cost = dataclasses.replace(self._cost, seconds_per_batch=trained.seconds_per_batch)
        if memory is not None:
            self._cost = dataclasses.replace(self._cost, peak_memory_mb=memory.peak_mb)
        if trained.status is not Status.COMPLETE:
            return dataclasses.replace(
                self.outcome(trained.status, trained.reason, trained.epochs),
                loss_met_epoch=trained.loss_met_epoch,
            )
        if not self._known:
            of_one, of_batch = (
                inference_ms(trained.network, self._task, self._protocol, self._device, images)
                for images in (1, self._protocol.batch_size)
            )
            self._cost = dataclasses.replace(self._cost, inference_ms=of_one, inference_ms_per_batch=of_batch)
        if self._folder is not None:
            save_weights(trained.network, self._folder / WEIGHTS)
        return dataclasses.replace(
            self.outcome(Status.COMPLETE, "", trained.epochs),
            metrics=mean_metrics([self._problem.metrics(scores) for scores in trained.scores]),
            loss_met_epoch=trained.loss_met_epoch,
        )

    def _trained(self, training: Sequence[int], validation: Sequence[int], on_epoch: OnEpoch) -> Training:
        """Trains; where the loss did not fall, trains once more with new weights (Section V-E, Fig. 7).

        The second training has the wall time that the first has left. It is omitted if that is less than one epoch of
        the first took.
        """

        def train_once(attempt: Attempt, checkpoints: Checkpoints | None) -> Training:
            with seeded(derive_seed(attempt.seed, "weights")):
                network = self._build(self._task)
            begins = checkpoints is None or checkpoints.resume_from is None
            if self._weights is not None and begins and not attempt.stalled:
                load_fitting(network, self._weights)
            with replicated(
                network, self._build, self._task, self._protocol, self._device, attempt.seed
            ) as replicas:
                return train(
                    network,
                    self._problem,
                    training,
                    validation,
                    dataclasses.replace(self._protocol, seconds=attempt.share_of(self._protocol.seconds)),
                    seed=attempt.seed,
                    curves=self.curves,
                    on_epoch=on_epoch,
                    stop_after=self._stop_after,
                    checkpoints=None if checkpoints is None else attempt.noted(checkpoints),
                    replicas=replicas,
                )

        current = attempt_of(self._checkpoints, self._seed)
        self.seconds_before = current.seconds_before
        self._stalled = current.stalled
        trained = train_once(current, self._checkpoints)
        if trained.status is not Status.LOSS_STALLED or current.stalled:
            return trained
        rest = Attempt(derive_seed(current.seed, "restart"), trained.reason, trained.seconds)
        share = rest.share_of(self._protocol.seconds)
        if share is not None and share < trained.seconds / trained.epochs:
            return trained
        self._stalled = trained.reason
        del trained  # its network, before there is another one
        fresh = self._checkpoints
        return train_once(rest, None if fresh is None else dataclasses.replace(fresh, resume_from=None))

    def outcome(self, status: Status, reason: str, epochs: int | None = None) -> Outcome:
        """An outcome with everything known until now, without metrics.

        If a second training fails, the reason also says why the first was stopped.
        """
        if self._stalled and reason:
            reason = f"{self._stalled}; started again with new weights, {reason}"
        return Outcome(
            status=status,
            reason=reason,
            cost=self._cost,
            curves=self.curves.values(),
            epochs=len(self.curves.records) if epochs is None else epochs,
            planned_epochs=self.curves.planned_epochs,
            restarts=int(bool(self._stalled)),
        )


def mean_metrics(validations: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The mean of each metric over the validations that define it. A metric that none defines is left out."""
    names = dict.fromkeys(name for metrics in validations for name in metrics)
    means = {name: mean_known(m[name] for m in validations if name in m) for name in names}
    return {name: mean for name, mean in means.items() if not math.isnan(mean)}


def predicted_cost(build: Build, task: NetworkTask, protocol: TrainingProtocol) -> Cost:
    """What a training step by the protocol would cost, from a dry run. Nothing is allocated.

    Args:
        build: makes the network.
        task: the input and output of the network.
        protocol: of the training.

    Raises:
        InfeasibleArchitecture: from ``build``, or a normalisation would get a single value.
        SettingsError: the protocol's loss is not defined for the task.
    """
    device = resolve_device(protocol.device)

    def loss(outputs: Outputs, labels: Tensor) -> Tensor:
        return loss_of(protocol, task, torch.ones(task.classes))(outputs, labels)

    half = half_precision(device) if protocol.mixed_precision else None
    on_one = protocol.devices if device.type == "cuda" else 1  # processes on a CPU share its memory
    size = protocol.patch_size or task.size
    try:
        return dry_run(
            build,
            task,
            math.ceil(protocol.batch_size / on_one),
            loss=loss,
            size=size,
            label_size=task.label_size if size == task.size else size,
            label_type=LABEL_TYPES[task.label_type],
            device=device,
            mixed_precision=half is not None,
            optimizer_states=(1 if protocol.optimizer == "sgd" else 2)
            + (protocol.moving_average is not None),
            # All need the gradients and a copy; Nadam and Adam need the gradients with the decay as well.
            update_copies=2 + (protocol.optimizer in ("nadam", "adam") and protocol.weight_decay > 0),
        )
    except ValueError as error:
        if not is_single_value(error):
            raise
        voxels = " x ".join(map(str, size))
        raise InfeasibleArchitecture(
            f"A training batch of size {protocol.batch_size} of images of {voxels} voxels leaves a single value a "
            "channel at the network's deepest level, which cannot be normalised. Use larger batches or images, "
            "or fewer poolings."
        ) from None


def _verdict(error: BaseException, folder: Path | None) -> tuple[Status, str]:
    """The status and reason for what a candidate raised. What is not the candidate's fault is raised again."""
    if isinstance(error, InfeasibleArchitecture):
        return Status.INFEASIBLE, str(error)
    if concerns_all(error):
        raise error
    if is_out_of_memory(error):
        return Status.OUT_OF_MEMORY, f"memory ran out: {_one_line(error)}"
    if folder is not None:
        with contextlib.suppress(OSError), (folder / LOG).open("a", encoding="utf-8") as log:
            traceback.print_exception(error, file=log)
    return Status.CRASHED, f"{type(error).__name__}: {_one_line(error)}"


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]
