"""The dashboard as it is served: real requests to the real server."""

from __future__ import annotations

import http.client
import json
import re
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
import psutil
import pytest
from optuna.storages import BaseStorage, RDBStorage
from optuna_dashboard import wsgi

from netwright.dashboard import server
from netwright.dashboard.copies import Application
from netwright.dashboard.server import Pages
from netwright.errors import RunError
from netwright.runs.folder import RunFolder, open_run_folder
from netwright_tests import EXECUTABLE
from processes import finish, line_of, wait_until

SETTINGS = """
recipe: segnas4
dataset: {path: /nowhere}
space: {name: segnas}
strategy: {name: random}
objective: {metric: dice}
"""


@dataclass(frozen=True)
class Served:
    """A run, and where its dashboard is."""

    run: Path
    port: int
    process: int

    def ask(
        self, method: str, path: str, host: str | None = None, body: str = ""
    ) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of the answer; ``host`` "": without the header."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.putrequest(method, path, skip_host=True)
        if host != "":
            connection.putheader("Host", host or f"127.0.0.1:{self.port}")
        connection.putheader("Content-Type", "application/json")
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body.encode())
        answer = connection.getresponse()
        found = answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        connection.close()
        return found

    def study(self) -> dict[str, Any]:
        """What the page is made of."""
        status, _, body = self.ask("GET", "/api/studies/1")
        assert status == 200
        found: dict[str, Any] = json.loads(body)
        return found

    def contents(self) -> dict[str, tuple[bytes, int]]:
        return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in self.run.iterdir()}


def add_trials(run: Path, count: int) -> None:
    """As a search stores them."""
    storage = RDBStorage(f"sqlite:///{run / 'study.db'}")
    study = optuna.create_study(
        storage=storage, study_name="search", direction="maximize", load_if_exists=True
    )
    for _ in range(count):
        trial = study.ask({"n": optuna.distributions.IntDistribution(1, 4)})
        study.tell(trial, 0.1 * trial.params["n"])
    storage.engine.dispose()


@contextmanager
def serving(run: Path) -> Iterator[tuple[Served, subprocess.Popen[str]]]:
    """A run's dashboard and its process, which is ended as the system ends it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    words = [str(EXECUTABLE), "dashboard", str(run), "--port", str(port)]
    server = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert line_of(server) == f"dashboard  http://127.0.0.1:{port}/ (Ctrl-C ends it)\n"
        yield Served(run, port, server.pid), server
    finally:
        server.terminate()
        finish(server, 60)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A run of three trials, of settings and storage alone, which is all that is shown."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    folder.mkdir()
    (folder / "run.yaml").write_text(SETTINGS)
    add_trials(folder, 3)
    with serving(folder) as (found, _):
        yield found


def changing_requests() -> list[tuple[str, str]]:
    """Every rule of the dashboard that is no reading, as its own application lists them."""
    app: Any = wsgi(optuna.storages.InMemoryStorage())
    rules = [(route.method, re.sub(r"<[^>]*>", "1", route.rule)) for route in app.routes]
    return sorted({(method, path) for method, path in rules if method not in ("GET", "HEAD")})


def test_no_request_but_a_reading_one_is_answered(served: Served) -> None:
    before = served.contents()
    asked = changing_requests()
    assert {method for method, _ in asked} >= {"DELETE", "POST", "PUT"}
    assert ("DELETE", "/api/studies/1") in asked
    asked += [(method, "/api/studies/1") for method in ("PATCH", "OPTIONS", "TRACE", "get", "PROPFIND")]
    for method, path in asked:
        for body in ("", json.dumps({"study_name": "x", "directions": ["maximize"], "state": "Fail"})):
            status, _, answer = served.ask(method, path, body=body)
            assert (status, b"changes nothing" in answer) == (403, True), (method, path)
    assert len(served.study()["trials"]) == 3
    assert served.contents() == before


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE"])
@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "evil.example:8080", "", "127.0.0.1.evil.example", "localhost.evil.example"),
        *("a@localhost", "127.0.0.1:80/x", "192.168.0.1", "localhost:80x"),
    ],
)
def test_another_name_than_this_machine_s_is_refused(served: Served, host: str, method: str) -> None:
    for path in ("/api/studies/1", "/", "/dashboard/studies/1", "/csv/1"):
        status, _, body = served.ask(method, path, host=host)
        assert status == 403
        assert b"trial" not in body


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:9000", "127.0.0.1"])
def test_this_machine_s_names_are_answered(served: Served, host: str) -> None:
    assert served.ask("GET", "/api/studies", host=host)[0] == 200


def test_the_page_is_that_of_the_run_s_study_with_its_metric(served: Served) -> None:
    for path in ("/", "/dashboard", "/dashboard/"):
        status, headers, _ = served.ask("GET", path)
        assert (status, headers["location"]) == (302, "/dashboard/studies/1")
    assert served.study()["objective_names"] == ["dice"]
    status, headers, page = served.ask("GET", "/dashboard/studies/1")
    assert status == 200
    assert int(headers["content-length"]) == len(page)
    head = served.ask("HEAD", "/dashboard/studies/1")
    assert (head[0], head[1]["content-length"], head[2]) == (200, headers["content-length"], b"")
    assert served.ask("GET", "/static/bundle.js")[0] == 200


def test_nobody_but_this_machine_is_listened_to(served: Served) -> None:
    status, _, body = served.ask("GET", "/api/studies")
    assert (status, [one["study_name"] for one in json.loads(body)["study_summaries"]]) == (200, ["search"])
    connections = psutil.Process(served.process).net_connections()
    assert [one.laddr.ip for one in connections if one.status == "LISTEN"] == ["127.0.0.1"]


def test_new_trials_are_shown_while_the_search_goes_on(served: Served) -> None:
    before = len(served.study()["trials"])
    add_trials(served.run, 2)
    stored = served.contents()
    wait_until(lambda: len(served.study()["trials"]) == before + 2)
    assert served.study()["objective_names"] == ["dice"]
    assert served.contents() == stored


def test_it_ends_in_the_middle_of_a_request_and_while_a_browser_asks_nothing(served: Served) -> None:
    """The signal comes while several are being answered: whatever it meets ends with it."""
    asked = f"GET /api/studies/1 HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\n\r\n".encode()
    with serving(served.run) as (own, server), ExitStack() as connections:
        asking = []
        connections.enter_context(socket.create_connection(("127.0.0.1", own.port)))
        time.sleep(0.5)
        for _ in range(5):
            connection = connections.enter_context(
                socket.create_connection(("127.0.0.1", own.port), timeout=60)
            )
            connection.sendall(asked)
            asking.append(connection)
        assert asking[0].recv(8) == b"HTTP/1.0"
        server.terminate()
        _, errors = finish(server, 30)
        assert (server.returncode, errors) == (0, "")


def test_a_browser_that_is_silent_or_reads_nothing_does_not_hold_up_others(served: Served) -> None:
    """One has sent half a request; another does not take the largest file, which fills what the system holds back."""
    with ExitStack() as connections:
        for _ in range(3):
            for asked in (
                b"GET /api/studies/1 HT",
                b"GET /static/bundle.js HTTP/1.1\r\nHost: localhost\r\n\r\n",
            ):
                silent = socket.socket()
                connections.enter_context(silent)
                silent.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                silent.connect(("127.0.0.1", served.port))
                silent.sendall(asked)
        time.sleep(0.5)
        begun = time.monotonic()
        assert len(served.study()["trials"]) >= 3
        assert time.monotonic() - begun < 20


def get(pages: Pages, path: str) -> bytes:
    """The body of a page, made in this thread."""
    body = pages({"REQUEST_METHOD": "GET", "PATH_INFO": path, "HTTP_HOST": "localhost"}, lambda *_: None)
    text = b"".join(body)
    body.close()  # type: ignore[attr-defined]
    return text


def test_a_slow_page_holds_up_no_other_and_keeps_the_copy_that_it_is_made_from(tmp_path: Path) -> None:
    """An application of two pages that count trials; one of them waits until it is told to go on."""
    (tmp_path / "run.yaml").write_text(SETTINGS)
    add_trials(tmp_path, 1)
    begun, go_on = threading.Event(), threading.Event()

    def counting(storage: BaseStorage) -> Application:
        def answer(environ: dict[str, Any], start: Callable[..., Any]) -> list[bytes]:
            if environ["PATH_INFO"] == "/slow":
                begun.set()
                assert go_on.wait(60)
            start("200 OK", [("Content-Type", "text/plain")])
            return [str(storage.get_n_trials(1)).encode()]

        return answer

    pages = Pages(open_run_folder(tmp_path), "dice", counting)
    with ThreadPoolExecutor(2) as threads:
        try:
            pages.refresh()
            slow = threads.submit(get, pages, "/slow")
            assert begun.wait(60)
            add_trials(tmp_path, 1)
            wait_until(lambda: get(pages, "/quick") == b"2", seconds=30)
            ended = threads.submit(pages.close)
            assert not wait([slow, ended], timeout=0.5).done, "the end waits for the page"
        finally:
            go_on.set()
        assert slow.result(60) == b"1", "from the copy that it began with"
        ended.result(60)
    assert get(pages, "/quick") == b"", "no page after the end"


def test_a_database_is_not_asked_with_each_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor while it is away, when each look may take long."""
    (tmp_path / "run.yaml").write_text(SETTINGS)
    add_trials(tmp_path, 1)
    looks, look = [], server.storage_stamp

    def counted(folder: RunFolder) -> object:
        looks.append(folder)
        if len(looks) > 1:
            raise RunError("it is away")
        return look(folder)

    def application(storage: BaseStorage) -> Application:
        def answer(environ: dict[str, Any], start: Callable[..., Any]) -> list[bytes]:
            start("200 OK", [("Content-Type", "text/plain")])
            return [b"shown"]

        return answer

    monkeypatch.setattr(server, "storage_stamp", counted)
    monkeypatch.setattr(server, "REFRESH_SECONDS", 0.5)
    pages = Pages(open_run_folder(tmp_path), "dice", application)
    pages.refresh()
    begun = time.monotonic()
    while time.monotonic() - begun < 0.8:
        assert get(pages, "/any") == b"shown"
    assert 2 <= len(looks) <= 1 + (time.monotonic() - begun) / 0.5
    pages.close()
