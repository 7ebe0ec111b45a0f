"""Optuna-dashboard on a copy of a run's study: for viewing on this machine, never for changes.

Its server answers everybody, even requests to delete. So it gets a copy, which is made again whenever the search has
stored something. Only GET and HEAD requests reach it, and none that was sent to another host name than this machine's,
as somebody else's page can make a browser do.
"""

from __future__ import annotations

import contextlib
import re
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from optuna.storages import BaseStorage

from netwright.dashboard.copies import Application, Environ, Start, StudyCopy, copied
from netwright.dashboard.pictures import Drawn
from netwright.dashboard.trials import ShownTrials
from netwright.errors import NetwrightError, RunError, StorageError
from netwright.objective import ObjectiveSettings
from netwright.runs.folder import RunFolder
from netwright.runs.storage import has_storage, storage_stamp

HOST = "127.0.0.1"

REFRESH_SECONDS = 2.0
"""A study is looked at, and copied if it has changed, at most this often, and for at most a fifth of the time."""

REQUEST_SECONDS = 30.0
"""A browser that has connected must send its whole request within this many seconds of silence."""

LAST_PAGE_SECONDS, LAST_SENDING_SECONDS = 30.0, 0.5
"""The most seconds for requests that are being answered when the dashboard is ended: to make the pages, and to send
them."""

_HOSTS = re.compile(r"(localhost|127\.0\.0\.1)(:\d+)?", re.IGNORECASE)
_PAGES = ("", "/dashboard")

_CONTROLS = (
    "Delete",
    "DriveFileRenameOutline",
    "AddBox",
    "Edit",
    "ModeEdit",
    "StopCircle",
    "UploadFile",
    "Undo",
)
_ICONS = ",".join(f'button:has([data-testid="{name}Icon"])' for name in _CONTROLS)
_STYLE = f'<style>{_ICONS},a:has([data-testid="HomeIcon"]){{display:none!important}}</style>'
"""Hides the buttons that would delete, rename, make or change something, because they are refused, and the link to the
list of studies, because there is only one.
"""


class _Handler(WSGIRequestHandler):
    timeout = REQUEST_SECONDS

    def parse_request(self) -> bool:
        """Read a request. Only this is limited in time, because a page may take long to make and to send."""
        usable = super().parse_request()
        self.connection.settimeout(None)
        return usable

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing: a line per request is not worth it."""


class _Server(ThreadingMixIn, WSGIServer):
    """Answers each connection in a thread of its own, so that none waits for a slow page or a browser that is silent.

    Threads that are left over when the program ends do not keep it from ending.
    """

    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a browser that is gone or silent."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


def serve(folder: RunFolder, port: int, on_ready: Callable[[str], None]) -> None:
    """Serve until interrupted.

    Args:
        folder: the run.
        port: of the server.
        on_ready: called with the address.

    Raises:
        RunError: the run has no trials yet, or its database is damaged.
        NetwrightError: the port is taken.
    """
    if not has_storage(folder):
        raise RunError(f"{folder.root} has no trials to show yet. Start the search first.")
    with contextlib.closing(Pages(folder, _named(folder.settings().objective))) as pages:
        pages.refresh()
        with listening(pages, port) as server:
            accepting = threading.Thread(target=server.serve_forever, name="netwright-dashboard", daemon=True)
            accepting.start()
            on_ready(f"http://{HOST}:{server.server_port}/")
            _wait_for_interrupt(server, accepting)


def listening(pages: Pages, port: int) -> WSGIServer:
    """The server of the pages. It accepts connections; ``serve_forever`` answers them.

    Args:
        pages: to be served.
        port: of the server; 0: any that is free.

    Raises:
        NetwrightError: the port is taken.
    """
    try:
        return make_server(HOST, port, pages, server_class=_Server, handler_class=_Handler)
    except OSError as error:
        raise NetwrightError(
            f"Port {port} cannot be used ({error.strerror}). Choose another with --port."
        ) from None


def _wait_for_interrupt(server: WSGIServer, accepting: threading.Thread) -> None:
    """Wait for Ctrl-C and similar signals while other threads answer requests.

    An exception from a signal in the main thread must not hit a request: wsgiref would treat it as an error of that
    page and go on serving.
    """
    with contextlib.suppress(KeyboardInterrupt):
        accepting.join()
    server.shutdown()  # accepts no more connections; does not wait for those that are being answered


@dataclass(frozen=True)
class _Answer:
    """An answer of the dashboard: status, headers and body."""

    status: str
    headers: list[tuple[str, str]]
    body: bytes


class _Body:
    """The body of an answer. The server closes it when it was sent, or cannot be."""

    def __init__(self, body: bytes, on_close: Callable[[], None]) -> None:
        self._body = body
        self.close = on_close

    def __iter__(self) -> Iterator[bytes]:
        yield self._body


class Pages:
    """The served application: optuna-dashboard's, behind a filter, on a copy of the run's study. Each trial gets a note
    and pictures.

    Any number of threads may call it at once. A page is made from one copy from beginning to end, also if another
    thread makes a newer copy meanwhile.

    Args:
        folder: the run.
        metric: the name of its objective.
        make_app: makes the application for a storage; None: optuna-dashboard's.
    """

    def __init__(
        self, folder: RunFolder, metric: str, make_app: Callable[[BaseStorage], Application] | None = None
    ) -> None:
        self._folder = folder
        self._metric = metric
        self._shown = ShownTrials(folder, folder.settings())
        self._make_app = make_app or _dashboard()
        self._stamp: object = None
        self._next = 0.0
        self._refreshing = threading.Lock()
        self._copy: StudyCopy | None = None
        self._changed = threading.Condition()
        """Guards the counts of `StudyCopy` and those below."""
        self._making, self._sending = 0, 0
        self._closed = False

    def close(self) -> None:
        """Remove the copy, after the pages that are being made from it are finished and sent."""
        with self._changed:
            self._closed = True
            self._changed.wait_for(lambda: not self._making, LAST_PAGE_SECONDS)
            self._changed.wait_for(lambda: not self._sending, LAST_SENDING_SECONDS)
        if self._copy is not None:
            self._copy.files.close()

    def refresh(self) -> None:
        """Copy the study if it has changed since the last copy; it is looked at every few seconds at most. One thread
        does so at a time; for others the last copy will do.

        Raises:
            RunError: the database cannot be read.
        """
        if not self._refreshing.acquire(blocking=False):
            return
        began = time.monotonic()
        try:
            if began < self._next:
                return
            try:
                stamp = storage_stamp(self._folder)
                if stamp != self._stamp:
                    self._replace(copied(self._folder, self._metric, self._make_app))
                    self._stamp = stamp
            finally:
                self._next = time.monotonic() + max(REFRESH_SECONDS, 4 * (time.monotonic() - began))
        finally:
            self._refreshing.release()

    def _replace(self, copy: StudyCopy) -> None:
        with self._changed:
            before, self._copy = self._copy, copy
            if before is not None:
                before.replaced = True
            unused = before is not None and not before.readers
        if before is not None and unused:
            before.files.close()

    @contextlib.contextmanager
    def _reading(self) -> Iterator[StudyCopy]:
        """The last copy, which stays until the block ends."""
        with self._changed:
            copy = self._copy
            assert copy is not None  # because `serve` has made the first one
            copy.readers += 1
        try:
            yield copy
        finally:
            with self._changed:
                copy.readers -= 1
                unused = copy.replaced and not copy.readers
            if unused:
                copy.files.close()

    def __call__(self, environ: Environ, start: Start) -> Iterable[bytes]:
        """Answer a request."""
        answer = self._made(environ)
        start(answer.status, answer.headers)
        return _Body(b"" if environ["REQUEST_METHOD"] == "HEAD" else answer.body, self._sent)

    def _made(self, environ: Environ) -> _Answer:
        """Make a page. Once it is made it counts as being sent."""
        with self._changed:
            closed = self._closed
            self._making += 1
        made = 0
        try:
            answer = _ENDED if closed else _refused(environ) or self._answered(environ)
            made = 1
            return answer
        finally:
            with self._changed:
                self._making -= 1
                self._sending += made
                self._changed.notify_all()

    def _sent(self) -> None:
        with self._changed:
            self._sending -= 1
            self._changed.notify_all()

    def _answered(self, environ: Environ) -> _Answer:
        with contextlib.suppress(RunError, StorageError):  # then the last copy is shown
            self.refresh()
        path = environ.get("PATH_INFO", "").rstrip("/")
        with self._reading() as copy:
            if path in _PAGES:
                return _Answer("302 Found", [("Location", f"/dashboard/studies/{copy.study}")], b"")
            drawn = self._shown.picture(path, copy)
            if drawn is not None:
                return _picture(drawn)
            return _asked(copy.app, environ, partial(self._shown.completed, path, copy=copy))


def _dashboard() -> Callable[[BaseStorage], Application]:
    """Optuna-dashboard's application. It takes long to import, which must not count as the time of a copy."""
    from optuna_dashboard import wsgi

    made: Callable[[BaseStorage], Application] = wsgi
    return made


def _refused(environ: Environ) -> _Answer | None:
    """The answer to a request that must not reach the dashboard; None for an allowed request."""
    if not _HOSTS.fullmatch(environ.get("HTTP_HOST", "")):
        return _forbidden(
            "Ask for localhost or 127.0.0.1: the dashboard answers to this machine's names alone."
        )
    if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
        return _forbidden("The dashboard shows a run and changes nothing in it.")
    return None


def _forbidden(text: str) -> _Answer:
    body = f"{text}\n".encode()
    headers = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))]
    return _Answer("403 Forbidden", headers, body)


_ENDED = _Answer("503 Service Unavailable", [("Content-Length", "0")], b"")


def _picture(drawn: Drawn) -> _Answer:
    """A picture, which runs no script, whatever is in it, also where a browser opens it as a page."""
    headers = [
        ("Content-Type", drawn.type),
        ("Content-Length", str(len(drawn.contents))),
        ("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; sandbox"),
        ("X-Content-Type-Options", "nosniff"),
    ]
    return _Answer("200 OK", headers, drawn.contents)


def _asked(app: Application, environ: Environ, completed: Callable[[bytes], bytes]) -> _Answer:
    """The answer of an application; its pages lack the controls that would be refused.

    Args:
        app: the application.
        environ: the request.
        completed: adds to the body of an answer what else is shown.
    """
    told: list[tuple[str, list[tuple[str, str]]]] = []

    def start(status: str, headers: Sequence[tuple[str, str]], *_: object) -> Callable[[bytes], object]:
        told.append((status, list(headers)))
        return lambda _: None

    whole = {
        name: value for name, value in environ.items() if name not in ("HTTP_IF_MODIFIED_SINCE", "HTTP_RANGE")
    }
    parts = app({**whole, "REQUEST_METHOD": "GET"}, start)
    body = b"".join(parts)
    if callable(close := getattr(parts, "close", None)):
        close()
    status, headers = told[-1]
    if any(name.lower() == "content-type" and value.startswith("text/html") for name, value in headers):
        body = body.replace(b"</head>", f"{_STYLE}</head>".encode(), 1)
    if status.startswith("200"):
        body = completed(body)
    kept = [(name, value) for name, value in headers if name.lower() != "content-length"]
    return _Answer(status, [*kept, ("Content-Length", str(len(body)))], body)


def _named(objective: ObjectiveSettings) -> str:
    """The name of the search's objective, in a word or two."""
    metric = objective.metric or "reward"
    return metric if objective.plain else f"reward from {metric}"
