"""An ensemble of `auto`, with mirrored views, is exported by the command in every format, and predicts as `predict`."""

from __future__ import annotations

import ast
import importlib.util
import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from commands import in_this_process
from netwright.api import create_run
from netwright.api.run import Run
from netwright.data.io.volumes import read_image
from netwright.models.export import EXPORTERS
from netwright.models.export.nnunet.plans import CONFIGURATION, PLANS
from netwright.models.export.nnunet.trainer import TRAINER
from netwright.models.store import Composition, Member, build_composition, describe_trained
from netwright.nn.ensemble import Ensemble
from netwright.planning.user_settings import UserSettings
from netwright.runs.data import open_run_data
from netwright.searches.components import problem_of
from netwright.spaces import make_space
from netwright.training.files import WEIGHTS
from netwright.training.weights import save_weights
from running_exports import alone, run_bundle_here
from shared_workers import SharedWorkers

SHARES, MIRRORED = (0.7, 0.3), 0
SMALL = {"levels": 2, "stem": 1, "blocks": 1, "decoder_blocks": 1, "expansion": 2}


@dataclass(frozen=True)
class Ended:
    """A run whose winner is an ensemble, an image that fits one window, and what `predict` makes of it."""

    run: Run
    members: tuple[nn.Module, ...]
    image: Path
    labels: NDArray[np.integer[Any]]

    def prepared(self) -> Any:
        """The network's input for the image, and how its output lies on the image's grid."""
        return self.run.network().prepared(read_image([self.image]), [self.image])

    def exported(self, format: str, folder: Path) -> Path:
        """The export of the run, by the command."""
        target = folder / f"export{EXPORTERS[format].suffix}"
        done = in_this_process("export", self.run.folder.root, "--format", format, "-o", target)
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith(f"exported   {target}\n")
        return target


@pytest.fixture(scope="module")
def ended(dataset: Path, worker_pool: SharedWorkers, tmp_path_factory: pytest.TempPathFactory) -> Ended:
    """Two networks of other blocks, with random weights that make much of what they see."""
    folder = tmp_path_factory.mktemp("ended")
    given = {"space.fixed.width": 8, "training.device": "cpu"}
    with worker_pool.lent(), pytest.warns(UserWarning, match="validation cases"):
        run = create_run(dataset, "auto", UserSettings(workers=1, assignments=given), folder / "run")
    data = open_run_data(run.folder, run.settings)
    task = problem_of(run.settings, data.prepared).task
    start = {**make_space(run.settings.space).starting_choice(), **SMALL}
    choices = ({**start, "block": "residual"}, {**start, "block": "depthwise"})
    parts = tuple(Member(choice, None, share) for choice, share in zip(choices, SHARES, strict=True))
    composition = Composition(parts, (MIRRORED,))
    torch.manual_seed(0)
    network = build_composition(composition, run.settings, task)
    assert isinstance(network, Ensemble)
    for member in network.members:
        head = list(member.parameters())[-2]
        head.data *= 30
    describe_trained(run.folder.winner, run.settings, data.prepared, choices[0], None, composition)
    save_weights(network, run.folder.winner / WEIGHTS)
    image = sorted((dataset / "imagesTr").glob("*.nii.gz"))[0]
    (written,) = run.predict(image, folder / "labels")
    return Ended(run, tuple(network.members), image, np.asarray(nib.load(written).dataobj))


def label_map(ended: Ended, outputs: Callable[[Tensor], Tensor]) -> NDArray[Any]:
    """What the outputs of a network for the one window of the image are as labels on the image's grid."""
    prepared = ended.prepared()
    with torch.no_grad():
        probabilities = outputs(torch.from_numpy(prepared.image)[None]).softmax(1)[0]
    indices = prepared.geometry.restore(probabilities.numpy())
    return np.array(ended.run.network().label_values)[indices]


def require_alike(ended: Ended, labels: NDArray[Any]) -> None:
    """All but voxels whose two best probabilities are nearly the same."""
    assert labels.shape == ended.labels.shape
    assert len(np.unique(ended.labels)) > 1
    assert (labels != ended.labels).mean() < 1e-3


def test_the_mean_of_members_and_views_is_what_is_predicted(ended: Ended) -> None:
    """Computed by hand; one member, or no mirrored view, would give other labels."""

    def mean(
        images: Tensor, shares: tuple[float, ...] = SHARES, views: tuple[bool, ...] = (False, True)
    ) -> Tensor:
        total = torch.zeros(())
        for share, member in zip(shares, ended.members, strict=True):
            for mirrored in views:
                seen = images.flip(2 + MIRRORED) if mirrored else images
                output = member(seen)
                output = output if torch.is_tensor(output) else output[0]
                output = output.flip(2 + MIRRORED) if mirrored else output
                total = total + share / len(views) * output.softmax(1)
        return total.log()

    require_alike(ended, label_map(ended, mean))
    for other in (lambda images: mean(images, (1.0, 0.0)), lambda images: mean(images, views=(False,))):
        assert (label_map(ended, other) != ended.labels).mean() > 0.01


def test_torch_export(ended: Ended, tmp_path: Path) -> None:
    path = ended.exported("torch-export", tmp_path)
    require_alike(ended, label_map(ended, torch.export.load(path).module()))


def test_source(ended: Ended, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = ended.exported("source", tmp_path)
    spec = importlib.util.spec_from_file_location("source_of_an_ensemble", path / "network.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    require_alike(ended, label_map(ended, module.load()))


def test_onnx(ended: Ended, tmp_path: Path) -> None:
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package)
    path = ended.exported("onnx", tmp_path)
    alone(tmp_path, [(path / "infer.py", [ended.image, tmp_path / "labels.nii.gz"])])
    require_alike(ended, np.asarray(nib.load(tmp_path / "labels.nii.gz").dataobj))


@pytest.mark.filterwarnings("ignore")  # of MONAI: that it runs what it is given
def test_monai_bundle(ended: Ended, tmp_path: Path) -> None:
    pytest.importorskip("fire")
    pytest.importorskip("ignite")
    path = ended.exported("monai-bundle", tmp_path)
    (tmp_path / "images").mkdir()
    shutil.copy(ended.image, tmp_path / "images")
    run_bundle_here(path, tmp_path / "images", tmp_path / "labels")
    (written,) = (tmp_path / "labels").iterdir()
    require_alike(ended, np.asarray(nib.load(written).dataobj))


def test_nnunet(ended: Ended, tmp_path: Path) -> None:
    """The trainer's network with the checkpoint's weights, given images along z, y, x as by nnU-Net."""
    path = ended.exported("nnunet", tmp_path)
    trainer = path / "trainer" / f"{TRAINER}.py"
    (code,) = (
        node
        for node in ast.parse(trainer.read_text()).body
        if isinstance(node, ast.ClassDef) and node.name == "ExportedNetwork"
    )
    known: dict[str, Any] = {"torch": torch, "nn": nn, "Path": Path, "__file__": str(trainer)}
    exec(compile(ast.Module([code], []), str(trainer), "exec"), known)
    network = known["ExportedNetwork"]()
    model = path / f"{TRAINER}__{PLANS}__{CONFIGURATION}"
    checkpoint = torch.load(model / "fold_all" / "checkpoint_final.pth", weights_only=True)
    network.load_state_dict(checkpoint["network_weights"])
    assert checkpoint["inference_allowed_mirroring_axes"] is None, "views are in the network"
    plans = json.loads((model / "plans.json").read_text())["configurations"][CONFIGURATION]
    assert plans["patch_size"] == list(reversed(ended.run.network().task.size))

    def outputs(images: Tensor) -> Tensor:
        along_z = torch.from_numpy(np.ascontiguousarray(images.numpy().transpose(0, 1, 4, 3, 2)))
        given: Tensor = network(along_z)
        return given.permute(0, 1, 4, 3, 2)

    require_alike(ended, label_map(ended, outputs))
