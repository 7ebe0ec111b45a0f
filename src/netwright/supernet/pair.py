"""What a step of the search computes: two networks of one supernet on one batch, with and without gradients.

Equal steps of the networks are computed once, by all threads of the CPU. What they do not share follows side by side,
each network on its part of the threads: operations are too small to be split well. On a GPU it follows one by one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch
from torch import Tensor, nn

from netwright.evaluation.device import tensor_channels_last
from netwright.evaluation.precision import half_precision_training
from netwright.nn.steps import IMAGE, Steps, Supernet
from netwright.supernet.shared import Union, union

Loss = Callable[[Tensor, Tensor], Tensor]
"""Output of a network and labels to a scalar."""

Values = dict[int, Tensor]
"""Values of steps, by their places in a `Union`."""

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
        supernet: in training mode, on the device of the batch.
        samples: the steps of each network.
        images: (batch, channels, *spatial).
        labels: as ``loss`` takes them.
        loss: of an output, which is in full precision.
        half: compute in this precision; None: in full.
    """
    plan = union(samples)
    with half_precision_training(images.device, half):
        common = _common_values(supernet, plan, images)
    # Gradients of the networks' own parts end at these; they go on from there together.
    seams = {place: value.detach().requires_grad_() for place, value in common.items() if value.requires_grad}

    def own_part(sample: int) -> tuple[float, list[tuple[nn.Parameter, Tensor]], dict[int, Tensor]]:
        places = plan.own[sample]
        values = _needed({**common, **seams}, plan, sample)
        mine = {place: seams[place] for place in values if place in seams}
        weights = _weights(supernet, plan, places)
        with half_precision_training(images.device, half):
            output = _run(supernet, plan, places, values, {plan.outputs[sample]})[plan.outputs[sample]]
        value = loss(_full(output), labels)
        del output
        gradients = torch.autograd.grad(value / len(samples), [*weights, *mine.values()], allow_unused=True)
        of_weights = zip(weights, gradients, strict=False)
        of_seams = zip(mine, gradients[len(weights) :], strict=True)
        return (
            value.item(),
            [(weight, gradient) for weight, gradient in of_weights if gradient is not None],
            {place: gradient for place, gradient in of_seams if gradient is not None},
        )

    results = _side_by_side(own_part, len(samples), images.device)
    to_common: Values = {}
    for _, of_weights, of_seams in results:
        for weight, gradient in of_weights:
            _add_gradient(weight, gradient)
        for place, gradient in of_seams.items():
            to_common[place] = to_common[place] + gradient if place in to_common else gradient
    if to_common:
        torch.autograd.backward([common[place] for place in to_common], list(to_common.values()))
    return [value for value, _, _ in results]


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
                output = _run(supernet, plan, plan.own[sample], parts[sample], {wanted})[wanted]
            return loss(_full(output), labels).item()

    return _side_by_side(own_part, len(samples), images.device)


def _common_values(supernet: Supernet, plan: Union, images: Tensor) -> Values:
    """The image, and the values of the common steps that anything else takes."""
    wanted = {IMAGE, *plan.outputs}
    wanted.update(source for step in plan.steps[plan.common :] for source in step.inputs)
    values = {IMAGE: tensor_channels_last(images)}
    return _run(supernet, plan, range(plan.common), values, wanted)


def _run(
    supernet: Supernet, plan: Union, places: Sequence[int], values: Values, wanted: Iterable[int]
) -> Values:
    """Computes steps, adds their values to those given, and lets go those that are not wanted behind the last step that
    takes them.
    """
    steps = plan.steps
    uses = Counter(source for place in places for source in set(steps[place].inputs))
    kept = set(wanted)
    for place in places:
        step = steps[place]
        inputs = [values[source] for source in step.inputs]
        values[place] = supernet.operations[step.key](*inputs, *step.options)
        del inputs
        for source in set(step.inputs):
            uses[source] -= 1
            if not uses[source] and source not in kept:
                del values[source]
    return values


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


def _add_gradient(weight: nn.Parameter, gradient: Tensor) -> None:
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
