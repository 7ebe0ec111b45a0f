"""A folder with a user's own networks in it, and one run of each kind that many tests look at."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from netwright_tests import LAYERS

Command = Callable[..., subprocess.CompletedProcess[str]]

NETWORKS = Path(__file__).resolve().parents[1] / "tiny_networks.py"


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds ``own_networks.py`` and nothing else."""
    folder = tmp_path_factory.mktemp("workshop")
    shutil.copy(NETWORKS, folder / "own_networks.py")
    return folder


@pytest.fixture(scope="session")
def shapes_run(shapes: Path, workshop: Path, netwright: Command) -> Path:
    """Published agents tune a user's classifier under a limit that not all networks keep."""
    done = netwright(
        *("search", shapes, "--network", "own_networks:classifier", "-o", "shapes", *LAYERS["published"]),
        *("--limit", "parameters<=1000", "--verdict-hours", 0.0005),
        cwd=workshop,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    assert "use it   netwright predict shapes /path/to/images -o /path/to/classes" in done.stdout
    return workshop / "shapes"


@pytest.fixture(scope="session")
def cells_run(cells: Path, workshop: Path, netwright: Command) -> Path:
    """Coordinated agents tune a user's network for pictures with masks."""
    done = netwright(
        *("search", cells, "--network", "own_networks:segmenter", "-o", "cells", *LAYERS["coordinated"]),
        *("--set", "verdict.epochs=2"),
        cwd=workshop,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return workshop / "cells"
