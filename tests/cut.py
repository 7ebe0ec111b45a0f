"""A line to a server that a test cuts and heals: a small proxy, and a network namespace whose link goes down."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from processes import run

_PIECE = 1 << 16
_LOOK_SECONDS = 0.05


class Cable:
    """Passes TCP connections on to a port of this machine.

    Stalled, it passes nothing on, as a network that swallows everything. Dropped, every connection is closed, and so is
    each new one.

    Args:
        port: of the server.
        host: the address to listen at.
    """

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self._port = port
        self._flowing, self._ended = threading.Event(), threading.Event()
        self._dropping = False
        self._flowing.set()
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._server = socket.create_server((host, 0))
        self._server.settimeout(_LOOK_SECONDS)
        self.address = f"{host}:{self._server.getsockname()[1]}"
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def stall(self) -> None:
        """Passes nothing on from now on."""
        self._flowing.clear()

    def drop(self) -> None:
        """Closes all connections, and each new one."""
        self._dropping = True
        for near, far in list(self._pairs):
            for end in (near, far):
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def heal(self) -> None:
        """Passes everything on again."""
        self._dropping = False
        self._flowing.set()

    def close(self) -> None:
        """Ends everything."""
        self._ended.set()
        self.heal()
        self.drop()
        for thread in self._threads:
            thread.join(5)
        self._server.close()

    def _accept(self) -> None:
        while not self._ended.is_set():
            try:
                near, _ = self._server.accept()
            except TimeoutError:
                continue
            near.settimeout(None)
            if self._dropping:
                near.close()
                continue
            far = socket.create_connection(("127.0.0.1", self._port))
            self._pairs.append((near, far))
            self._threads.append(threading.Thread(target=self._pass, args=(near, far), daemon=True))
            self._threads[-1].start()

    def _pass(self, near: socket.socket, far: socket.socket) -> None:
        others = {near: far, far: near}
        with near, far, contextlib.suppress(OSError):
            while not self._ended.is_set():
                if not self._flowing.wait(_LOOK_SECONDS):
                    continue
                for end in select.select([near, far], [], [], _LOOK_SECONDS)[0]:
                    piece = end.recv(_PIECE)
                    while not self._flowing.wait(_LOOK_SECONDS):
                        if self._ended.is_set():
                            return
                    if not piece:
                        return
                    others[end].sendall(piece)


@contextlib.contextmanager
def cable(port: int, host: str = "127.0.0.1") -> Iterator[Cable]:
    """A `Cable`, closed in the end."""
    line = Cable(port, host)
    try:
        yield line
    finally:
        line.close()


class Namespace:
    """A network namespace that reaches this machine by one link.

    Args:
        name: of the namespace; its link has the name, too.
    """

    HOST = "10.213.87.1"
    _INSIDE = "10.213.87.2"

    def __init__(self, name: str) -> None:
        self._name = name
        self._ip("netns", "add", name)
        self._ip("link", "add", name, "type", "veth", "peer", "name", "inside", "netns", name)
        self._ip("addr", "add", f"{self.HOST}/30", "dev", name)
        self._ip("-n", name, "addr", "add", f"{self._INSIDE}/30", "dev", "inside")
        for words in (["link", "set", name, "up"], ["-n", name, "link", "set", "inside", "up"]):
            self._ip(*words)
        self._ip("-n", name, "link", "set", "lo", "up")

    @property
    def path(self) -> Path:
        """The file by which a process enters it."""
        return Path("/run/netns") / self._name

    def cut(self) -> None:
        """Takes the link down: whatever is sent is lost."""
        self._ip("link", "set", self._name, "down")

    def heal(self) -> None:
        """Brings the link up again."""
        self._ip("link", "set", self._name, "up")

    def close(self) -> None:
        """Removes it with its link."""
        self._ip("netns", "del", self._name)

    @staticmethod
    def _ip(*words: str) -> None:
        done = run(["ip", *words])
        if done.returncode:
            raise OSError(f"ip {' '.join(words)}: {done.stderr}")


@contextlib.contextmanager
def namespace() -> Iterator[Namespace]:
    """A `Namespace`, removed in the end. Where none can be made, the test is skipped."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("network namespaces are made by root alone, with the program ip")
    try:
        made = Namespace(f"nw{os.getpid()}")
    except OSError as error:
        pytest.skip(f"no network namespace can be made here: {error}")
    try:
        yield made
    finally:
        made.close()
