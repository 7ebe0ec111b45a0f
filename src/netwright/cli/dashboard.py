"""Optuna-dashboard on a run's storage, bound to this machine."""

from __future__ import annotations

from collections.abc import Callable
from wsgiref.simple_server import WSGIRequestHandler, make_server

from netwright.errors import NetwrightError, RunError
from netwright.study.folder import RunFolder
from netwright.study.records import open_storage

HOST = "127.0.0.1"


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Requests are not worth a line each."""


def serve(folder: RunFolder, port: int, on_ready: Callable[[str], None]) -> None:
    """Serve until interrupted; ``on_ready`` is told the address.

    Raises:
        RunError: the run has no trials yet.
        NetwrightError: the port is taken.
    """
    from optuna_dashboard import wsgi

    if not folder.database.exists():
        raise RunError(f"{folder.root} has no trials to show yet. Start the search first.")
    try:
        server = make_server(HOST, port, wsgi(open_storage(folder)), handler_class=_Quiet)
    except OSError as error:
        raise NetwrightError(
            f"Port {port} cannot be used ({error.strerror}). Choose another with --port."
        ) from None
    with server:
        on_ready(f"http://{HOST}:{server.server_port}/")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            return
