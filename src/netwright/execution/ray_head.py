"""Whether the head node of a Ray cluster is still there.

Where the head has been silent for a minute, Ray ends the whole program, with an exit code and a line of its own. So the
head is watched here, and the search ends with an error before that.
"""

from __future__ import annotations

import socket
import threading
import time

from netwright.errors import ExecutionError
from netwright.execution.process import POLL_SECONDS

SILENT_SECONDS = 30.0
"""A head that has not answered for so long is lost. Kubernetes, for example, may start it again before that."""
LOOK_SECONDS = 2.0
_ANSWER_SECONDS = 5.0


def host_and_port(address: str) -> tuple[str, int] | None:
    """The parts of ``HOST:PORT``, where an address of IPv6 is in brackets; None: it is nothing of that kind.

    >>> host_and_port("10.0.0.5:6379"), host_and_port("[fd00::1]:6379"), host_and_port("fd00::1")
    (('10.0.0.5', 6379), ('fd00::1', 6379), None)
    """
    host, _, port = address.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        return None
    return (host, int(port)) if host and port.isdecimal() else None


class RayHead:
    """Looks every few seconds whether the head node answers, in a thread of its own.

    Args:
        address: ``HOST:PORT`` of its global control service.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._listens_at = host_and_port(address)
        self._lost, self._closed = threading.Event(), threading.Event()
        threading.Thread(target=self._watch, name="netwright-ray-head", daemon=True).start()

    @property
    def lost(self) -> bool:
        """Whether it has been silent for `SILENT_SECONDS`."""
        return self._lost.is_set()

    def require(self) -> None:
        """Does nothing while there is a head.

        Raises:
            ExecutionError: it is lost.
        """
        if self.lost:
            raise ExecutionError(
                f"The head node of the Ray cluster at {self._address} was lost: it has not answered for "
                f"{SILENT_SECONDS:.0f} s. Nothing finished is lost. Start Ray again on each machine (ray stop, then "
                "ray start), and go on with 'netwright resume'. If the head then has another address, name it in "
                "RAY_ADDRESS."
            )

    def answers(self) -> bool:
        """Whether it takes a connection now."""
        assert self._listens_at is not None, "Ray has connected there"
        try:
            socket.create_connection(self._listens_at, _ANSWER_SECONDS).close()
        except OSError:
            return False
        return True

    def await_answer(self) -> None:
        """Wait until it takes a connection: what asks it else blocks its thread for good.

        Raises:
            ExecutionError: it is lost.
        """
        while not self.answers():
            self.require()
            time.sleep(POLL_SECONDS)

    def close(self) -> None:
        """Look no more."""
        self._closed.set()

    def _watch(self) -> None:
        silent_since: float | None = None
        while not self._closed.wait(LOOK_SECONDS):
            asked = time.monotonic()
            if self.answers():
                silent_since = None
                continue
            silent_since = asked if silent_since is None else silent_since
            if time.monotonic() - silent_since >= SILENT_SECONDS:
                self._lost.set()
                return
