"""Trained networks of every task, and servers for them in a thread of the tests."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")

from archives import unpack
from netwright.serving.prediction import Model, describe
from netwright.serving.server import listening_socket, make_server
from netwright.serving.service import Service

OLD_RUNS = Path(__file__).resolve().parents[1] / "fixtures" / "old_runs"
RUNS = ("segnas7", "marl", "pdas-cells", "pdas-inpainting")
"""Networks for volumes, pictures with masks (a user's own network), pictures of classes, and pictures to restore."""


class Threads:
    """An executor of one thread: what workers do, without the seconds that it takes to start one."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(1)

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        return self._threads.submit(function, *arguments)

    def shutdown(self) -> None:
        self._threads.shutdown()


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def error(self) -> dict[str, str]:
        """What is wrong: an answer that names thing, expectation, finding and advice, and no path or trace."""
        found: dict[str, str] = json.loads(self.body)["error"]
        assert set(found) == {"message", "thing", "expected", "found", "advice"}
        assert all(text.strip() for text in found.values())
        assert "Traceback" not in found["message"]
        assert "/tmp" not in found["message"]
        return found


@dataclass(frozen=True)
class Served:
    """A server, and the folder of its uploads."""

    port: int
    uploads: Path

    def ask(
        self, method: str, path: str, body: bytes | Iterator[bytes] | None = None, **headers: str
    ) -> Answer:
        """What it answers; names of headers have ``_`` for ``-``."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, named)
        answer = connection.getresponse()
        found = Answer(
            answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        )
        connection.close()
        return found

    def send(self, body: bytes, **headers: str) -> Answer:
        return self.ask("POST", "/predict", body, **headers)


@contextmanager
def served(model: Model, folder: Path, executor: Any, most_bytes: int = 10**7) -> Iterator[Served]:
    """A server of a network in a thread of this process."""
    with ExitStack() as stack:
        stack.callback(executor.shutdown)
        listening = stack.enter_context(listening_socket("127.0.0.1", 0))
        about = executor.submit(describe, model).result()
        server = make_server(Service(model, about, executor, folder, most_bytes), "127.0.0.1")
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        stack.callback(thread.join)
        stack.callback(setattr, server, "should_exit", True)
        yield Served(int(listening.getsockname()[1]), folder)


@pytest.fixture(scope="session")
def old_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with each of `RUNS`, and their ``datasets``."""
    folder = tmp_path_factory.mktemp("old")
    for name in ("datasets", *RUNS):
        unpack(OLD_RUNS / f"{name}.tar.xz", folder / name)
    file = folder / "marl" / "run.yaml"  # it names the folder of its network's code
    file.write_text(file.read_text().replace("/tmp/old-runs/data", str(folder / "datasets")))
    return folder


@pytest.fixture(scope="session")
def serving(old_runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Served]]:
    """Servers of the networks of `RUNS`, each begun when it is asked for."""
    begun: dict[str, Served] = {}
    with ExitStack() as stack:

        def server_of(name: str) -> Served:
            if name not in begun:
                model = Model(old_runs / name, trust_code=name == "marl")
                uploads = tmp_path_factory.mktemp("uploads")
                begun[name] = stack.enter_context(served(model, uploads, Threads()))
            return begun[name]

        yield server_of
