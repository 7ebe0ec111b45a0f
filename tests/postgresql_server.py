"""A real PostgreSQL server on loopback, with its data in a temporary folder."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from pathlib import Path

import pytest

from processes import run

PASSWORD = "not for others"
_DEBIAN = sorted(Path("/usr/lib/postgresql").glob("*/bin"))[-1:]
_NOBODY = 65534
QUICK = "-c fsync=off -c shared_buffers=16MB"
CONNECTIONS = 50


class PostgreSQL:
    """A server with the user ``netwright``, who needs `PASSWORD`, and with a database for each test.

    The server refuses to run as root, so it then runs as the user nobody.

    Args:
        programs: the folder of its programs.
        connections: how many it allows.
    """

    def __init__(self, programs: Path, connections: int = CONNECTIONS) -> None:
        self._programs = programs
        self._options = f"{QUICK} -c max_connections={connections}"
        self._root = Path(tempfile.mkdtemp(prefix="netwright-postgresql-"))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._data = self._root / "data"
        (self._root / "password").write_text(PASSWORD)
        if os.getuid() == 0:
            shutil.chown(self._root, _NOBODY, _NOBODY)
            shutil.chown(self._root / "password", _NOBODY, _NOBODY)
        self._call(
            *(
                "initdb",
                "-D",
                self._data,
                "-U",
                "netwright",
                "-A",
                "scram-sha-256",
                "--no-sync",
                "-E",
                "UTF8",
            ),
            *("--pwfile", self._root / "password", "--no-locale", "--no-instructions"),
        )
        self.start()

    def _call(self, program: str, *arguments: object) -> None:
        drop = (
            ("setpriv", "--reuid", _NOBODY, "--regid", _NOBODY, "--clear-groups") if os.getuid() == 0 else ()
        )
        log = self._root / "output"
        with log.open("a") as output:  # no pipe: the server inherits it
            done = run(
                [*drop, self._programs / program, *arguments],
                seconds=60,
                stdout=output,
                stderr=output,
                cwd=self._root,
            )
        assert done.returncode == 0, log.read_text()

    def start(self) -> None:
        """Starts the server, and waits until it answers."""
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -k {self._root} {self._options}"
        self._call("pg_ctl", "start", "-w", "-s", "-D", self._data, "-o", options, "-l", self._root / "log")

    def stop(self, mode: str = "immediate") -> None:
        """Stops the server at once, in the middle of whatever it does, as a power cut would.

        With the mode "fast" it tidies up, its shared memory too.
        """
        self._call("pg_ctl", "stop", "-w", "-s", "-D", self._data, "-m", mode)

    def url(self, database: str) -> str:
        """The URL of a database."""
        return f"postgresql+psycopg://netwright@127.0.0.1:{self.port}/{database}"

    def execute(self, query: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """The rows of a query, in a connection of its own."""
        import psycopg

        with psycopg.connect(
            host="127.0.0.1",
            port=self.port,
            user="netwright",
            dbname=database,
            password=PASSWORD,
            autocommit=True,
        ) as connection:
            cursor = connection.execute(query)
            return [] if cursor.description is None else cursor.fetchall()

    def close(self) -> None:
        """Stops the server and removes its data."""
        self.stop("fast")
        shutil.rmtree(self._root)


def started_server(connections: int = CONNECTIONS) -> PostgreSQL:
    """A new server that allows so many connections. Where there is none to start, the test is skipped."""
    found = shutil.which("initdb", path=os.pathsep.join([os.environ["PATH"], *map(str, _DEBIAN)]))
    if found is None:
        pytest.skip("there is no PostgreSQL server: install Debian's package postgresql")
    pytest.importorskip("psycopg", reason="psycopg is not installed: pip install 'netwright[postgresql]'")
    if os.getuid() == 0 and shutil.which("setpriv") is None:
        pytest.skip(
            "the PostgreSQL server does not run as root, and there is no setpriv to start it as nobody"
        )
    return PostgreSQL(Path(found).resolve().parent, connections)
