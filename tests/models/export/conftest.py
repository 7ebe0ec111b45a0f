"""Old runs of every kind of network, unpacked: they are there at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from archives import unpack

OLD_RUNS = Path(__file__).resolve().parents[2] / "fixtures" / "old_runs"
KINDS = ("segnas7", "policy-gradient", "marl", "marl-vgg16", "pdas-inpainting", "pdas-cells", "marl-unet")
MADE_IN = "/tmp/old-runs/data"


@pytest.fixture(scope="session")
def old_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run of each of `KINDS`, and their ``datasets``."""
    folder = tmp_path_factory.mktemp("old")
    for name in ("datasets", *KINDS):
        unpack(OLD_RUNS / f"{name}.tar.xz", folder / name)
    for name in KINDS:
        file = folder / name / "run.yaml"
        file.write_text(file.read_text().replace(MADE_IN, str(folder / "datasets")))
    return folder
