"""The server itself: a socket, a worker process, a folder for uploads, and their end."""

from __future__ import annotations

import contextlib
import importlib.util
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netwright.errors import NetwrightError, SettingsError
from netwright.execution.executors import make_executor
from netwright.execution.resources import available_cores, memory_share_mb, process_limit_mb
from netwright.serving.prediction import Model, describe

if TYPE_CHECKING:
    import uvicorn

    from netwright.serving.service import Service

ENDING_SECONDS = 3
"""Answers that are being sent when the server ends have this long."""


def require_server() -> None:
    """Refuse to go on without the packages of a server.

    Raises:
        SettingsError: one is missing.
    """
    for package in ("fastapi", "uvicorn"):
        if importlib.util.find_spec(package) is None:
            raise SettingsError(
                f"A server needs {package}, which is not installed. Run pip install 'netwright[serve]', or use "
                "'netwright predict', which needs no server."
            )


def serve(
    model: Model, host: str, port: int, most_mb: float, on_ready: Callable[[str, dict[str, Any]], None]
) -> None:
    """Serve until interrupted.

    Args:
        model: the network.
        host: the address to listen on.
        port: 0: a free one.
        most_mb: of an upload, in MB of 1e6 bytes.
        on_ready: called with the address and what ``GET /about`` says.

    Raises:
        NetwrightError: the port is taken, or the address is none of this machine.
        RunError: there is no trained network yet.
        SettingsError: a package is missing.
    """
    require_server()
    from netwright.serving.service import Service

    with contextlib.ExitStack() as stack:
        listening = stack.enter_context(listening_socket(host, port))
        folder = stack.enter_context(
            tempfile.TemporaryDirectory(prefix="netwright-serve-", ignore_cleanup_errors=True)
        )
        # A small file may unpack, or be resampled, to more than the machine has: only that prediction then fails.
        limit = process_limit_mb("auto", memory_share_mb("auto", 1))
        executor = stack.enter_context(make_executor(1, available_cores(), limit, name="local"))
        about = executor.submit(describe, model).result()
        service = Service(model, about, executor, Path(folder), int(most_mb * 1e6))
        server = make_server(service, host)
        on_ready(_address(host, int(listening.getsockname()[1])), service.about)
        with contextlib.suppress(KeyboardInterrupt):  # uvicorn raises the signal again when it has ended
            server.run(sockets=[listening])


def make_server(service: Service, host: str) -> uvicorn.Server:
    """A server that is not yet run. ``host``: the address that it will listen on."""
    import uvicorn

    from netwright.serving.app import make_app

    config = uvicorn.Config(
        make_app(service, host),
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=ENDING_SECONDS,
    )
    server = uvicorn.Server(config)
    service.ending = lambda: server.should_exit
    return server


def listening_socket(host: str, port: int) -> socket.socket:
    """A socket that accepts connections. ``port``: 0 for a free one.

    Raises:
        NetwrightError: the port is taken, or the address is none of this machine.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind, protocol)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(address)
            listening.listen(64)
        except OSError:
            listening.close()
            raise
        return listening
    except OSError as error:
        raise NetwrightError(
            f"{host} port {port} cannot be used ({error.strerror or error}): expected an address of this machine and a "
            "free port. Choose another with --port or --host."
        ) from None


def _address(host: str, port: int) -> str:
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"
