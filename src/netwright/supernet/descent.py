"""Gradient descent on the shared weights, and losses without it. A network that cannot be computed does not end it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from netwright.errors import MemoryShortage, NetwrightError
from netwright.execution.memory import is_out_of_memory
from netwright.nn.steps import Steps, Supernet
from netwright.supernet.gradients import add_gradients, losses_of
from netwright.supernet.settings import SupernetSettings
from netwright.training.checkpoint import CheckpointRefused
from netwright.training.losses import TrainingLoss
from netwright.training.lr_schedule import half_cosine
from netwright.training.state import require_tensor, restore_scaler, shapes, within
from netwright.training.step import is_single_value

UNSTABLE_STEPS = 50
"""The search ends after this many steps in a row with a gradient that is not finite."""
UNFIT_STEPS = 50
"""The search ends after this many steps in a row in which no network could be computed."""
_SMALLER = "a smaller supernet.batch_size, or smaller networks (--set supernet.space...)"
_LARGER = (
    "a larger supernet.batch_size, larger images, or networks with fewer poolings (--set supernet.space...)"
)

Result = TypeVar("Result")


class DivergedSearch(NetwrightError):  # noqa: N818  what happened to it
    """The gradients of a search are no longer finite."""


class Descent:
    """Stochastic gradient descent with momentum on the weights that the sampled networks use, and on no others.

    Args:
        supernet: on its device, in training mode.
        settings: learning rate, momentum, weight decay, greatest norm of gradients.
        loss: of an output.
        half: precision of the passes; None: full.
    """

    def __init__(
        self, supernet: Supernet, settings: SupernetSettings, loss: TrainingLoss, half: torch.dtype | None
    ) -> None:
        self._supernet = supernet
        self._settings = settings
        self._loss = loss
        self._half = half
        self._parameters = list(supernet.parameters())  # listed once: a supernet has thousands of modules
        self._device = self._parameters[0].device
        self._unstable = 0
        self._unfit = 0
        self._misfit, self._advice = "", ""
        self._scaler = torch.amp.GradScaler(self._device.type, enabled=half == torch.float16)
        self._optimizer = torch.optim.SGD(
            self._parameters,
            lr=settings.learning_rate,
            momentum=settings.momentum,
            weight_decay=settings.weight_decay,
            foreach=True,
        )

    def step(
        self, networks: list[Steps | None], images: Tensor, labels: Tensor, progress: float
    ) -> list[float]:
        """One step along the mean of the networks' gradients (Equation 2). Returns the losses before it.

        Args:
            networks: None for a sample that makes no network. Networks that do not fit into memory, or that leave
                a batch one value per channel, are replaced by None.
            images: (batch, channels, *spatial), on the device.
            labels: as the loss takes them.
            progress: the part of the search that is done, 0 to 1; the learning rate falls with it along half a cosine.

        Raises:
            DivergedSearch: gradients have not been finite for many steps.
            MemoryShortage: no network could be computed for many steps.
        """
        rate = self._settings.learning_rate * half_cosine(progress)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        self._optimizer.zero_grad(set_to_none=True)
        scale = self._scaler.get_scale()
        asked = any(network is not None for network in networks)
        losses = self._gradients(networks, images, labels)
        self._require_room(asked=asked, computed=bool(losses))
        if not losses:
            return []
        self._scaler.unscale_(self._optimizer)
        used = [parameter for parameter in self._parameters if parameter.grad is not None]
        norm = torch.nn.utils.clip_grad_norm_(used, self._settings.gradient_norm)
        finite = bool(torch.isfinite(norm))
        if finite or self._scaler.is_enabled():  # a scaler skips gradients that are not finite by itself
            self._scaler.step(self._optimizer)
        self._scaler.update()
        self._watch(finite)
        return [loss / scale for loss in losses]

    def losses(self, networks: Sequence[Steps | None], images: Tensor, labels: Tensor) -> list[float]:
        """The loss of each network on a batch, by forward passes alone (Equation 3).

        It is infinite where there is no network, where it cannot be computed, or where it is not finite.

        Args:
            networks: sampled choices; None: there is no network.
            images: of the batch.
            labels: of the batch.
        """
        samples = [steps for steps in networks if steps is not None]
        computed = self._losses(samples, images, labels)
        if computed is None:
            alone = [self._losses([steps], images, labels) for steps in samples]
            computed = [math.inf if loss is None else loss[0] for loss in alone]
        known = iter(computed)
        values = [math.inf if steps is None else next(known) for steps in networks]
        return [value if math.isfinite(value) else math.inf for value in values]

    @property
    def momentum_to_come(self) -> int:
        """Bytes of momentum that are still to be allocated, for weights without it."""
        if not self._settings.momentum:
            return 0
        return sum(weight.nbytes for weight in self._parameters if not self._optimizer.state.get(weight))

    def tensors(self) -> dict[str, Tensor]:
        """Weights and momentum by name, for a checkpoint."""
        tensors = {f"weights.{name}": value for name, value in self._supernet.state_dict().items()}
        for name, parameter in self._supernet.named_parameters():
            momentum = self._optimizer.state[parameter].get("momentum_buffer")
            if momentum is not None:
                tensors[f"momentum.{name}"] = momentum
        return tensors

    def values(self) -> dict[str, Any]:
        """Further plain values that a checkpoint needs."""
        return {"unstable": self._unstable, "unfit": self._unfit, "scaler": self._scaler.state_dict()}

    def restore(self, tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> None:
        """Restore the state from the results of `tensors` and `values`.

        Raises:
            CheckpointRefused: the weights belong to other networks, or a part of the state is missing.
        """
        weights, momenta = within(tensors, "weights"), within(tensors, "momentum")
        if shapes(weights) != shapes(self._supernet.state_dict()):
            raise CheckpointRefused("it was written with other networks")
        self._supernet.load_state_dict(weights)
        for name, parameter in self._supernet.named_parameters():
            if name in momenta:
                require_tensor(momenta, name, parameter, "momentum")
                placed = torch.empty_like(parameter).copy_(momenta[name])
                self._optimizer.state[parameter]["momentum_buffer"] = placed
        self._unstable, self._unfit = values["unstable"], values["unfit"]
        restore_scaler(self._scaler, values["scaler"])

    def _gradients(self, networks: list[Steps | None], images: Tensor, labels: Tensor) -> list[float]:
        """The scaled losses of the networks. The weights then have the mean of the networks' gradients."""
        samples = [steps for steps in networks if steps is not None]
        losses = self._added(samples, images, labels)
        return self._one_by_one(networks, images, labels) if losses is None else losses

    def _one_by_one(self, networks: list[Steps | None], images: Tensor, labels: Tensor) -> list[float]:
        """Like `_gradients`, if memory does not hold all networks at once."""
        losses: list[float] = []
        totals: dict[nn.Parameter, Tensor] = {}
        for index, steps in enumerate(networks):
            if steps is None:
                continue
            loss = self._added([steps], images, labels)
            if loss is None:
                networks[index] = None
                continue
            losses += loss
            for parameter in self._parameters:
                if parameter.grad is not None:
                    totals[parameter] = totals.get(parameter, 0) + parameter.grad
            self._optimizer.zero_grad(set_to_none=True)
        for parameter, total in totals.items():
            parameter.grad = total / len(losses)
        return losses

    def _added(self, samples: Sequence[Steps], images: Tensor, labels: Tensor) -> list[float] | None:
        """The scaled losses of networks, after adding the mean gradient; None if they do not fit into memory."""
        return self._if_it_fits(
            lambda: add_gradients(self._supernet, samples, images, labels, self._scaled, self._half)
        )

    def _losses(self, samples: Sequence[Steps], images: Tensor, labels: Tensor) -> list[float] | None:
        """The losses of networks by forward passes alone; None if they do not fit into memory."""
        return self._if_it_fits(
            lambda: losses_of(self._supernet, samples, images, labels, self._loss, self._half)
        )

    def _if_it_fits(self, compute: Callable[[], Result]) -> Result | None:
        """The result of ``compute``; None if it does not fit into memory, or a batch has one value per channel."""
        try:
            return compute()
        except Exception as error:
            if not (is_out_of_memory(error) or is_single_value(error)):
                raise
            self._misfit = str(error).partition("\n")[0].rstrip(".") + "."
            self._advice = _LARGER if is_single_value(error) else _SMALLER
        # Only here is the error's traceback gone, which kept everything computed in memory.
        self._optimizer.zero_grad(set_to_none=True)
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
        return None

    def _scaled(self, outputs: Tensor, labels: Tensor) -> Tensor:
        scaled: Tensor = self._scaler.scale(self._loss(outputs, labels))
        return scaled

    def _require_room(self, *, asked: bool, computed: bool) -> None:
        """Count the steps in a row in which there were networks but none could be computed."""
        if asked:
            self._unfit = 0 if computed else self._unfit + 1
        if self._unfit >= UNFIT_STEPS:
            raise MemoryShortage(
                f"None of the networks of {UNFIT_STEPS} successive steps could be computed: {self._misfit} Start the "
                f"search again with {self._advice}."
            )

    def _watch(self, finite: bool) -> None:
        self._unstable = 0 if finite else self._unstable + 1
        if self._unstable >= UNSTABLE_STEPS:
            raise DivergedSearch(
                f"The gradients of the search have not been finite for {UNSTABLE_STEPS} steps. Start it again with a "
                "lower supernet.learning_rate."
            )
