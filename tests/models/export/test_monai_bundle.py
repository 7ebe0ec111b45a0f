"""Bundles that MONAI runs without netwright give the label maps of `predict`."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch
from torch import nn

import netwright as package
from archives import unpack
from netwright.data.volumes.preprocessing import PreprocessingSettings
from netwright.errors import ExportError, StorageError
from netwright.models.export.base import Exportable
from netwright.models.export.monai_bundle import MonaiBundle
from netwright.models.export.monai_bundle.configs import metadata
from netwright.tasks.segmentation.predictor import Segmenter
from netwright.tasks.segmentation.task import Segmentation
from processes import run
from running_exports import bundle_arguments, run_bundle_here

pytest.importorskip("fire")
pytest.importorskip("ignite")

OLD_RUNS = Path(__file__).resolve().parents[2] / "fixtures" / "old_runs"
GRIDS = {"LPS": (1.0, 1.0, 1.0), "PIR": (0.6, 1.3, 2.1), "SAL": (2.2, 0.7, 1.0), "RAS": (0.5, 0.5, 0.5)}
"""Axes of files, and their voxels in mm."""
COMMAND = """
import runpy, sys
sys.modules["netwright"] = None  # an import fails
sys.argv[0] = "monai.bundle"
runpy.run_module("monai.bundle", run_name="__main__", alter_sys=True)
"""


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Balls in noise, on grids with other axes and voxels, one of them oblique."""
    folder = tmp_path_factory.mktemp("images")
    for number, (axes, spacing) in enumerate(GRIDS.items()):
        save(folder / f"scan_{number}.nii.gz", axes, spacing, seed=number)
    return folder


def save(path: Path, axes: str, spacing: tuple[float, ...], seed: int, level: float = 0.0) -> None:
    random = np.random.default_rng(seed)
    shape = [round(length / edge) for length, edge in zip((16, 17, 13), spacing, strict=True)]
    places = np.meshgrid(
        *((np.arange(n) - n / 2) * s for n, s in zip(shape, spacing, strict=True)), indexing="ij"
    )
    ball = sum(place**2 for place in places) < 25
    voxels = level + 100 * ball + random.normal(0, 20, shape)
    voxels[:2] = 0
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(0.2), -np.sin(0.2)], [np.sin(0.2), np.cos(0.2)]]
    image = nibabel.Nifti1Image(
        voxels.astype(np.float32), turn @ np.diag([*spacing, 1]) if seed == 1 else np.diag([*spacing, 1])
    )
    turned = nibabel.orientations.ornt_transform(
        nibabel.orientations.io_orientation(image.affine), nibabel.orientations.axcodes2ornt(axes)
    )
    nibabel.save(image.as_reoriented(turned), path)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    for name in ("segnas7", "policy-gradient"):
        unpack(OLD_RUNS / f"{name}.tar.xz", folder / name)
    return folder


def require_equal(labels: Path, predicted: Path) -> None:
    """The same files with the same labels on the same grids, and more than one label in all."""
    names = [file.name for file in sorted(predicted.glob("*.nii.gz"))]
    assert [file.name for file in sorted(labels.iterdir())] == names
    seen: set[int] = set()
    for name in names:
        ours, theirs = nibabel.load(predicted / name), nibabel.load(labels / name)
        np.testing.assert_allclose(theirs.affine, ours.affine, atol=1e-5)
        expected = np.asarray(ours.dataobj)
        differing = float(np.mean(np.asarray(theirs.dataobj) != expected))
        assert differing <= 1e-3, f"{name}: {differing}"  # only where two probabilities nearly tie
        seen |= set(np.unique(expected).tolist())
    assert len(seen) > 1


@pytest.mark.filterwarnings("ignore")  # of MONAI: that it runs what it is given
def test_slices_are_segmented_as_by_predict(runs: Path, images: Path, tmp_path: Path) -> None:
    opened = package.open_run(runs / "policy-gradient")
    bundle = opened.export(tmp_path, format="monai-bundle")
    assert bundle == tmp_path / "policy-gradient-monai-bundle"
    run_bundle_here(bundle, images, tmp_path / "labels")
    opened.predict(images, tmp_path / "predicted", postprocessing=False)
    require_equal(tmp_path / "labels", tmp_path / "predicted")
    told = json.loads((bundle / "configs" / "metadata.json").read_text())["not_applied"]
    assert told == ["the fully connected CRF"]
    for script in (bundle / "scripts").glob("*.py"):
        assert not re.search(r"^\s*(from|import) netwright", script.read_text(), re.MULTILINE), script
    with pytest.raises(StorageError, match=r"already exists, and is kept"):
        opened.export(bundle, format="monai-bundle")
    before = {file: file.read_bytes() for file in sorted(images.iterdir())}
    with pytest.raises(RuntimeError):
        run_bundle_here(bundle, images, images)
    assert {file: file.read_bytes() for file in sorted(images.iterdir())} == before


def test_the_command_segments_volumes_without_netwright(runs: Path, images: Path, tmp_path: Path) -> None:
    """One image, as the others are the same to it: the test above runs all of them without a process of its own."""
    one = tmp_path / "images"
    one.mkdir()
    shutil.copy(images / "scan_1.nii.gz", one)
    opened = package.open_run(runs / "segnas7")
    bundle = opened.export(tmp_path / "bundle", format="monai-bundle")
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    given = [
        text
        for name, value in bundle_arguments(bundle, one, tmp_path / "labels").items()
        for text in (f"--{name}", value)
    ]
    done = run([sys.executable, "-c", COMMAND, "run", *given], cwd=tmp_path, env=clean, seconds=300)
    assert done.returncode == 0, done.stderr
    opened.predict(one, tmp_path / "predicted")
    require_equal(tmp_path / "labels", tmp_path / "predicted")


class Thresholds(nn.Module):
    """Logits that depend on the brightness of a small neighbourhood, of two channels on both."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.blur = nn.Conv3d(channels, classes, 3, padding=1)

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        return 5 * self.blur(given)


ARCHITECTURE: dict[str, Any] = {
    "channels": 1,
    "size": [12, 12, 8],
    "label_names": ["ball", "core"],
    "label_values": [0, 3, 300],
}
REGIONS = [{"name": "whole", "labels": [1, 2], "written": 1}, {"name": "core", "labels": [2], "written": 2}]
CASES = {
    "CT in voxels of 1 mm, padded with air": (
        {
            "normalise": "modality",
            "ct_intensities": [[-10.0, 90.0, 20.0, 30.0]],
            "spacing": [1.0, 1.0, 1.0],
            "size": [20, 12, 8],
            "pad_value": "air",
        },
        {},
    ),
    "two channels and regions, resized, nonzero": (
        {
            "spacing": [1.0, 1.2, 1.5],
            "size": [12, 12, 8],
            "resize": True,
            "foreground": "nonzero",
            "pad_value": "air",
        },
        {"channels": 2, "regions": REGIONS},
    ),
    "own voxels, not padded": (
        {"normalise": "minmax", "spacing": "native", "size": [12, 12, 8], "pad": False, "pad_value": "air"},
        {},
    ),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.filterwarnings("ignore")
def test_every_kind_of_preprocessing_is_that_of_predict(name: str, images: Path, tmp_path: Path) -> None:
    given, changes = CASES[name]
    settings, architecture = PreprocessingSettings.from_dict(given), {**ARCHITECTURE, **changes}
    task = Segmentation().network_task(architecture)
    network = Thresholds(task.channels, task.classes).eval()
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    given_images = torch.randn(2, task.channels, *task.size)
    MonaiBundle().write(Exportable(network, given_images, describe(architecture, settings)), bundle)
    if task.channels == 2:
        images = tmp_path / "channels"
        images.mkdir()
        for channel in range(2):
            save(images / f"scan_{channel:04d}.nii.gz", "PIR", (1.0, 1.1, 1.3), seed=1, level=50.0 * channel)
    run_bundle_here(bundle, images, tmp_path / "labels")
    values = tuple(architecture["label_values"])
    Segmenter(network, task, values, settings, "cpu").predict(images, tmp_path / "predicted")
    require_equal(tmp_path / "labels", tmp_path / "predicted")


def describe(architecture: Mapping[str, Any], settings: PreprocessingSettings) -> dict[str, Any]:
    return {
        "made_by": "netwright",
        "task": "segmentation",
        "input": {"shape": ["batch", architecture["channels"], *architecture["size"]], "type": "float32"},
        **Segmentation().describe_use(architecture),
        "preprocessing": json.loads(json.dumps(settings.to_dict())),
        "postprocessing": {},
    }


@pytest.mark.parametrize(
    ("settings", "changes", "told"),
    [
        ({"normalise": "minmax", "foreground": "nonzero"}, {}, "foreground=nonzero"),
        (
            {"normalise": "modality", "ct_intensities": [[0.0, 1.0, 0.0, 1.0], None]},
            {"channels": 2},
            "several channels of which some are CT",
        ),
        ({}, {"space": {"low_resolution": [2, 2, 2]}}, "sees the surroundings"),
    ],
)
def test_what_no_bundle_can_have_is_refused(
    settings: dict[str, Any], changes: dict[str, Any], told: str, tmp_path: Path
) -> None:
    architecture = {**ARCHITECTURE, **changes}
    prepared = PreprocessingSettings.from_dict({**settings, "spacing": "native", "size": [12, 12, 8]})
    description = describe(architecture, prepared)
    with pytest.raises(ExportError, match=told):
        MonaiBundle().write(Exportable(nn.Identity(), torch.zeros(1), description), tmp_path)
    with pytest.raises(ExportError, match="this network is for classification"):
        MonaiBundle().write(Exportable(nn.Identity(), torch.zeros(1), {"task": "classification"}), tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_folder_without_images_is_told(tmp_path: Path) -> None:
    from netwright.models.export.monai_bundle.scripts.files import find_images

    with pytest.raises(FileNotFoundError, match="has no NIfTI files"):
        find_images(tmp_path, 2)
    for name in ("a_0000.nii.gz", "a_0001.nii.gz", "b_0000.nii", "._b_0000.nii"):
        (tmp_path / name).touch()

    def found(channels: int) -> dict[str, list[str]]:
        cases = find_images(tmp_path, channels)
        return {case["case"]: [Path(file).name for file in case["image"]] for case in cases}

    assert found(2) == {"a": ["a_0000.nii.gz", "a_0001.nii.gz"], "b": ["b_0000.nii"]}
    assert list(found(1)) == ["a_0000", "a_0001", "b_0000"], "numbers of cases, not of channels"
    (tmp_path / "b_0000.nii.gz").touch()
    with pytest.raises(ValueError, match="has b_0000 twice"):
        find_images(tmp_path, 1)


def test_names_of_labels_are_no_expressions() -> None:
    """MONAI runs texts that begin with $, and replaces those that begin with % or @."""
    names = ["$print('run')", "%macro", "@reference", "50 % grey"]
    architecture = {**ARCHITECTURE, "label_names": names, "label_values": [0, 1, 2, 3, 4]}
    described = describe(architecture, PreprocessingSettings.from_dict({}))
    outputs = metadata(described)["network_data_format"]["outputs"]["pred"]["channel_def"].values()
    assert list(outputs) == ["background", *(f"label {name}" for name in names[:3]), "50 % grey"]
