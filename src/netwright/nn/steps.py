"""Networks as lists of steps. So one set of weights can serve many networks, and each network is a part of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

IMAGE = -1
"""The index of the network's input among the inputs of a step."""


@dataclass(frozen=True)
class Step:
    """One operation of a network.

    ``key``: the name of its module. ``inputs``: indices of the earlier steps whose values it takes, in order;
    `IMAGE` is the network's input. ``options``: plain values that the module takes after them. Steps with equal keys
    and options on equal inputs have equal values, in any network.
    """

    key: str
    inputs: tuple[int, ...]
    options: tuple[Hashable, ...] = ()


Values = dict[int, Tensor]
"""Values of steps by their indices; that of the image by `IMAGE`."""

Steps = tuple[Step, ...]
"""A network. Every step comes after those whose values it takes, and every value is used, except the outputs."""


class Supernet(nn.Module, ABC):
    """The shared weights of all networks of a space. A network is the list of the steps that it takes.

    ``operations``: every module that a step can name; names contain no dot.
    """

    def __init__(self) -> None:
        super().__init__()
        self.operations = nn.ModuleDict()

    @abstractmethod
    def steps(self, choice: Mapping[str, Any]) -> Steps:
        """The steps of a choice's network: images (batch, channels, *spatial) to the value of the last step.

        Raises:
            InfeasibleArchitecture: the choice makes no network; the message says why.
        """

    def forward(self, images: Tensor, choice: Mapping[str, Any]) -> Tensor:
        """The output of a choice's network."""
        steps = self.steps(choice)
        return run_steps(self.operations, steps, images, [len(steps) - 1])[0]


class StepNetwork(nn.Module):
    """One network of steps, with only the modules that it needs.

    Its weights have the same names as in the supernet that its modules were taken from.

    Args:
        operations: modules by name; those that no step names are left out.
        steps: the value of the last one is the output.
        auxiliary: indices of further steps whose values are logits, too; they are only returned in training.
    """

    def __init__(
        self,
        operations: Mapping[str, nn.Module] | nn.ModuleDict,
        steps: Steps,
        auxiliary: Collection[int] = (),
    ) -> None:
        super().__init__()
        used = dict.fromkeys(step.key for step in steps)
        self.operations = nn.ModuleDict({key: operations[key] for key in used})
        self.step_list = steps
        self.auxiliary = tuple(auxiliary)
        self._plain = needed_steps(steps, [len(steps) - 1])

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Images (batch, channels, *spatial) to the output; in training in a tuple with the auxiliary logits."""
        if self.training and self.auxiliary:
            wanted = [len(self.step_list) - 1, *self.auxiliary]
            return tuple(run_steps(self.operations, self.step_list, images, wanted))
        return run_steps(self.operations, self._plain, images, [len(self._plain) - 1])[0]


def run_steps(
    operations: nn.ModuleDict, steps: Steps, images: Tensor, wanted: Collection[int]
) -> list[Tensor]:
    """The values of the wanted steps. A value is freed after the last step that takes it.

    Args:
        operations: by step.
        steps: in order.
        images: the input of the first step.
        wanted: indices of steps.
    """
    values = run_selected_steps(operations, steps, range(len(steps)), {IMAGE: images}, wanted)
    return [values[index] for index in wanted]


def run_selected_steps(
    operations: nn.ModuleDict, steps: Steps, indices: Iterable[int], values: Values, wanted: Collection[int]
) -> Values:
    """Compute the selected steps in order, and add their values to the given ones.

    A value that is not wanted is freed after the last of these steps that takes it.

    Args:
        operations: modules by name.
        steps: of the network.
        indices: of the steps to compute.
        values: of earlier steps; changed in place.
        wanted: indices of the values to keep.
    """
    chosen = list(indices)
    uses = Counter(source for index in chosen for source in set(steps[index].inputs))
    for index in chosen:
        step = steps[index]
        inputs = [values[source] for source in step.inputs]
        values[index] = operations[step.key](*inputs, *step.options)
        del inputs
        for source in set(step.inputs):
            uses[source] -= 1
            if not uses[source] and source not in wanted:
                del values[source]
    return values


def needed_steps(steps: Steps, wanted: Collection[int]) -> Steps:
    """The steps that the values of the wanted ones depend on, in order, with their indices renumbered."""
    needed = set(wanted)
    for number in range(len(steps) - 1, -1, -1):
        if number in needed:
            needed |= set(steps[number].inputs)
    kept = sorted(needed - {IMAGE})
    new_index = {IMAGE: IMAGE} | {old: new for new, old in enumerate(kept)}
    return tuple(
        Step(steps[old].key, tuple(new_index[source] for source in steps[old].inputs), steps[old].options)
        for old in kept
    )
