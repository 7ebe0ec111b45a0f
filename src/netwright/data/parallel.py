"""Cases side by side, results in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

TOGETHER = 64
"""Short tasks that a thread takes at one go."""


def in_order(function: Callable[[Item], Result], items: Iterable[Item], workers: int) -> Iterator[Result]:
    """``map`` on ``workers`` threads, at most two results a worker waiting to be taken.

    Threads, because what costs time here (decompression, hashing, interpolation) releases Python's lock: they
    start at once, copy nothing between processes and do not fork a process that already runs torch's threads.
    """
    if workers <= 1:
        yield from map(function, items)
        return
    with ThreadPoolExecutor(workers, thread_name_prefix="netwright-data") as pool:
        waiting: deque[Future[Result]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) >= 3 * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def many_in_order(
    function: Callable[[Item], Result], items: Sequence[Item], workers: int
) -> Iterator[Result]:
    """`in_order` for many short tasks, ``TOGETHER`` to a thread at one go.

    Handing each over alone would cost more than doing it.
    """

    def together(chunk: Sequence[Item]) -> list[Result]:
        return [function(item) for item in chunk]

    for results in in_order(together, chunks(items), workers):
        yield from results


def chunks(items: Sequence[Item]) -> list[Sequence[Item]]:
    """Items in order, ``TOGETHER`` at a time."""
    return [items[first : first + TOGETHER] for first in range(0, len(items), TOGETHER)]
