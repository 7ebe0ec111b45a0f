"""The source of a network gives the network's outputs in a process that has torch and safetensors alone."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import netwright as package
from netwright.errors import ExportError
from netwright.models.export import EXPORTERS
from netwright.models.export.base import Exportable
from netwright.models.export.source.made import made_with, noted
from netwright.nn.ensemble import Ensemble
from netwright.spaces.auto import ClassifierStagesSpace, EncoderDecoderSpace
from netwright.tasks.classification.task import ClassificationTask
from netwright.tasks.segmentation.network_task import SegmentationTask
from processes import run

QUICK = ("segnas7", "marl-vgg16", "pdas-cells", "volumes")
"""Blocks in a U, a chain of layers, cells, and a network of the recipe `auto`."""
OTHER = ("policy-gradient", "marl-unet", "pdas-inpainting", "ensemble")
"""Dense blocks, a U-Net, an autoencoder, and an ensemble."""

ALONE = """
import importlib.util, sys, torch
for name in ("netwright", "monai", "numpy"):
    sys.modules[name] = None
for folder in sys.argv[2:]:
    spec = importlib.util.spec_from_file_location("network", f"{folder}/network.py")
    module = sys.modules["network"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    network = module.load()
    with torch.no_grad():
        torch.save(network(torch.load(f"{folder}/images", weights_only=True)), f"{folder}/outputs")
"""


def volumes() -> nn.Module:
    """An untrained network of the recipe `auto` for volumes."""
    task = SegmentationTask(1, ("ball",), (16, 16, 8))
    space = EncoderDecoderSpace(channels=1, classes=2, size=task.size, fixed={"width": 8})
    return space.build(space.starting_choice(), task)


def ensemble() -> nn.Module:
    """Two classifiers of stages, and their views of mirrored pictures."""
    task = ClassificationTask(3, ("a", "b"), (16, 16))
    space = ClassifierStagesSpace(channels=3, classes=2, size=task.size, fixed={"width": 16})
    members = [space.build(space.starting_choice(), task) for _ in range(2)]
    return Ensemble(members, (0.7, 0.3), (1,))


NEW: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "volumes": (volumes, (2, 1, 16, 16, 8)),
    "ensemble": (ensemble, (2, 3, 16, 16)),
}


def rebuilder(build: Callable[[], nn.Module], state: dict[str, Tensor]) -> Callable[[], nn.Module]:
    def rebuilt() -> nn.Module:
        network = build()
        network.load_state_dict(state)
        return network.eval()

    return rebuilt


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the sources."""
    return tmp_path_factory.mktemp("sources")


@pytest.fixture(scope="module")
def outputs(old_runs: Path, folder: Path) -> dict[str, tuple[Tensor, Tensor]]:
    """By network: its outputs, and those of its source elsewhere."""
    return computed(old_runs, folder, QUICK)


def computed(old_runs: Path, folder: Path, names: Sequence[str]) -> dict[str, tuple[Tensor, Tensor]]:
    """See `outputs`."""
    expected: dict[str, Tensor] = {}
    for name in names:
        if name in NEW:
            build, shape = NEW[name]
            torch.manual_seed(3)
            network, images = build().eval(), torch.randn(shape)
            use = {"made_by": "netwright", "task": "a test", "output": "logits", "input": {"shape": shape}}
            (folder / name).mkdir()
            exportable = Exportable(network, images, use, rebuilt=rebuilder(build, network.state_dict()))
            EXPORTERS["source"].write(exportable, folder / name)
        else:
            opened = package.open_run(old_runs / name, trust_code=True)
            opened.export(folder / name, format="source")
            trained = opened.network()
            network = trained.network.cpu()
            images = torch.randn(3, trained.task.channels, *trained.task.size)
        torch.save(images, folder / name / "images")
        with torch.no_grad():
            expected[name] = network(images)
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    places = [folder / name for name in expected]
    done = run([sys.executable, "-I", "-c", ALONE, "", *places], cwd=folder, env=clean)
    assert done.returncode == 0, done.stderr
    return {
        name: (wanted, torch.load(folder / name / "outputs", weights_only=True))
        for name, wanted in expected.items()
    }


def require_same(outputs: dict[str, tuple[Tensor, Tensor]]) -> None:
    for expected, given in outputs.values():
        assert expected.std() > 0
        torch.testing.assert_close(given, expected, rtol=1e-4, atol=1e-5)


def test_outputs_are_those_of_the_network(outputs: dict[str, tuple[Tensor, Tensor]]) -> None:
    require_same(outputs)


@pytest.mark.slow
def test_outputs_of_other_networks_are_theirs(old_runs: Path, tmp_path: Path) -> None:
    require_same(computed(old_runs, tmp_path, OTHER))


@pytest.mark.usefixtures("outputs")
def test_a_source_is_what_a_person_would_write(old_runs: Path, folder: Path) -> None:
    """Stages are loops, and a chain of layers is one line; nothing names this machine."""
    for name, wanted in {
        "segnas7": (
            "class MegaBlock",
            "for halve, mega_block, copied in zip",
            "SegNASNetwork(Architecture(n=",
        ),
        "marl-vgg16": ("conv1_1=nn.Conv2d(1, ", "features = self.features(images)"),
    }.items():
        text = (folder / name / "network.py").read_text()
        for part in (*wanted, "def load("):
            assert part in text
        assert "import netwright" not in text
        assert "from netwright" not in text
        assert str(old_runs) not in text


class Own(nn.Module):
    """A network of another package."""

    def forward(self, images: Tensor) -> Tensor:
        return images


def test_a_network_without_a_known_source_is_refused(tmp_path: Path) -> None:
    exportable = Exportable(Own(), torch.ones(2, 1, 4, 4), {}, rebuilt=Own)
    with pytest.raises(ExportError, match=r"made of .*Own: expected parts of netwright and torch alone"):
        EXPORTERS["source"].write(exportable, tmp_path)
    with pytest.raises(ExportError, match="The network is of no run"):
        EXPORTERS["source"].write(Exportable(Own(), torch.ones(2, 1, 4, 4), {}), tmp_path)


def test_arguments_are_noted_within_the_context_alone() -> None:
    build = NEW["ensemble"][0]
    with noted():
        inside = build()
    made = made_with(inside)
    assert made is not None
    assert made[0][1:] == ((0.7, 0.3), (1,))
    assert made_with(build()) is None
