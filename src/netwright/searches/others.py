"""A search in a study that other processes work on, too: it ends when none of them trains any more."""

from __future__ import annotations

import time
from collections.abc import Callable

from netwright.runs.clock import Clock

POLL_SECONDS = 1.0
"""How often a process that has nothing to train looks for what the others have done."""


def train_beside_others(
    train: Callable[[Callable[[], None]], None],
    others: Callable[[], int],
    clock: Clock,
    on_tick: Callable[[], None] | None,
) -> None:
    """Trains until there is nothing to train, and others train nothing: what they leave when they are gone is taken up.

    Args:
        train: trains all that there is now; calls its argument about twice a second.
        others: how many trials of others were unfinished when ``train`` last looked.
        clock: of the search; it is saved now and then.
        on_tick: called about twice a second, while nothing is trained about once.
    """

    def tick() -> None:
        clock.save()
        if on_tick is not None:
            on_tick()

    train(tick)
    while others():
        time.sleep(POLL_SECONDS)
        tick()
        train(tick)
