"""What a step of the search computes: two networks of one supernet on one batch, with and without gradients.

Equal steps of the networks are computed once, by all threads of the CPU. What they do not share follows side by side,
each network on its part of the threads: operations are too small to be split well. On a GPU it follows one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge

from netwright.nn.steps import IMAGE, Steps, Supernet, Values, run_places
from netwright.supernet.shared import Union, union
from netwright.training.precision import half_precision_training

Loss = Callable[[Tensor, Tensor], Tensor]
"""Output of a network and labels to a scalar."""

Result = TypeVar("Result")


def add_gradients(
    supernet: Supernet,
    samples: Sequence[Steps],
    images: Tensor,
    labels: Tensor,
    loss: Loss,
    half: torch.dtype | None = None,
) -> list[float]:
    """The loss of each sampled network on the batch; the gradient of their mean is added to the weights that they use,
    and to no others (Equation 2).

    The same bits come of the same arguments with the same number of threads.

    Args:
        supernet: in training mode, on the device of the batch. Its modules keep nothing of a batch (no running
            statistics): two networks may be in one of them at the same time.
        samples: the steps of each network.
        images: (batch, channels, *spatial).
        labels: as ``loss`` takes them.
        loss: of an output, which is in full precision.
        half: compute in this precision; None: in full.
    """
    plan = union(samples)
    with half_precision_training(images.device, half):
        common = _common_values(supernet, plan, images)
    parts = [_part(supernet, plan, common, sample) for sample in range(len(samples))]

    def own_part(sample: int) -> tuple[float, list[Tensor | None]]:
        part, place = parts[sample], plan.outputs[sample]
        with half_precision_training(images.device, half):
            output = run_places(supernet.operations, plan.steps, plan.own[sample], part.values, {place})[
                place
            ]
        part.values.clear()
        value = loss(_full(output), labels)
        wanted = [*part.weights, *part.seams.values()]
        return value.item(), list(torch.autograd.grad(value / len(samples), wanted, allow_unused=True))

    results = _side_by_side(own_part, len(samples), images.device)
    to_common: Values = {}
    for part, (_, gradients) in zip(parts, results, strict=True):
        for weight, gradient in zip(part.weights, gradients, strict=False):
            _add_gradient(weight, gradient)
        for place, gradient in zip(part.seams, gradients[len(part.weights) :], strict=True):
            if gradient is not None:
                to_common[place] = to_common[place] + gradient if place in to_common else gradient
    if to_common:
        torch.autograd.backward([common[place] for place in to_common], list(to_common.values()))
    return [value for value, _ in results]


def losses_of(
    supernet: Supernet,
    samples: Sequence[Steps],
    images: Tensor,
    labels: Tensor,
    loss: Loss,
    half: torch.dtype | None = None,
) -> list[float]:
    """The loss of each sampled network on the batch, by forward passes alone (Equation 3). Arguments as above."""
    plan = union(samples)
    with torch.inference_mode(), half_precision_training(images.device, half):
        common = _common_values(supernet, plan, images)
    parts = [_needed(common, plan, sample) for sample in range(len(samples))]
    del common

    def own_part(sample: int) -> float:
        with torch.inference_mode():
            with half_precision_training(images.device, half):
                wanted = plan.outputs[sample]
                output = run_places(
                    supernet.operations, plan.steps, plan.own[sample], parts[sample], {wanted}
                )[wanted]
            return loss(_full(output), labels).item()

    return _side_by_side(own_part, len(samples), images.device)


@dataclass(frozen=True)
class _Part:
    """What a network's own part begins with.

    ``values``: the common values that it takes. ``seams``: those of them that its gradients end at, by place; they go
    on from there together with the other networks'. ``weights``: of its own steps. ``ends``: where autograd hands over
    the gradients of weights. Held here they are made once, by the thread that starts the others: a thread that
    makes one locks its weight, and may wait for Python's lock with it, which another thread holds that waits for the
    weight (seen with torch 2.13, every few hundred steps).
    """

    values: Values
    seams: Values
    weights: list[nn.Parameter]
    ends: list[GradientEdge]


def _part(supernet: Supernet, plan: Union, common: Values, sample: int) -> _Part:
    values = _needed(common, plan, sample)
    # A seam is one network's alone, for the same reason.
    seams = {place: value.detach().requires_grad_() for place, value in values.items() if value.requires_grad}
    weights = _weights(supernet, plan, plan.own[sample])
    ends = [get_gradient_edge(tensor) for tensor in (*weights, *seams.values())]
    return _Part({**values, **seams}, seams, weights, ends)


def _common_values(supernet: Supernet, plan: Union, images: Tensor) -> Values:
    """The image, and the values of the common steps that anything else takes."""
    wanted = {IMAGE, *plan.outputs}
    wanted.update(source for step in plan.steps[plan.common :] for source in step.inputs)
    values = {IMAGE: images}
    return run_places(supernet.operations, plan.steps, range(plan.common), values, wanted)


def _needed(values: Mapping[int, Tensor], plan: Union, sample: int) -> Values:
    """Of common values those that a network's own part, or its loss, takes."""
    sources = {source for place in plan.own[sample] for source in plan.steps[place].inputs}
    sources.add(plan.outputs[sample])
    return {place: values[place] for place in sorted(sources & values.keys())}


def _weights(supernet: Supernet, plan: Union, places: Iterable[int]) -> list[nn.Parameter]:
    """The weights of the modules of steps; a module may have some that the step leaves alone."""
    keys = dict.fromkeys(plan.steps[place].key for place in places)
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
        # Laid out like the weight, as the optimizer takes both together.
        same = gradient.stride() == weight.stride()
        weight.grad = gradient if same else torch.empty_like(weight).copy_(gradient)


def _side_by_side(work: Callable[[int], Result], count: int, device: torch.device) -> list[Result]:
    """Results of ``work`` for 0, 1 and so on; on the CPU at once, each on an equal part of the threads."""
    threads = torch.get_num_threads()
    workers = min(count, threads)
    if device.type != "cpu" or workers < 2:
        return [work(number) for number in range(count)]
    try:
        # New threads each time: they are made in no time, and none is left behind for a process to fork.
        with ThreadPoolExecutor(
            workers, initializer=torch.set_num_threads, initargs=(threads // workers,)
        ) as pool:
            return list(pool.map(work, range(count)))
    finally:
        torch.set_num_threads(threads)
