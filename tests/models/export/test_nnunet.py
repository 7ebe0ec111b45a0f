"""Exports for nnU-Net: what its source expects, and with the real package that it predicts and trains.

The real package needs an environment of its own: its Python is named by NETWRIGHT_NNUNET_PYTHON (docs/other-tools.md).
"""

from __future__ import annotations

import ast
import json
import os
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
from netwright.errors import ExportError
from netwright.models.export.base import Exportable
from netwright.models.export.nnunet import NNUNetExport
from netwright.models.export.nnunet.plans import CONFIGURATION, PLANS, plans
from netwright.models.export.nnunet.trainer import TRAINER
from netwright.tasks.segmentation.task import Segmentation
from processes import run

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures"
REAL_PLANS = FIXTURES / "nnunet_plans.json"
"""Written by nnunetv2 2.8.1."""
PYTHON = os.environ.get("NETWRIGHT_NNUNET_PYTHON")
SHORT = f"""
from {TRAINER} import {TRAINER}

class Short({TRAINER}):
    def __init__(self, plans, configuration, fold, dataset_json, device):  # nnU-Net reads these names
        super().__init__(plans, configuration, fold, dataset_json, device)
        self.num_epochs, self.num_iterations_per_epoch, self.num_val_iterations_per_epoch = 1, 2, 1
"""


def describe(**changes: Any) -> dict[str, Any]:
    architecture = {
        "channels": 2,
        "size": [16, 12, 8],
        "label_names": ["ball", "core"],
        "label_values": [0, 1, 2],
    }
    settings = {"spacing": [1.0, 1.2, 3.0], "size": [16, 12, 8], **changes.pop("preprocessing", {})}
    architecture |= changes
    return {
        "made_by": "netwright",
        "task": "segmentation",
        "input": {"shape": ["batch", architecture["channels"], *architecture["size"]], "type": "float32"},
        **Segmentation().describe_use(architecture),
        "preprocessing": json.loads(json.dumps(PreprocessingSettings.from_dict(settings).to_dict())),
        "postprocessing": {},
    }


def test_plans_have_what_those_of_nnunet_have() -> None:
    real, made = json.loads(REAL_PLANS.read_text()), plans(describe(), 2)
    assert set(made) == set(real)
    configuration, expected = made["configurations"][CONFIGURATION], real["configurations"]["3d_fullres"]
    assert set(configuration) == set(expected)
    for name, value in expected.items():
        assert type(configuration[name]) is type(value), name
    assert configuration["spacing"] == [3.0, 1.2, 1.0], "along z, y, x"
    assert configuration["patch_size"] == [8, 12, 16]
    known = real["foreground_intensity_properties_per_channel"]["0"]
    assert set(made["foreground_intensity_properties_per_channel"]["0"]) == set(known)
    ct = {"normalise": "modality", "ct_intensities": [[-50.0, 200.0, 80.0, 40.0], None]}
    made = plans(describe(preprocessing=ct), 2)
    schemes = made["configurations"][CONFIGURATION]["normalization_schemes"]
    assert schemes == ["CTNormalization", "ZScoreNormalization"]
    assert made["foreground_intensity_properties_per_channel"]["0"]["percentile_00_5"] == -50.0


def test_the_folder_has_a_trainer_and_the_weights_of_the_network(tmp_path: Path) -> None:
    network = nn.Conv3d(2, 3, 3, padding=1).eval()
    NNUNetExport().write(Exportable(network, torch.randn(2, 2, 16, 12, 8), describe()), tmp_path)
    model = tmp_path / f"{TRAINER}__{PLANS}__{CONFIGURATION}"
    checkpoint = torch.load(model / "fold_all" / "checkpoint_final.pth", weights_only=True)
    assert (checkpoint["trainer_name"], checkpoint["init_args"]["configuration"]) == (TRAINER, CONFIGURATION)
    weights = sorted(checkpoint["network_weights"].values(), key=lambda weight: weight.ndim)
    torch.testing.assert_close(weights, [network.bias, network.weight])
    code = ast.parse((tmp_path / "trainer" / f"{TRAINER}.py").read_text())
    assert {node.name for node in code.body if isinstance(node, ast.ClassDef)} == {"ExportedNetwork", TRAINER}
    assert json.loads((model / "dataset.json").read_text())["labels"] == {
        "background": 0,
        "ball": 1,
        "core": 2,
    }


def test_a_kept_crf_is_told_to_be_missing(tmp_path: Path) -> None:
    network, told = nn.Conv3d(2, 3, 3, padding=1).eval(), list[str]()
    for kept in (False, True):
        description = {**describe(), "postprocessing": {"postprocessing": {"kept": kept}}}
        images, folder = torch.randn(2, 2, 16, 12, 8), tmp_path / str(kept)
        folder.mkdir()
        exportable = Exportable(
            network, images, description, tell=lambda name, text: told.append(f"{name} {text}")
        )
        NNUNetExport().write(exportable, folder)
        assert ("without the fully connected CRF, which nnU-Net does not apply" in told) == kept
        assert ("\nNot applied:\n\n- the fully connected CRF\n" in (folder / "README.md").read_text()) == kept


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"label_values": [0, 1, 5]}, "label values 0, 1, 5"),
        ({"label_names": ["ball", "ignore"]}, "a label named ignore"),
        ({"preprocessing": {"spacing": "native"}}, "different voxel sizes"),
        ({"space": {"low_resolution": [2, 2, 2]}}, "first stage"),
        ({"slice_axis": 2, "size": [16, 12]}, "sees slices"),
        ({"preprocessing": {"normalise": "minmax", "foreground": "nonzero"}}, "that are not zero"),
    ],
)
def test_what_nnunet_cannot_have_is_refused(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(ExportError, match=told):
        plans(describe(**changes), 2)


@pytest.mark.slow  # the tests above hold its files to those of the real package
@pytest.mark.skipif(PYTHON is None, reason="NETWRIGHT_NNUNET_PYTHON names no Python with nnunetv2")
def test_the_real_package_predicts_and_trains(tmp_path: Path) -> None:
    for name in ("segnas7", "datasets"):
        unpack(FIXTURES / "old_runs" / f"{name}.tar.xz", tmp_path / name)
    opened = package.open_run(tmp_path / "segnas7")
    images, labels = (tmp_path / "datasets" / "volumes" / part for part in ("imagesTr", "labelsTr"))
    exported = opened.export(tmp_path / "exported", format="nnunet")
    opened.predict(images, tmp_path / "predicted")
    (exported / "trainer" / "short.py").write_text(SHORT)
    raw, prepared = tmp_path / "raw" / "Dataset001_Balls", tmp_path / "prepared" / "Dataset001_Balls"
    for folder, suffix, source in (("imagesTr", "_0000", images), ("labelsTr", "", labels)):
        (raw / folder).mkdir(parents=True)
        for file in source.glob("*.nii.gz"):
            name = file.name.removesuffix(".nii.gz")
            (raw / folder / f"{name}{suffix}.nii.gz").write_bytes(file.read_bytes())
    model = exported / f"{TRAINER}__{PLANS}__{CONFIGURATION}"
    described = json.loads((model / "dataset.json").read_text())
    (raw / "dataset.json").write_text(json.dumps({**described, "numTraining": len(list(labels.iterdir()))}))
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    env = {
        **clean,
        "nnUNet_raw": str(raw.parent),
        "nnUNet_preprocessed": str(prepared.parent),
        "nnUNet_results": str(tmp_path / "results"),
        "nnUNet_extTrainer": str(exported / "trainer"),
        "nnUNet_n_proc_DA": "0",
    }
    assert PYTHON is not None

    def call(verb: str, *arguments: object) -> None:
        done = run([Path(PYTHON).with_name(f"nnUNetv2_{verb}"), *arguments], env=env, seconds=500)
        assert done.returncode == 0, done.stdout + done.stderr

    cpu = ("-device", "cpu")
    call(
        "predict_from_modelfolder",
        *("-i", raw / "imagesTr", "-o", tmp_path / "out", "-m", model, "-f", "all", "--disable_tta"),
        *("-npp", 1, "-nps", 1, *cpu),
    )
    for file in sorted((tmp_path / "predicted").glob("*.nii.gz")):
        ours, theirs = (np.asarray(nibabel.load(f).dataobj) for f in (file, tmp_path / "out" / file.name))
        assert np.mean(ours != theirs) <= 0.01, file.name  # it pads with zeros, and normalises its own crop

    call("extract_fingerprint", "-d", 1, "-np", 1)
    (prepared / "dataset.json").write_bytes((raw / "dataset.json").read_bytes())  # as planning does
    made = (exported / f"{PLANS}.json").read_text()
    (prepared / f"{PLANS}.json").write_text(made.replace("Dataset000_Netwright", prepared.name))
    call("preprocess", "-d", 1, "-plans_name", PLANS, "-c", CONFIGURATION, "-np", 1)
    call("train", 1, CONFIGURATION, 0, "-tr", "Short", "-p", PLANS, *cpu)
    assert list((tmp_path / "results").rglob("fold_0/validation/summary.json"))
