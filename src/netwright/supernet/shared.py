"""Which steps several networks have in common: equal operations on equal values are computed once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from netwright.nn.steps import IMAGE, Step, Steps


@dataclass(frozen=True)
class Union:
    """The distinct steps of several networks.

    ``steps``: all of them, in an order that is right for each network. ``common``: how many at the beginning belong
    to two networks or more; the rest belongs to one each. ``own``: for each network, the places in ``steps`` of those
    that are its own alone, in order. ``outputs``: for each network, the place of its last step.
    """

    steps: Steps
    common: int
    own: tuple[tuple[int, ...], ...]
    outputs: tuple[int, ...]


def union(samples: Sequence[Steps]) -> Union:
    """The distinct steps of the sampled networks: two are equal with equal keys and options, and equal inputs."""
    found: list[Step] = []
    users: list[set[int]] = []
    numbers: dict[Step, int] = {}
    outputs: list[int] = []
    for sample, steps in enumerate(samples):
        here: dict[int, int] = {IMAGE: IMAGE}
        for place, step in enumerate(steps):
            unified = Step(step.key, tuple(here[source] for source in step.inputs), step.options)
            if unified not in numbers:
                numbers[unified] = len(found)
                found.append(unified)
                users.append(set())
            here[place] = numbers[unified]
            users[here[place]].add(sample)
        outputs.append(here[len(steps) - 1])
    # A step's inputs have at least its users, so that the common steps need none of the others.
    order = sorted(range(len(found)), key=lambda number: len(users[number]) < 2)
    place_of = {IMAGE: IMAGE} | {number: place for place, number in enumerate(order)}
    own: list[list[int]] = [[] for _ in samples]
    for place, number in enumerate(order):
        if len(users[number]) == 1:
            own[next(iter(users[number]))].append(place)
    return Union(
        steps=tuple(
            Step(found[n].key, tuple(place_of[source] for source in found[n].inputs), found[n].options)
            for n in order
        ),
        common=sum(len(one) > 1 for one in users),
        own=tuple(map(tuple, own)),
        outputs=tuple(place_of[number] for number in outputs),
    )
