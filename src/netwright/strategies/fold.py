"""A fold that remembers: the state after a growing list, from which items may be taken back again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

State = TypeVar("State")
Item = TypeVar("Item")

SNAPSHOT_EVERY = 100


class Fold(Generic[State, Item]):
    """The left fold of ``step`` over a list: what was folded once is not folded again.

    States must be immutable: every hundredth is kept, so that an item that belongs among those already folded
    (a late arrival, a slow clock) costs at most a hundred steps more than the items after it.
    """

    def __init__(self, initial: State, step: Callable[[State, Item], State]) -> None:
        self._step = step
        self._count = 0
        self._state = initial
        self._snapshots = [initial]  # the i-th: after i * SNAPSHOT_EVERY items

    def rewind(self, count: int) -> None:
        """Takes back every item from place ``count`` on."""
        if count < self._count:
            del self._snapshots[count // SNAPSHOT_EVERY + 1 :]
            self._count = (len(self._snapshots) - 1) * SNAPSHOT_EVERY
            self._state = self._snapshots[-1]

    def advance(self, items: Sequence[Item]) -> State:
        """The state after all items; the ones up to the last rewind must be those of the last call."""
        for item in items[self._count :]:
            self._state = self._step(self._state, item)
            self._count += 1
            if self._count % SNAPSHOT_EVERY == 0:
                self._snapshots.append(self._state)
        return self._state
