"""Sets that grow with a fold: a new one shares all that an older one has, and the older one stays as it is."""

from __future__ import annotations

import threading
from typing import Generic, TypeVar

Key = TypeVar("Key")

_GROWING = threading.Lock()


class GrowingSet(Generic[Key]):
    """An immutable set whose union with one more key takes as long for many keys as for few.

    All sets of one line share a dictionary that gives each key its place. A set has the keys of the first ``size``
    places. Only a set that was grown before, so that others have places beyond its own, copies its keys.

    >>> small = GrowingSet().with_key("a")
    >>> large, other = small.with_key("b"), small.with_key("c")
    >>> "b" in large, "b" in small, "b" in other, "c" in other
    (True, False, False, True)
    """

    __slots__ = ("_places", "_size")

    def __init__(self) -> None:
        self._places: dict[Key, int] = {}
        self._size = 0

    def __contains__(self, key: Key) -> bool:
        return self._places.get(key, self._size) < self._size

    def __len__(self) -> int:
        return self._size

    def with_key(self, key: Key) -> GrowingSet[Key]:
        """This set and one more key."""
        if key in self:
            return self
        grown: GrowingSet[Key] = GrowingSet()
        with _GROWING:
            if len(self._places) == self._size:
                grown._places = self._places
            else:
                grown._places = {known: i for i, known in enumerate(self._places) if i < self._size}
            grown._places[key] = self._size
        grown._size = self._size + 1
        return grown
