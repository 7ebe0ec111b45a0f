"""The step on the shared weights, and losses without one; a network without room in memory ends nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from netwright.errors import MemoryShortage, NetwrightError
from netwright.evaluation.device import is_out_of_memory
from netwright.evaluation.losses import TrainingLoss
from netwright.evaluation.training import half_cosine
from netwright.nn.steps import Steps, Supernet
from netwright.supernet.pair import add_gradients, losses_of
from netwright.supernet.settings import SupernetSettings

UNSTABLE_STEPS = 50
"""So many successive steps whose gradient is not finite end a search."""
UNFIT_STEPS = 50
"""So many successive steps without room in memory for any network do."""


class DivergedSearch(NetwrightError):  # noqa: N818  what happened to it
    """The gradients of a search are no longer finite."""


class Descent:
    """Stochastic gradient descent with momentum on the weights that the sampled networks use, and on no others.

    Args:
        supernet: on its device, in training mode.
        settings: rate, momentum, weight decay, length of gradients.
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
        self._parameters = list(supernet.parameters())  # a supernet has thousands of modules to walk through
        self._device = self._parameters[0].device
        self._unstable = 0
        self._unfit = 0
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
        """One step along the mean of the networks' gradients (Equation 2), and the losses before it.

        Args:
            networks: None for a sample that makes none; those without room in memory become None, too.
            images: (batch, channels, *spatial), on the device.
            labels: as the loss takes them.
            progress: the part of the search that is done, 0 to 1: the rate falls with it along half a cosine.

        Raises:
            DivergedSearch: gradients have not been finite for many steps.
            MemoryShortage: memory has held no network for many steps.
        """
        rate = self._settings.learning_rate * half_cosine(progress)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        self._optimizer.zero_grad(set_to_none=True)
        scale = self._scaler.get_scale()
        asked = any(network is not None for network in networks)
        losses = self._gradients(networks, images, labels)
        self._require_room(asked=asked, found=bool(losses))
        if not losses:
            return []
        self._scaler.unscale_(self._optimizer)
        used = [parameter for parameter in self._parameters if parameter.grad is not None]
        norm = torch.nn.utils.clip_grad_norm_(used, self._settings.gradient_norm)
        finite = bool(torch.isfinite(norm))
        if finite or self._scaler.is_enabled():  # a scaler passes over what is not finite by itself
            self._scaler.step(self._optimizer)
        self._scaler.update()
        self._watch(finite)
        return [loss / scale for loss in losses]

    def losses(self, networks: Sequence[Steps | None], images: Tensor, labels: Tensor) -> list[float]:
        """The loss of each network on a batch, by forward passes alone (Equation 3); infinite where there is no
        network, no room for it in memory, or no finite loss.
        """
        samples = [steps for steps in networks if steps is not None]
        try:
            found = losses_of(self._supernet, samples, images, labels, self._loss, self._half)
        except Exception as error:
            self._let_go(error)
            found = [self._loss_alone(steps, images, labels) for steps in samples]
        known = iter(found)
        values = [math.inf if steps is None else next(known) for steps in networks]
        return [value if math.isfinite(value) else math.inf for value in values]

    def tensors(self) -> dict[str, Tensor]:
        """Weights and momentum by name, for a checkpoint."""
        found = {f"weights.{name}": value for name, value in self._supernet.state_dict().items()}
        for name, parameter in self._supernet.named_parameters():
            momentum = self._optimizer.state[parameter].get("momentum_buffer")
            if momentum is not None:
                found[f"momentum.{name}"] = momentum
        return found

    def values(self) -> dict[str, Any]:
        """What else a checkpoint needs, as plain values."""
        return {"unstable": self._unstable, "unfit": self._unfit, "scaler": self._scaler.state_dict()}

    def restore(self, tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> None:
        """Take up what `tensors` and `values` gave."""
        named = [(name.split(".", 1), tensor) for name, tensor in tensors.items() if "." in name]
        self._supernet.load_state_dict({name: t for (kind, name), t in named if kind == "weights"})
        momenta = {name: t for (kind, name), t in named if kind == "momentum"}
        for name, parameter in self._supernet.named_parameters():
            if name in momenta:
                placed = torch.empty_like(parameter).copy_(momenta[name])
                self._optimizer.state[parameter]["momentum_buffer"] = placed
        self._unstable, self._unfit = values["unstable"], values["unfit"]
        if values["scaler"] and self._scaler.is_enabled():  # it may come from a device that needs none
            self._scaler.load_state_dict(values["scaler"])

    def _gradients(self, networks: list[Steps | None], images: Tensor, labels: Tensor) -> list[float]:
        """The scaled losses of the networks whose mean gradient is now that of the weights."""
        samples = [steps for steps in networks if steps is not None]
        try:
            return add_gradients(self._supernet, samples, images, labels, self._scaled, self._half)
        except Exception as error:
            self._let_go(error)
            return self._one_by_one(networks, images, labels)

    def _one_by_one(self, networks: list[Steps | None], images: Tensor, labels: Tensor) -> list[float]:
        """As `_gradients`, where memory does not hold all networks at once."""
        losses: list[float] = []
        totals: dict[nn.Parameter, Tensor] = {}
        for index, steps in enumerate(networks):
            if steps is None:
                continue
            try:
                losses += add_gradients(self._supernet, [steps], images, labels, self._scaled, self._half)
            except Exception as error:
                self._let_go(error)
                networks[index] = None
                continue
            for parameter in self._parameters:
                if parameter.grad is not None:
                    totals[parameter] = totals.get(parameter, 0) + parameter.grad
            self._optimizer.zero_grad(set_to_none=True)
        for parameter, total in totals.items():
            parameter.grad = total / len(losses)
        return losses

    def _loss_alone(self, steps: Steps, images: Tensor, labels: Tensor) -> float:
        try:
            return losses_of(self._supernet, [steps], images, labels, self._loss, self._half)[0]
        except Exception as error:
            self._let_go(error)
            return math.inf

    def _scaled(self, outputs: Tensor, labels: Tensor) -> Tensor:
        scaled: Tensor = self._scaler.scale(self._loss(outputs, labels))
        return scaled

    def _let_go(self, error: Exception) -> None:
        """Free what a computation left; what was not a lack of memory is raised again."""
        if not is_out_of_memory(error):
            raise error
        self._optimizer.zero_grad(set_to_none=True)
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    def _require_room(self, *, asked: bool, found: bool) -> None:
        """Count the steps in a row in which there were networks and memory held none of them."""
        if asked:
            self._unfit = 0 if found else self._unfit + 1
        if self._unfit >= UNFIT_STEPS:
            raise MemoryShortage(
                f"None of the networks of {UNFIT_STEPS} successive steps found room in memory. Start the search again "
                "with a smaller supernet.batch_size, or smaller networks (--set supernet.space...)."
            )

    def _watch(self, finite: bool) -> None:
        self._unstable = 0 if finite else self._unstable + 1
        if self._unstable >= UNSTABLE_STEPS:
            raise DivergedSearch(
                f"The gradients of the search have not been finite for {UNSTABLE_STEPS} steps. Start it again with a "
                "lower supernet.learning_rate."
            )
