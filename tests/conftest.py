"""What all tests share: a small dataset on disk, a cache of their own, and the command as a user runs it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from netwright.data.samples import write_sample
from netwright_tests import EXECUTABLE, SMALL

Command = Callable[..., subprocess.CompletedProcess[str]]


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
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight phantoms of at most 24 voxels a side."""
    return write_sample(tmp_path_factory.mktemp("data") / "Sample", cases=8, size=24)


@pytest.fixture(scope="session")
def netwright() -> Command:
    """The installed command, run to its end."""

    def run(*arguments: object, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [EXECUTABLE, *map(str, arguments)], capture_output=True, text=True, timeout=timeout, check=False
        )

    return run


@pytest.fixture(scope="session")
def finished_run(dataset: Path, netwright: Command, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small run with its final comparison, made by the command line."""
    folder = tmp_path_factory.mktemp("runs") / "finished"
    done = netwright(
        *("search", dataset, "--recipe", "segnas4", "-o", folder, "--trials", 4, "--verdict-hours", 0.012),
        *("--set", "verdict.references=[monai-unet]", *SMALL),
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return folder
