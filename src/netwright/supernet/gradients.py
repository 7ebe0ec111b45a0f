"""Losses and gradients of several networks of one supernet on one batch.

Steps that the networks share are computed once, with all threads of the CPU. The other steps run side by side, each
network on its share of the threads, because operations are too small to be split well. On a GPU they run one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge

from netwright.nn.steps import IMAGE, Steps, Supernet, Values, run_selected_steps
from netwright.supernet.common_steps import MergedSteps, merge_steps
from netwright.training.precision import half_precision_training

Loss = Callable[[Tensor, Tensor], Tensor]
"""From the output of a network and labels to a scalar."""

Result = TypeVar("Result")


def add_gradients(
    supernet: Supernet,
    samples: Sequence[Steps],
    images: Tensor,
    labels: Tensor,
    loss: Loss,
    half: torch.dtype | None = None,
) -> list[float]:
    """The loss of each sampled network on the batch.

    The gradient of their mean is added to the weights that the networks use, and to no others (Equation 2). With the
    same number of threads, the same arguments give the same bits.

    Args:
        supernet: in training mode, on the device of the batch. Its modules must not keep anything of a batch (no
            running statistics), because two networks may use one of them at the same time.
        samples: the steps of each network.
        images: (batch, channels, *spatial).
        labels: as ``loss`` takes them.
        loss: of an output, which is in full precision.
        half: compute in this precision; None: in full precision.
    """
    plan = merge_steps(samples)
    with half_precision_training(images.device, half):
        common = _common_values(supernet, plan, images)
    parts = [_part(supernet, plan, common, sample) for sample in range(len(samples))]

    def own_part(sample: int) -> tuple[float, list[Tensor | None]]:
        part, index = parts[sample], plan.outputs[sample]
        with half_precision_training(images.device, half):
            output = run_selected_steps(
                supernet.operations, plan.steps, plan.own[sample], part.values, {index}
            )[index]
        part.values.clear()
        value = loss(_full(output), labels)
        wanted = [*part.weights, *part.seams.values()]
        return value.item(), list(torch.autograd.grad(value / len(samples), wanted, allow_unused=True))

    results = _side_by_side(own_part, len(samples), images.device)
    to_common: Values = {}
    for part, (_, gradients) in zip(parts, results, strict=True):
        for weight, gradient in zip(part.weights, gradients, strict=False):
            _add_gradient(weight, gradient)
        for index, gradient in zip(part.seams, gradients[len(part.weights) :], strict=True):
            if gradient is not None:
                to_common[index] = to_common[index] + gradient if index in to_common else gradient
    if to_common:
        torch.autograd.backward([common[index] for index in to_common], list(to_common.values()))
    return [value for value, _ in results]


def losses_of(
    supernet: Supernet,
    samples: Sequence[Steps],
    images: Tensor,
    labels: Tensor,
    loss: Loss,
    half: torch.dtype | None = None,
) -> list[float]:
    """The loss of each sampled network, by forward passes alone (Equation 3). Arguments as in `add_gradients`."""
    plan = merge_steps(samples)
    with torch.inference_mode(), half_precision_training(images.device, half):
        common = _common_values(supernet, plan, images)
    parts = [_needed(common, plan, sample) for sample in range(len(samples))]
    del common

    def own_part(sample: int) -> float:
        with torch.inference_mode():
            with half_precision_training(images.device, half):
                wanted = plan.outputs[sample]
                output = run_selected_steps(
                    supernet.operations, plan.steps, plan.own[sample], parts[sample], {wanted}
                )[wanted]
            return loss(_full(output), labels).item()

    return _side_by_side(own_part, len(samples), images.device)


@dataclass(frozen=True)
class _Part:
    """The start of a network's own part.

    ``values``: the common values that it takes. ``seams``: those of them where its gradients end, by index; from there
    they are propagated together with the other networks' gradients. ``weights``: the weights of its own steps.
    ``ends``: the nodes where autograd delivers the gradients of weights. They are kept here so that the thread that
    starts the others makes them once. A thread that makes one locks its weight while it may wait for Python's lock,
    which another thread may hold that waits for the weight (seen with torch 2.13, every few hundred steps).
    """

    values: Values
    seams: Values
    weights: list[nn.Parameter]
    ends: list[GradientEdge]


def _part(supernet: Supernet, plan: MergedSteps, common: Values, sample: int) -> _Part:
    values = _needed(common, plan, sample)
    # Each network has its own seams, for the same reason.
    seams = {index: value.detach().requires_grad_() for index, value in values.items() if value.requires_grad}
    weights = _weights(supernet, plan, plan.own[sample])
    ends = [get_gradient_edge(tensor) for tensor in (*weights, *seams.values())]
    return _Part({**values, **seams}, seams, weights, ends)


def _common_values(supernet: Supernet, plan: MergedSteps, images: Tensor) -> Values:
    """The image, and the values of the common steps that other steps or the losses take."""
    wanted = {IMAGE, *plan.outputs}
    wanted.update(source for step in plan.steps[plan.common :] for source in step.inputs)
    values = {IMAGE: images}
    return run_selected_steps(supernet.operations, plan.steps, range(plan.common), values, wanted)


def _needed(values: Mapping[int, Tensor], plan: MergedSteps, sample: int) -> Values:
    """The common values that a network's own part, or its loss, takes."""
    sources = {source for index in plan.own[sample] for source in plan.steps[index].inputs}
    sources.add(plan.outputs[sample])
    return {index: values[index] for index in sorted(sources & values.keys())}


def _weights(supernet: Supernet, plan: MergedSteps, indices: Iterable[int]) -> list[nn.Parameter]:
    """The weights of the steps' modules; a step may not use all weights of its module."""
    keys = dict.fromkeys(plan.steps[index].key for index in indices)
    return [
        weight for key in keys for weight in supernet.operations[key].parameters() if weight.requires_grad
    ]


def _full(output: Tensor) -> Tensor:
    return output.float() if output.dtype in (torch.bfloat16, torch.float16) else output


def _add_gradient(weight: nn.Parameter, gradient: Tensor | None) -> None:
    if gradient is None:
        return
    if weight.grad is not None:
        weight.grad += gradient
    else:
        # With the layout of the weight, because the optimizer combines the two.
        same = gradient.stride() == weight.stride()
        weight.grad = gradient if same else torch.empty_like(weight).copy_(gradient)


def _side_by_side(work: Callable[[int], Result], count: int, device: torch.device) -> list[Result]:
    """The results of ``work`` for 0, 1 and so on. On the CPU they run at once, each on an equal part of the threads."""
    threads = torch.get_num_threads()
    workers = min(count, threads)
    if device.type != "cpu" or workers < 2:
        return [work(number) for number in range(count)]
    try:
        # New threads each time: they start quickly, and none is left over when a process forks.
        with ThreadPoolExecutor(
            workers, initializer=torch.set_num_threads, initargs=(threads // workers,)
        ) as pool:
            return list(pool.map(work, range(count)))
    finally:
        torch.set_num_threads(threads)
