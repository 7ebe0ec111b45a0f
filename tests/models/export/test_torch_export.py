"""Exported networks give the network's output in a process that has torch alone."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import netwright as package
from archives import unpack
from commands import in_this_process
from netwright.api.networks import export_data
from netwright.errors import ExportError, RunError, SettingsError, StorageError
from netwright.models.export import EXPORTERS
from netwright.models.export.base import Exportable, require_same_outputs
from netwright.models.export.inputs import MOST, real_images
from netwright.models.export.onnx import PACKAGES
from netwright.models.export.torch_export import DESCRIPTION
from netwright.nn.ensemble import Ensemble
from netwright.spaces.auto import EncoderDecoderSpace
from netwright.tasks.segmentation.network_task import SegmentationTask
from netwright.training.config import TrainingProtocol
from processes import run

TESTS = Path(__file__).resolve().parents[2]
OLD_RUNS = TESTS / "fixtures" / "old_runs"
RUNS = {"volumes": "segnas7", "slices": "policy-gradient", "pictures": "marl", "classes": "marl-vgg16"}
"""What a network sees, and the run that it is of: see tests/fixtures/old_runs/README.md. That of `marl` is a user's."""
MADE_IN = "/tmp/old-runs/data"
ENSEMBLE = "ensemble"
LABELS = ["background", "ball", "core"]

ELSEWHERE = """
import sys, torch
for name in sys.argv[2:]:
    extra = {"description.json": ""}
    network = torch.export.load(f"{name}.pt2", extra_files=extra).module()
    batches = torch.load(f"{name}.images", weights_only=True)
    with torch.no_grad():
        torch.save([network(images) for images in batches], f"{name}.logits")
    open(f"{name}.json", "w").write(extra["description.json"])
assert "netwright" not in sys.modules and "monai" not in sys.modules
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs unpacked, their exports, and what a process without netwright read in these and computed with them."""
    folder = tmp_path_factory.mktemp("exports")
    for name in ("datasets", *RUNS.values()):
        unpack(OLD_RUNS / f"{name}.tar.xz", folder / name)
    for kind, name in RUNS.items():
        file = folder / name / "run.yaml"
        file.write_text(file.read_text().replace(MADE_IN, str(folder / "datasets")))
        path = opened(folder, kind).export(folder / f"{kind}.pt2")
        assert path == folder / f"{kind}.pt2"
        save_images(folder, kind, network_of(folder, kind))
    network, images = ensemble()
    exportable = Exportable(network, images, {"task": "segmentation"})
    EXPORTERS["torch-export"].write(exportable, folder / f"{ENSEMBLE}.pt2")
    torch.save([images[:1], images], folder / f"{ENSEMBLE}.images")

    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = run([sys.executable, "-I", "-c", ELSEWHERE, "", *RUNS, ENSEMBLE], cwd=folder, env=clean)
    assert done.returncode == 0, done.stderr
    return folder


def opened(folder: Path, kind: str) -> package.Run:
    return package.open_run(folder / RUNS[kind], trust_code=True)


def network_of(folder: Path, kind: str) -> Any:
    return opened(folder, kind).network()


def picture(folder: Path) -> Path:
    return folder / "datasets" / "masked" / "images" / "disc_5.png"


def save_images(folder: Path, kind: str, trained: Any) -> None:
    """Batches of one and of three images, and of pictures one of the dataset, as the description says it is given."""
    generator = torch.Generator().manual_seed(1)
    shape = (trained.task.channels, *trained.task.size)
    batches = [torch.randn(count, *shape, generator=generator) for count in (1, 3)]
    if kind == "pictures":
        values = np.asarray(Image.open(picture(folder)), dtype=np.float64)
        canonical = values[::-1, ::-1].T
        standardised = (canonical - canonical.mean()) / canonical.std()
        batches.append(torch.from_numpy(standardised.astype(np.float32))[None, None])
    torch.save(batches, folder / f"{kind}.images")


def ensemble() -> tuple[nn.Module, Tensor]:
    """An untrained network of the recipe `auto` and a convolution, mirrored; the images that they are traced with."""
    torch.manual_seed(0)
    task = SegmentationTask(1, ("ball",), (8, 8))
    space = EncoderDecoderSpace(channels=1, classes=2, size=(8, 8), fixed={"width": 8})
    members = [space.build(space.starting_choice(), task), nn.Conv2d(1, 2, 3, padding=1)]
    return Ensemble(members, (0.7, 0.3), (0,)), torch.randn(2, 1, 8, 8)


def computed_elsewhere(folder: Path, kind: str) -> list[tuple[Tensor, Tensor]]:
    """Images, and logits of the export."""
    images, logits = (
        torch.load(folder / f"{kind}.{what}", weights_only=True) for what in ("images", "logits")
    )
    return list(zip(images, logits, strict=True))


@pytest.mark.parametrize("kind", [*RUNS, ENSEMBLE])
def test_the_logits_are_those_of_the_network_without_netwright(folder: Path, kind: str) -> None:
    network = ensemble()[0] if kind == ENSEMBLE else network_of(folder, kind).network.cpu()
    for images, logits in computed_elsewhere(folder, kind):
        with torch.no_grad():
            torch.testing.assert_close(logits, network(images), rtol=1e-5, atol=1e-6)


def test_the_description_is_enough_to_predict_a_picture(folder: Path, tmp_path: Path) -> None:
    """Flipped, standardised and flipped back as it says, the export gives the label map of `predict`."""
    said = description(folder, "pictures")
    assert said["axes"] == ["x", "y"]
    assert said["orientation"].endswith("x are its columns from right to left, y its rows from bottom to top")
    assert (said["preprocessing"]["normalise"], said["preprocessing"]["foreground"]) == ("zscore", "all")
    _, logits = computed_elsewhere(folder, "pictures")[-1]
    labels = np.array(said["label_values"])[logits[0].argmax(0).numpy()].T[::-1, ::-1]

    (written,) = opened(folder, "pictures").predict(picture(folder), tmp_path)
    predicted = np.asarray(Image.open(written))
    assert len(np.unique(predicted)) > 1
    np.testing.assert_array_equal(labels, predicted)


def description(folder: Path, kind: str) -> dict[str, Any]:
    said: dict[str, Any] = json.loads((folder / f"{kind}.json").read_text())
    return said


def test_the_description_tells_what_goes_in_and_comes_out(folder: Path) -> None:
    volumes, slices, classes = (description(folder, kind) for kind in ("volumes", "slices", "classes"))
    assert volumes["input"] == {"shape": ["batch", 1, 16, 16, 16], "type": "float32"}
    assert (volumes["axes"], slices["axes"], classes["axes"]) == (
        ["x", "y", "z"],
        ["x", "y"],
        ["rows", "columns"],
    )
    assert (volumes["task"], volumes["labels"], volumes["label_values"]) == (
        "segmentation",
        LABELS,
        [0, 1, 2],
    )
    assert (volumes["preprocessing"]["spacing"], volumes["preprocessing"]["normalise"]) == (
        [1, 1, 1],
        "zscore",
    )
    assert (classes["task"], classes["labels"]) == ("classification", ["bars", "disc", "noise"])
    assert len(classes["preprocessing"]["means"]) == classes["input"]["shape"][1] == 1
    assert slices["postprocessing"]["postprocessing"]["kept"] is True


@pytest.mark.parametrize("kind", [*RUNS, ENSEMBLE])
def test_a_file_names_no_folder_of_the_machine_that_wrote_it(folder: Path, kind: str) -> None:
    content = (folder / f"{kind}.pt2").read_bytes()
    for place in (Path(package.__file__).parents[1], Path(torch.__file__).parents[1], TESTS):
        assert str(place).encode() not in content


def command(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    return in_this_process("export", *arguments, cwd=folder)


def test_the_command_names_the_file_after_the_run_and_replaces_it_only_if_told(folder: Path) -> None:
    done = command(folder, "policy-gradient")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[0] == "exported   policy-gradient.pt2"
    assert done.stdout.splitlines()[1].startswith("checked    on 10 real images")
    assert "CRF" in done.stdout.splitlines()[2]
    (folder / "policy-gradient.pt2").write_bytes(b"mine")
    refused = command(folder, "policy-gradient")
    assert refused.returncode == 1
    assert "policy-gradient.pt2 already exists, and is kept" in refused.stderr
    assert (folder / "policy-gradient.pt2").read_bytes() == b"mine"
    assert command(folder, "policy-gradient", "--overwrite").returncode == 0
    extra = {DESCRIPTION: ""}
    torch.export.load(folder / "policy-gradient.pt2", extra_files=extra)
    assert json.loads(extra[DESCRIPTION])["task"] == "segmentation"


@pytest.mark.parametrize("package", PACKAGES)
def test_onnx_without_its_extra_says_what_to_install(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    done = command(folder, "policy-gradient", "--format", "onnx", "-o", tmp_path / "export")
    assert done.returncode == 2
    assert (
        f"Exports to ONNX need {package}, which is not installed. Run pip install 'netwright[onnx]'"
        in done.stderr
    )
    assert "--format torch-export" in done.stderr
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_exported_is_told_and_leaves_nothing(folder: Path, tmp_path: Path) -> None:
    copied = shutil.copytree(folder / "segnas7", tmp_path / "run")
    copy = package.open_run(copied)
    with pytest.raises(SettingsError, match=f"no export format 'caffe'. There are: {', '.join(EXPORTERS)}"):
        copy.export(tmp_path / "a.pt2", format="caffe")
    with pytest.raises(SettingsError, match=r"a\.onnx is not a name for torch-export: expected .* in \.pt2"):
        copy.export(tmp_path / "a.onnx")
    with pytest.raises(RunError, match=r"no trained network of trial 0 yet. .* train .* --trial 0"):
        copy.export(tmp_path / "a.pt2", trial=0)
    with pytest.raises(StorageError, match=r"cannot be written .*Change -o"):
        copy.export(copied / "run.yaml" / "a.pt2")
    for weights in copied.rglob("weights.safetensors"):
        weights.unlink()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(RunError, match=r"no trained network yet. .* made by 'netwright train"):
        copy.export(tmp_path / "a.pt2")
    assert sorted(tmp_path.rglob("*")) == before


class Branching(nn.Module):
    """Its computation depends on the values of its images."""

    def forward(self, images: Tensor) -> Tensor:
        return images if images.mean() > 0 else -images


def test_a_network_that_depends_on_values_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"cannot trace the network: .*Nothing was written"):
        EXPORTERS["torch-export"].write(Exportable(Branching(), torch.ones(2, 1), {}), tmp_path / "a.pt2")
    assert not list(tmp_path.iterdir())


def test_an_export_that_gives_something_else_is_refused() -> None:
    network, images = nn.Identity(), torch.ones(2, 3)
    require_same_outputs(network, lambda given: given + 1e-6, images)
    with pytest.raises(ExportError, match=r"differs from the network's by 0\.01: expected at most 0\.0001"):
        require_same_outputs(network, lambda given: given + 0.01, images)
    with pytest.raises(ExportError, match="differs from the network's by nan"):
        require_same_outputs(network, lambda given: given * float("nan"), images)
    with pytest.raises(ExportError, match=r"shape \(2, 3\) for 1 images: expected \(1, 3\)"):
        require_same_outputs(network, lambda given: images, images)


def test_what_differs_by_more_than_the_page_says_is_refused() -> None:
    """Values by 1e-4; probabilities, too; and logits by as much of the largest, of 1 where all are smaller."""
    network = nn.Identity()

    def refused(images: Tensor, output: Any, change: Callable[[Tensor], Tensor]) -> bool:
        try:
            require_same_outputs(network, change, images, output=output)
        except ExportError:
            return True
        return False

    values = torch.tensor([[0.1, 8.0], [0.2, 0.3]])
    assert not refused(values, "values", lambda given: given + 9e-5)
    assert refused(values, "values", lambda given: given + 1.2e-4)
    small = torch.tensor([[0.5, -0.5], [0.2, 0.1]])
    for output in ("softmax", "sigmoid"):
        assert not refused(small, output, lambda given: given + 9e-5)
        assert refused(small, output, lambda given: given + 1.2e-4)  # by softmax equal probabilities
    certain, even = torch.tensor([[90.0, -90.0, -90.0]]), torch.tensor([[0.0, 0.0, -90.0]])
    assert not refused(certain, "softmax", lambda given: given * (1 + 8e-5))
    assert refused(certain, "softmax", lambda given: given * 1.01)  # also equal
    assert refused(even, "softmax", lambda given: given + torch.tensor([0.002, 0, 0]))
    assert refused(even, "sigmoid", lambda given: given + torch.tensor([0.002, 0, 0]))


def test_ten_cases_are_compared_where_there_are_ten(folder: Path) -> None:
    """Of a network of slices, of which each case has several: first one of each case, then a second one."""
    told: list[str] = []
    run = opened(folder, "slices")
    data = export_data(run.folder, run.settings, lambda name, text: told.append(text))
    assert data is not None, told
    cases = (*data.validation, *data.training)
    assert 1 < len(cases) < MOST
    protocol = TrainingProtocol(augmentation=None, batch_size=1)
    slices_of = {
        case: [images for images, _ in data.problem.batches([case], protocol, torch.device("cpu"), 3)]
        for case in cases
    }
    images = real_images(data)
    assert len(images) == MOST
    for at, image in enumerate(images):
        own = cases[at % len(cases)]
        assert [case for case in cases if any(torch.equal(image, one[0]) for one in slices_of[case])] == [own]
    assert not torch.equal(images[0], images[len(cases)])


def test_formats_are_listed_without_torch() -> None:
    code = (
        "import netwright.cli.app, netwright.models.export as export, sys; "
        "assert export.EXPORTERS['torch-export'].suffix == '.pt2'; sys.exit('torch' in sys.modules)"
    )
    assert run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.parametrize("name", EXPORTERS)
def test_every_format_is_in_the_guide(name: str) -> None:
    assert EXPORTERS[name].name == name
    assert EXPORTERS[name].suffix.startswith(".") != bool(EXPORTERS[name].marker)
    assert f"`{name}`" in (TESTS.parent / "docs" / "exports.md").read_text()
