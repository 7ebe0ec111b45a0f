"""The steps that several networks have in common: equal operations on equal values are computed once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from netwright.nn.steps import IMAGE, Step, Steps


@dataclass(frozen=True)
class MergedSteps:
    """The distinct steps of several networks.

    ``steps``: all of them, in an order that is valid for each network. ``common``: this many at the beginning belong
    to two networks or more; each of the others belongs to one. ``own``: for each network, the indices in ``steps`` of
    those that only it has, in order. ``outputs``: for each network, the index of its last step.
    """

    steps: Steps
    common: int
    own: tuple[tuple[int, ...], ...]
    outputs: tuple[int, ...]


def merge_steps(samples: Sequence[Steps]) -> MergedSteps:
    """The distinct steps of the sampled networks. Steps are equal if their keys, options and inputs are equal.

    >>> networks = [(Step("stem", (IMAGE,)), Step("a", (0,))), (Step("stem", (IMAGE,)), Step("b", (0,)))]
    >>> merged = merge_steps(networks)
    >>> [step.key for step in merged.steps], merged.common
    (['stem', 'a', 'b'], 1)
    """
    distinct: list[Step] = []
    users: list[set[int]] = []
    numbers: dict[Step, int] = {}
    outputs: list[int] = []
    for sample, steps in enumerate(samples):
        here: dict[int, int] = {IMAGE: IMAGE}
        for index, step in enumerate(steps):
            unified = Step(step.key, tuple(here[source] for source in step.inputs), step.options)
            if unified not in numbers:
                numbers[unified] = len(distinct)
                distinct.append(unified)
                users.append(set())
            here[index] = numbers[unified]
            users[here[index]].add(sample)
        outputs.append(here[len(steps) - 1])
    # All users of a step also use its inputs, so the common steps do not need any other.
    order = sorted(range(len(distinct)), key=lambda number: len(users[number]) < 2)
    new_index = {IMAGE: IMAGE} | {number: index for index, number in enumerate(order)}
    own: list[list[int]] = [[] for _ in samples]
    for index, number in enumerate(order):
        if len(users[number]) == 1:
            own[next(iter(users[number]))].append(index)
    return MergedSteps(
        steps=tuple(
            Step(
                distinct[n].key,
                tuple(new_index[source] for source in distinct[n].inputs),
                distinct[n].options,
            )
            for n in order
        ),
        common=sum(len(one) > 1 for one in users),
        own=tuple(map(tuple, own)),
        outputs=tuple(new_index[number] for number in outputs),
    )
