"""A fold over a growing list that remembers its states, so that items can be taken back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

State = TypeVar("State")
Item = TypeVar("Item")

SNAPSHOT_EVERY = 100


class Fold(Generic[State, Item]):
    """The left fold of ``step`` over a list. An item is not folded twice.

    States must be immutable. Every hundredth state is kept. So an item that belongs before items already folded (a
    late arrival, a slow clock) costs at most a hundred steps in addition to those after it.

    >>> total = Fold(0, lambda state, item: state + item)
    >>> total.advance([1, 2, 3])
    6
    >>> total.rewind(2)
    >>> total.advance([1, 2, 10, 4])
    17
    """

    def __init__(self, initial: State, step: Callable[[State, Item], State]) -> None:
        self._step = step
        self._count = 0
        self._state = initial
        self._snapshots = [initial]  # the i-th: after i * SNAPSHOT_EVERY items

    def rewind(self, count: int) -> None:
        """Take back all items from index ``count`` on."""
        if count < self._count:
            del self._snapshots[count // SNAPSHOT_EVERY + 1 :]
            self._count = (len(self._snapshots) - 1) * SNAPSHOT_EVERY
            self._state = self._snapshots[-1]

    def advance(self, items: Sequence[Item]) -> State:
        """The state after all items. Items before the last rewind must be the same as in the last call."""
        for item in items[self._count :]:
            self._state = self._step(self._state, item)
            self._count += 1
            if self._count % SNAPSHOT_EVERY == 0:
                self._snapshots.append(self._state)
        return self._state
