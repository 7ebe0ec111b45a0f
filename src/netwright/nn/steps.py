"""Networks as lists of steps: one set of weights then serves many networks, and each network is a part of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

IMAGE = -1
"""The place of the network's input among the inputs of a step."""


@dataclass(frozen=True)
class Step:
    """One operation of a network.

    ``key``: the name of the module that does it. ``inputs``: places of earlier steps whose values it takes, in order;
    `IMAGE` is the network's input. ``options``: plain values that the module takes behind them. Equal keys and options
    on equal inputs are equal values, in whichever network.
    """

    key: str
    inputs: tuple[int, ...]
    options: tuple[Hashable, ...] = ()


Values = dict[int, Tensor]
"""Values of steps by their places, the image's by `IMAGE`."""

Steps = tuple[Step, ...]
"""A network: every step comes behind those whose values it takes, and every value is of use but the outputs'."""


class Supernet(nn.Module, ABC):
    """The shared weights of all networks of a space: a network is the list of the steps that it takes.

    ``operations``: every module that a step can name; its name has no dot.
    """

    def __init__(self) -> None:
        super().__init__()
        self.operations = nn.ModuleDict()

    @abstractmethod
    def steps(self, choice: Mapping[str, Any]) -> Steps:
        """The network of a choice: images (batch, channels, *spatial) to the value of the last step.

        Raises:
            InfeasibleArchitecture: the choice makes no network; the message says why.
        """

    def forward(self, images: Tensor, choice: Mapping[str, Any]) -> Tensor:
        """The output of the network of a choice."""
        steps = self.steps(choice)
        return run_steps(self.operations, steps, images, [len(steps) - 1])[0]


class StepNetwork(nn.Module):
    """One network of steps, with the modules that it needs and no others.

    The names of its weights are those of the supernet that its modules were taken from.

    Args:
        operations: modules by name; those that no step names are left out.
        steps: the last one's value is the output.
        auxiliary: places of further steps whose values are logits, too, given in training alone.
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
    """The values of the wanted steps; a value is let go behind the last step that takes it."""
    values = run_places(operations, steps, range(len(steps)), {IMAGE: images}, wanted)
    return [values[place] for place in wanted]


def run_places(
    operations: nn.ModuleDict, steps: Steps, places: Iterable[int], values: Values, wanted: Collection[int]
) -> Values:
    """Computes some of the steps, in order, adds their values to those given, and lets go those that are not wanted
    behind the last of these steps that takes them.
    """
    chosen = list(places)
    uses = Counter(source for place in chosen for source in set(steps[place].inputs))
    for place in chosen:
        step = steps[place]
        inputs = [values[source] for source in step.inputs]
        values[place] = operations[step.key](*inputs, *step.options)
        del inputs
        for source in set(step.inputs):
            uses[source] -= 1
            if not uses[source] and source not in wanted:
                del values[source]
    return values


def needed_steps(steps: Steps, wanted: Collection[int]) -> Steps:
    """The steps that the values of the wanted ones depend on, in order, with their places renumbered."""
    needed = set(wanted)
    for number in range(len(steps) - 1, -1, -1):
        if number in needed:
            needed |= set(steps[number].inputs)
    kept = sorted(needed - {IMAGE})
    place = {IMAGE: IMAGE} | {old: new for new, old in enumerate(kept)}
    return tuple(
        Step(steps[old].key, tuple(place[source] for source in steps[old].inputs), steps[old].options)
        for old in kept
    )
