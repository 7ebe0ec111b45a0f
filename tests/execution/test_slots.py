"""Slots for workers that do not all find room."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable
from typing import Any

from netwright.execution.slots import NoRoom, Slots
from netwright.execution.worker import RETURNED


class Crowded:
    """A worker in this thread. There is room for one, which keeps it as long as it lives, also with nothing to do."""

    code = None
    ending = "has not ended"

    def __init__(self, room: threading.Lock, another_idle: Callable[[], bool]) -> None:
        self._room, self._another_idle = room, another_idle
        self._inside = False
        self._payload = b""

    def accepts(self, payload: bytes, needed: Callable[[], bool]) -> bool:
        self._payload = payload
        while needed():
            self._inside = self._inside or self._room.acquire(timeout=0.02)
            if self._inside:
                return True
            if self._another_idle():
                raise NoRoom
        return False

    def message(self, seconds: float) -> tuple[str, Any]:
        function, arguments = pickle.loads(self._payload)
        return RETURNED, function(*arguments)

    def kill(self) -> None:
        pass

    def end(self) -> None:
        if self._inside:
            self._room.release()


def test_tasks_of_workers_that_find_no_room_are_done_by_those_that_have_it() -> None:
    room = threading.Lock()
    slots = Slots(3, lambda: Crowded(room, lambda: slots.idle))
    try:
        futures = [slots.submit(abs, -number) for number in range(8)]
        assert [future.result(60) for future in futures] == list(range(8))
    finally:
        slots.shutdown()
    assert not room.locked()


def test_a_task_that_waits_for_room_can_be_cancelled_and_ends_with_its_slot() -> None:
    room = threading.Lock()
    slots = Slots(2, lambda: Crowded(room, lambda: False))
    with room:
        cancelled, left = slots.submit(abs, -1), slots.submit(abs, -2)
        assert cancelled.cancel()
        slots.shutdown()
    assert left.cancelled()
