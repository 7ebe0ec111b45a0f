"""Runs a function on many items in threads, and tells how many are done. The results come in order."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from netwright.data.base import OnCase

Item = TypeVar("Item")
Result = TypeVar("Result")

TOLD_SECONDS = 5.0
"""From one line about the progress of a long step to the next."""

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


def counted(results: Iterable[Result], total: int, on_case: OnCase | None) -> Iterator[Result]:
    """The results, after each of which ``on_case`` is called.

    Args:
        results: in order.
        total: how many there will be.
        on_case: called with the number of results so far, and ``total``; None: it is not.
    """
    for number, result in enumerate(results, 1):
        yield result
        if on_case is not None:
            on_case(number, total)


def now_and_then(tell: Callable[[str], None], done: str) -> OnCase:
    """Tells how many items are done: for example "prepared 12 of 40", at most every `TOLD_SECONDS`.

    Args:
        tell: called with the words.
        done: what is done with each item.
    """
    last = time.monotonic()

    def on_case(number: int, total: int) -> None:
        nonlocal last
        if number < total and time.monotonic() - last >= TOLD_SECONDS:
            last = time.monotonic()
            tell(f"{done} {number:,} of {total:,}")

    return on_case


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
