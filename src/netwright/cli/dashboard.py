"""Optuna-dashboard on a copy of a run's study: for viewing on this machine, never for changes.

Its server answers everybody, even requests to delete. So it gets a copy, which is made again whenever the search has
stored something. Only GET and HEAD requests reach it, and none that was sent to another host name than this machine's,
as somebody else's page can make a browser do.
"""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from netwright.errors import NetwrightError, RunError
from netwright.objective import ObjectiveSettings
from netwright.runs.folder import RunFolder
from netwright.runs.storage import has_storage, reading_storage, storage_stamp
from netwright.runs.trials import STUDY_NAME

HOST = "127.0.0.1"

REFRESH_SECONDS = 2.0
"""A study that changes is copied at most this often, and for at most a fifth of the time."""

LAST_PAGE_SECONDS, LAST_SENDING_SECONDS = 30.0, 0.5
"""The most seconds for a request that is being answered when the dashboard is ended: to make the page, and to send
it."""

_HOSTS = re.compile(r"(localhost|127\.0\.0\.1)(:\d+)?", re.IGNORECASE)
_PAGES = ("", "/dashboard")
_METRIC_NAMES = "study:metric_names"

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

Environ = dict[str, Any]
Start = Callable[..., Any]


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Print nothing: a line per request is not worth it."""


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
    with contextlib.closing(_Pages(folder, _named(folder.settings().objective))) as pages:
        pages.refresh()
        try:
            server = make_server(HOST, port, pages, handler_class=_Quiet)
        except OSError as error:
            raise NetwrightError(
                f"Port {port} cannot be used ({error.strerror}). Choose another with --port."
            ) from None
        with server:
            answering = threading.Thread(target=server.serve_forever, name="netwright-dashboard", daemon=True)
            answering.start()
            on_ready(f"http://{HOST}:{server.server_port}/")
            _wait_for_interrupt(server, answering)


def _wait_for_interrupt(server: WSGIServer, answering: threading.Thread) -> None:
    """Wait for Ctrl-C and similar signals while another thread answers requests.

    An exception from a signal in the main thread must not hit a request: wsgiref would treat it as an error of that
    page and go on serving. A browser that has connected but sends no request does not delay the end.
    """
    with contextlib.suppress(KeyboardInterrupt):
        answering.join()
    threading.Thread(target=server.shutdown, daemon=True).start()
    answering.join(LAST_SENDING_SECONDS)


@dataclass(frozen=True)
class _Answer:
    """An answer of the dashboard: status, headers and body."""

    status: str
    headers: list[tuple[str, str]]
    body: bytes


class _Pages:
    """The served application: optuna-dashboard's, behind a filter, on a copy of the run's study."""

    def __init__(self, folder: RunFolder, metric: str) -> None:
        self._folder = folder
        self._metric = metric
        self._stamp: object = None
        self._next = 0.0
        self._study = 0
        self._app: Callable[[Environ, Start], Iterable[bytes]] | None = None
        self._copy = contextlib.ExitStack()
        self._answering = threading.Lock()
        self._closed = False

    def close(self) -> None:
        """Drop the copy, after any page that is being made from it is finished."""
        made = self._answering.acquire(timeout=LAST_PAGE_SECONDS)
        self._closed = True
        self._copy.close()
        if made:
            self._answering.release()

    def refresh(self) -> None:
        """Copy the study if it has changed since the last copy, but not too often.

        Raises:
            RunError: the database cannot be read.
        """
        from optuna_dashboard import wsgi

        stamp = storage_stamp(self._folder)
        began = time.monotonic()
        if stamp == self._stamp or began < self._next:
            return
        with contextlib.ExitStack() as copy:
            storage = copy.enter_context(reading_storage(self._folder))
            try:
                self._study = storage.get_study_id_from_name(STUDY_NAME)
            except KeyError:
                raise RunError(
                    f"{self._folder.root} has no trials to show yet. Start the search first."
                ) from None
            storage.set_study_system_attr(self._study, _METRIC_NAMES, [self._metric])
            self._app = wsgi(storage)
            self._copy.close()
            self._copy = copy.pop_all()
        self._stamp = stamp
        self._next = time.monotonic() + max(REFRESH_SECONDS, 4 * (time.monotonic() - began))

    def __call__(self, environ: Environ, start: Start) -> Iterable[bytes]:
        """Answer a request."""
        with self._answering:
            answer = _ENDED if self._closed else _refused(environ) or self._answered(environ)
        start(answer.status, answer.headers)
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [answer.body]

    def _answered(self, environ: Environ) -> _Answer:
        with contextlib.suppress(RunError):  # then the last copy is shown
            self.refresh()
        if environ.get("PATH_INFO", "").rstrip("/") in _PAGES:
            return _Answer("302 Found", [("Location", f"/dashboard/studies/{self._study}")], b"")
        assert self._app is not None  # because `serve` has made the first copy
        return _asked(self._app, environ)


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


def _asked(app: Callable[[Environ, Start], Iterable[bytes]], environ: Environ) -> _Answer:
    """The answer of an application; its pages lack the controls that would be refused."""
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
    kept = [(name, value) for name, value in headers if name.lower() != "content-length"]
    return _Answer(status, [*kept, ("Content-Length", str(len(body)))], body)


def _named(objective: ObjectiveSettings) -> str:
    """The name of the search's objective, in a word or two."""
    metric = objective.metric or "reward"
    return metric if objective.plain else f"reward from {metric}"
