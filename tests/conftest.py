"""What all tests share: a small dataset on disk, a cache of their own, and the command as a user runs it."""

from __future__ import annotations

import gc
import os
import secrets
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from filelock import FileLock
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from commands import in_this_process
from disk import without_waiting
from netwright.data.samples.images import (
    write_classification_sample,
    write_multilabel_sample,
    write_segmentation_sample,
)
from netwright.data.samples.inpainting import write_inpainting_sample
from netwright.data.samples.phantoms import write_sample
from netwright_tests import EXECUTABLE, SMALL
from postgresql_server import PASSWORD, PostgreSQL, started_server
from processes import pytest_timeout_set_timer, run
from shared_workers import SharedWorkers

__all__ = ["pytest_timeout_set_timer"]

Command = Callable[..., subprocess.CompletedProcess[str]]
MadeOnce = Callable[[str, Callable[[Path], object]], Path]

# Property tests know no deadlines: how long an example takes says how busy the machine is. `make test` tries the same
# examples on every run, so that a failure comes from the change; `make test-all` draws new ones.
UNHURRIED = hypothesis_settings(deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
hypothesis_settings.register_profile("repeatable", UNHURRIED, derandomize=True)
hypothesis_settings.register_profile("exploring", UNHURRIED)
hypothesis_settings.load_profile("repeatable")

# Whoever starts the tests in the background may ignore these, and so would every process that a test sends them to.
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD):
    if signal.getsignal(number) == signal.SIG_IGN:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
# A Python that is ended by SIGABRT, as hanging children are, writes down where it was.
os.environ["PYTHONFAULTHANDLER"] = "1"


@pytest.hookimpl(tryfirst=True)  # before tests are chosen by their marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whoever asks for the database server runs with the tests of clusters."""
    for item in items:
        if "postgresql" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.cluster)


def pytest_collection_finish() -> None:
    """Leaves what was imported and collected out of the garbage collections that follow every training.

    Of all tests these are objects by the million: a collection took a second, a third of the suite's time.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="module", autouse=True)
def without_what_earlier_files_left() -> Iterator[None]:
    """The same for the modules that a file of tests has imported."""
    yield
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Two processes of tests that compute with two threads each wait for one another at every operation."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def quick_disk() -> Iterator[None]:
    with without_waiting():
        yield


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    before = os.environ.get("NETWRIGHT_CACHE")
    cache = tmp_path_factory.mktemp("cache")
    os.environ["NETWRIGHT_CACHE"] = str(cache)
    yield cache
    if before is None:
        del os.environ["NETWRIGHT_CACHE"]
    else:
        os.environ["NETWRIGHT_CACHE"] = before


@pytest.fixture(scope="session")
def worker_pool() -> Iterator[SharedWorkers]:
    workers = SharedWorkers()
    yield workers
    workers.shutdown()


@pytest.fixture
def shared_workers(worker_pool: SharedWorkers) -> Iterator[None]:
    """What the test trains is trained by workers that are already there."""
    with worker_pool.lent():
        yield


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> MadeOnce:
    """Makes a folder that all processes of tests read: the first that needs it; another one waits."""
    base = tmp_path_factory.getbasetemp()
    shared = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "shared"
    shared.mkdir(exist_ok=True)

    def made(name: str, make: Callable[[Path], object]) -> Path:
        folder, whole = shared / name, shared / f"{name}.whole"
        with FileLock(shared / f"{name}.lock"):
            if not whole.exists():
                shutil.rmtree(folder, ignore_errors=True)
                make(folder)
                whole.touch()
        return folder

    return made


@pytest.fixture(scope="session")
def dataset(made_once: MadeOnce) -> Path:
    """Eight phantoms of at most 24 voxels a side."""
    return made_once("Sample", lambda folder: write_sample(folder, cases=8, size=24))


@pytest.fixture(scope="session")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of four classes, 8 of each for training and 2 for testing, 16 pixels a side."""
    return write_classification_sample(tmp_path_factory.mktemp("data") / "Shapes", pictures=8, size=16)


@pytest.fixture(scope="session")
def several_shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty pictures with none, one or several of four labels, 16 pixels a side."""
    return write_multilabel_sample(tmp_path_factory.mktemp("data") / "SeveralShapes", pictures=40, size=16)


@pytest.fixture(scope="session")
def cells(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten pictures of 24 pixels a side, with masks of two labels."""
    return write_segmentation_sample(tmp_path_factory.mktemp("data") / "Cells", pictures=10, size=24)


@pytest.fixture(scope="session")
def tiles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty pictures in colours, without classes, 16 pixels a side."""
    return write_inpainting_sample(tmp_path_factory.mktemp("data") / "Tiles", pictures=20, size=16)


@pytest.fixture(scope="session")
def netwright(worker_pool: SharedWorkers) -> Command:
    """The command without processes of its own, which take seconds to start; ``cwd`` is the folder it is run in."""

    def command(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        with worker_pool.lent():
            return in_this_process(*arguments, cwd=cwd)

    return command


@pytest.fixture(scope="session")
def installed() -> Command:
    """The installed command in a process, as a user runs it; ``cwd`` is the folder it is started in."""

    def command(
        *arguments: object, timeout: float = 300, cwd: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        return run([EXECUTABLE, *arguments], seconds=timeout, cwd=cwd)

    return command


@pytest.fixture(scope="session")
def _postgresql() -> Iterator[PostgreSQL]:
    server = started_server()
    yield server
    server.close()


@pytest.fixture
def postgresql(_postgresql: PostgreSQL, monkeypatch: pytest.MonkeyPatch) -> PostgreSQL:
    """A real server, whose password is in the environment."""
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    return _postgresql


@pytest.fixture
def database(postgresql: PostgreSQL) -> Iterator[str]:
    """The URL of an empty database on it."""
    from netwright.runs import postgresql as backend

    name = f"test_{secrets.token_hex(4)}"
    postgresql.execute(f"CREATE DATABASE {name}")
    url = postgresql.url(name)
    yield url
    backend._engine_of(url).dispose()
    postgresql.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def finished_run(
    dataset: Path, netwright: Command, made_once: MadeOnce, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A small run with its final comparison, made by the command line: each process of tests has its own copy."""

    def search(folder: Path) -> None:
        done = netwright(
            *("search", dataset, "--recipe", "segnas4", "-o", folder, "--trials", 4, *SMALL),
            *("--set", "verdict.references=[monai-unet]", "--set", "verdict.epochs=2"),
        )
        assert done.returncode == 0, done.stderr + done.stdout

    return shutil.copytree(made_once("finished", search), tmp_path_factory.mktemp("runs") / "finished")
