"""Runs a function on many items in threads. The results come in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

TOGETHER = 64
"""How many short tasks a thread takes at once."""


def in_order(function: Callable[[Item], Result], items: Iterable[Item], workers: int) -> Iterator[Result]:
    """``map`` on ``workers`` threads. At most three results for each worker wait to be taken.

    It uses threads because the slow work here (decompression, hashing, interpolation) releases Python's lock. Threads
    start at once, copy nothing between processes, and do not fork a process in which torch's threads already run.

    Args:
        function: called with each item.
        items: in order.
        workers: number of threads; with 1, none is started.
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
    """`in_order` for many short tasks: a thread gets ``TOGETHER`` of them at once.

    To hand over each task alone would cost more than the task itself.

    Args:
        function: called with each item.
        items: in order.
        workers: number of threads.
    """

    def together(chunk: Sequence[Item]) -> list[Result]:
        return [function(item) for item in chunk]

    for results in in_order(together, chunks(items), workers):
        yield from results


def chunks(items: Sequence[Item]) -> list[Sequence[Item]]:
    """Items in order, in lists of ``TOGETHER``."""
    return [items[first : first + TOGETHER] for first in range(0, len(items), TOGETHER)]
