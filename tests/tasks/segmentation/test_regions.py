"""Networks whose outputs are regions, on data in which voxels are ignored: training, scores, predictions, and a run."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from netwright.api import open_run
from netwright.data import Prepared, PreprocessingSettings, open_any, prepare
from netwright.data.volumes.regions import IGNORE, IGNORED, Region
from netwright.data.volumes.slabs import Slabs
from netwright.data.volumes.slices import SliceSettings
from netwright.nn.ensemble import Ensemble
from netwright.nn.losses import main_output
from netwright.spaces.auto.segmentation import EncoderDecoderSpace
from netwright.spaces.auto.two_stages import TwoStages, magnified
from netwright.tasks.segmentation.data import LabelledCase
from netwright.tasks.segmentation.metrics.dice import dice_per_label
from netwright.tasks.segmentation.metrics.surface_distance import hausdorff_95_per_label
from netwright.tasks.segmentation.network_task import SegmentationTask
from netwright.tasks.segmentation.predictor import Segmenter
from netwright.tasks.segmentation.problem import make_problem
from netwright.tasks.segmentation.task import Segmentation
from netwright.training.config import TrainingProtocol
from netwright.training.inference import predict_slices, predict_volume
from netwright.training.loop import train

WHOLE, CORE, ENHANCING = ((1, 2, 3), (2, 3), (3,))
REGIONS = (Region("whole", WHOLE, 1), Region("core", CORE, 2), Region("enhancing", ENHANCING, 3))
LABELS = ("label 1", "label 2", "enhancing")
VALUES = (0, 2, 1, 4)  # as until 2021: oedema, necrosis, enhancing tumour
PLAIN = PreprocessingSettings(spacing="native", normalise="none", pad=False, size=(12, 10, 8))
TASK = SegmentationTask(1, LABELS, (12, 10, 8), REGIONS)
CPU = torch.device("cpu")


class Levels(nn.Module):
    """Sees each region where an image is over 0.5, 1.5 and 2.5."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return 10 * torch.cat([images - level for level in (0.5, 1.5, 2.5)], 1)


def in_regions(labels: NDArray[Any], known: NDArray[Any] | None = None) -> NDArray[Any]:
    """What is in each region, (3, *size), and not ignored."""
    masks = np.stack([np.isin(labels, region) for region in (WHOLE, CORE, ENHANCING)])
    return masks if known is None else masks & known


def dice_of_masks(one: NDArray[Any], other: NDArray[Any]) -> NDArray[np.float64]:
    axes = tuple(range(1, one.ndim))
    return np.asarray(2 * (one & other).sum(axes) / (one.sum(axes) + other.sum(axes)))


@pytest.mark.parametrize("shape", [(12, 10, 8), (9, 7, 8), (31, 18, 20)])
def test_volumes_that_fit_and_windows_give_the_sigmoid_of_the_output(shape: tuple[int, int, int]) -> None:
    image = np.random.default_rng(0).uniform(0, 3, (1, *shape)).astype(np.float32)
    expected = 1 / (1 + np.exp(-10 * (image - np.array([0.5, 1.5, 2.5])[:, None, None, None])))
    for slabs in (
        predict_volume(Levels(), image, (12, 10, 8), batch_size=3, written=TASK.written),
        predict_slices(Levels(), image, (12, 10), 2, written=TASK.written),
    ):
        np.testing.assert_allclose(slabs.whole(), expected, atol=1e-5)


def test_scores_are_those_of_the_masks_of_the_regions() -> None:
    rng = np.random.default_rng(1)
    prediction, truth = (rng.integers(0, 4, (7, 6, 5)).astype(np.uint8) for _ in range(2))
    truth[:, :, 0] = IGNORED
    known = truth != IGNORED
    found, expected = in_regions(prediction, known), in_regions(truth, known)
    np.testing.assert_allclose(TASK.dice(prediction, truth), dice_of_masks(found, expected))
    labels = [1, 2, 3]
    np.testing.assert_allclose(
        dice_per_label(prediction, truth, 4),
        [dice_of_masks((prediction == k)[None] & known, (truth == k)[None])[0] for k in labels],
    )
    distances = hausdorff_95_per_label(prediction, truth, 4, (1, 2, 3), [WHOLE, CORE, ENHANCING])
    alone = [
        hausdorff_95_per_label(one.astype(np.uint8), other.astype(np.uint8), 2, (1, 2, 3))[0]
        for one, other in zip(found, expected, strict=True)
    ]
    np.testing.assert_array_equal(distances, alone)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten patients in nnU-Net's format: nested boxes as bright as their label; a plane of each is ignored."""
    root = tmp_path_factory.mktemp("regions")
    rng = np.random.default_rng(0)
    for number in range(10):
        labels = np.zeros((12, 10, 8), np.uint8)
        for label, edge in ((1, 1), (2, 2), (3, 3)):
            begin = rng.integers(0, 2, 3) + edge
            labels[begin[0] : 12 - edge, begin[1] : 10 - edge, begin[2] : 8 - edge] = label
        image = (labels + rng.normal(0, 0.1, labels.shape)).astype(np.float32)
        stored = np.array(VALUES, np.uint8)[labels]
        stored[..., -3] = 5
        for name, array in ((f"imagesTr/p{number}_0000", image), (f"labelsTr/p{number}", stored)):
            (root / name).parent.mkdir(exist_ok=True)
            nibabel.save(nibabel.Nifti1Image(array, np.diag([1.0, 1.0, 2.0, 1.0])), root / f"{name}.nii.gz")
    labels = {"background": 0, "whole": [1, 2, 4], "core": [1, 4], "enhancing": 4, "ignore": 5}
    description = {"channel_names": {"0": "MR"}, "labels": labels, "regions_class_order": [2, 1, 4]}
    (root / "dataset.json").write_text(json.dumps({**description, "file_ending": ".nii.gz"}))
    return root


def voxels(path: Path) -> NDArray[Any]:
    return np.asarray(nibabel.load(path).dataobj)


@pytest.fixture(scope="module")
def prepared(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return prepare(open_any(folder), PLAIN, tmp_path_factory.mktemp("cache"))  # type: ignore[arg-type]


@pytest.mark.parametrize("slices", [None, SliceSettings(axis=2)])
def test_the_scores_of_validation_leave_out_what_is_ignored(
    prepared: Prepared, slices: SliceSettings | None
) -> None:
    """The network is right where voxels are labelled, whatever it says of the others; then it misses one region."""
    problem, protocol = make_problem(prepared, slices), TrainingProtocol()
    assert problem.task.output == "sigmoid"
    np.testing.assert_array_equal(problem.scores(Levels(), (0, 3), protocol, CPU), np.ones((2, 3)))
    outputs = problem.outputs(Levels(), (0, 3), protocol, CPU)
    np.testing.assert_array_equal(problem.scores_of((0, 3), outputs), np.ones((2, 3)))
    arrays = [np.array(output) for output in problem.outputs(Levels(), (0, 3), protocol, CPU)]
    for array in arrays:
        array[2] = 0  # no enhancing tumour: the core around it is still the core
    outputs = (Slabs(array.shape[1:], 0, iter([array])) for array in arrays)
    scores = problem.scores_of((0, 3), outputs)
    np.testing.assert_array_equal(scores, [[1, 1, 0], [1, 1, 0]])
    assert problem.metrics(scores) == {
        "dice": pytest.approx(2 / 3), "dice.whole": 1, "dice.core": 1, "dice.enhancing": 0
    }  # fmt: skip


@pytest.mark.parametrize("loss", SegmentationTask.losses)
def test_every_loss_learns_regions(prepared: Prepared, loss: str) -> None:
    problem = make_problem(prepared)
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv3d(1, 8, 1), nn.ReLU(), nn.Conv3d(8, 3, 1))
    protocol = TrainingProtocol(
        loss=loss, epochs=25, learning_rate=0.03, batch_size=4, augmentation=None, mixed_precision=False
    )
    before = problem.scores(network, (8, 9), protocol, CPU).mean()
    train(network, problem, tuple(range(8)), (8, 9), protocol, seed=0)
    assert problem.scores(network, (8, 9), protocol, CPU).mean() > max(0.9, before + 0.1)


def test_a_first_stage_hands_on_the_probability_of_each_region() -> None:
    """Not a share of all regions, as of classes that exclude one another."""
    space = EncoderDecoderSpace(channels=2, classes=3, size=(16, 16, 16), low_resolution=(2, 2, 2))
    choice = {**space.starting_choice(), "low_resolution": True}
    network = space.build(choice, replace(TASK, channels=2, size=(16, 16, 16))).eval()
    assert isinstance(network, TwoStages)
    seen: list[torch.Tensor] = []
    network.second.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    images = torch.randn(1, 2, 16, 16, 16)
    with torch.no_grad():
        network(images)
        expected = magnified(main_output(network.first(images[:, 1:])), (2, 2, 2)).sigmoid()
    torch.testing.assert_close(seen[0][:, 1:], expected)
    assert (expected.sum(1) - 1).abs().max() > 0.1


def segmenter(network: nn.Module, **changes: Any) -> Segmenter:
    task = replace(TASK, **changes)
    return Segmenter(network, task, VALUES, PLAIN, "cpu", channel_names=("MR",))


def test_predictions_have_the_labels_that_are_written_for_the_regions(folder: Path, tmp_path: Path) -> None:
    """Of volumes that fit, and of windows; a network that mirrors, too."""
    ensemble = Ensemble([Levels(), Levels()], mirror_axes=(0, 1), output=TASK.output)
    for number, network in enumerate(
        (segmenter(Levels()), segmenter(Levels(), size=(8, 8, 4)), segmenter(ensemble))
    ):
        written = network.predict(folder / "imagesTr", tmp_path / str(number))
        assert len(written) == 10
        for path in written:
            truth, found = voxels(folder / "labelsTr" / path.name), voxels(path)
            np.testing.assert_array_equal(found[truth != 5], truth[truth != 5])
            assert set(np.unique(found)) <= set(VALUES)


def test_later_regions_overwrite_earlier_ones(folder: Path, tmp_path: Path) -> None:
    """A network that sees enhancing tumour, and no other region, writes it all the same."""

    class Enhancing(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return torch.cat([-images, -images - 1, images - 2.5], 1)

    (path,) = segmenter(Enhancing()).predict(folder / "imagesTr" / "p0_0000.nii.gz", tmp_path)
    image = voxels(folder / "imagesTr" / "p0_0000.nii.gz")
    expected = np.where(image > 2.5, 4, np.where(image < -1, 1, np.where(image < 0, 2, 0)))
    np.testing.assert_array_equal(voxels(path), expected)


def test_scores_of_a_test_are_those_of_the_files_that_it_writes(folder: Path, tmp_path: Path) -> None:
    class Blurred(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return Levels()(nn.functional.avg_pool3d(images, 3, 1, 1))

    case = LabelledCase(
        "p3", (folder / "imagesTr" / "p3_0000.nii.gz",), folder / "labelsTr" / "p3.nii.gz", {5: IGNORE}
    )
    results = segmenter(Blurred()).results([case], tmp_path)
    truth, found = voxels(case.label), voxels(tmp_path / "p3.nii.gz")
    indices = np.array([0, 2, 1, 0, 3])
    known = truth != 5
    expected = dice_of_masks(in_regions(indices[found], known), in_regions(indices[truth % 5], known))
    assert list(results["scores"]["p3"].values()) == pytest.approx(expected.tolist())
    assert list(results["scores"]["p3"]) == ["whole", "core", "enhancing"]
    assert (expected < 1).all()


def test_a_saved_network_keeps_its_regions_and_an_older_one_has_none() -> None:
    plain = {"channels": 1, "label_names": list(LABELS), "size": [12, 10, 8], "label_values": list(VALUES)}
    kept = {**plain, "regions": [region.to_dict() for region in REGIONS]}
    task = Segmentation().network_task(json.loads(json.dumps(kept)))
    assert task == TASK
    use = Segmentation().describe_use(kept)
    assert (use["labels"], use["label_values"]) == (["whole", "core", "enhancing"], [2, 1, 4])
    older = Segmentation().network_task(plain)
    assert (older.output, older.written, older.classes) == ("softmax", (), 4)
    assert Segmentation().describe_use(plain)["labels"] == ["background", *LABELS]
    assert "channels" not in Segmentation().describe_use(plain)


def test_one_region_alone(tmp_path: Path, folder: Path) -> None:
    """The network has one output; where it is not above a half, there is background."""
    one = replace(TASK, regions=(Region("whole", WHOLE, 1),))
    network = Segmenter(nn.Conv3d(1, 1, 1), one, VALUES, PLAIN, "cpu")
    with torch.no_grad():
        network.network.weight.fill_(1)
        network.network.bias.fill_(-0.5)
    (path,) = network.predict(folder / "imagesTr" / "p1_0000.nii.gz", tmp_path)
    image = voxels(folder / "imagesTr" / "p1_0000.nii.gz")
    np.testing.assert_array_equal(voxels(path), np.where(image > 0.5, 2, 0))


def test_dicom_segmentations_of_regions_have_the_labels(tmp_path: Path) -> None:
    pytest.importorskip("highdicom")
    from dicom_files import write_series

    stored = np.random.default_rng(0).integers(0, 4, (8, 10, 12)).astype(np.int16)
    write_series(tmp_path / "scan", stored, tags={"FrameOfReferenceUID": "1.2.3"})
    from netwright.data.io.volumes import read_grid, read_label

    (path,) = segmenter(Levels()).predict(tmp_path / "scan", tmp_path / "out", format="dicom-seg")
    (plain,) = segmenter(Levels()).predict(tmp_path / "scan", tmp_path / "nifti", format="nifti")
    grid = read_grid(tmp_path / "scan")
    np.testing.assert_array_equal(read_label(path, grid), read_label(plain, grid))
    assert set(np.unique(read_label(path, grid))) == set(VALUES)


SEARCH = ("--trials", 1, "--epochs", 1, "--workers", 1)
ALONE = ("--set", "verdict.references=[]", "--set", "verdict.random_choices=0", "--set", "verdict.epochs=1")


def test_from_inspection_to_report(folder: Path, netwright: Callable[..., Any], tmp_path: Path) -> None:
    told = netwright("inspect", folder)
    assert "region     core: " in told.stdout
    assert "labels 1, 4, written as 1" in told.stdout
    assert "ignored    12.50 %" in told.stdout
    run = tmp_path / "run"
    done = netwright(
        *("search", folder, "--recipe", "segnas4", "-o", run, *SEARCH, *ALONE),
        *("--set", "space.n=[1,2]", "--set", "space.p=[1,2]", "--set", "preprocessing.size=[12,10,8]"),
    )
    assert done.returncode == 0, done.stderr + done.stdout
    assert netwright("predict", run, folder / "imagesTr", "-o", tmp_path / "out").returncode == 0
    assert set(np.unique(voxels(tmp_path / "out" / "p0.nii.gz"))) <= set(VALUES)
    opened = open_run(run)
    evaluation = opened.evaluate(folder)
    assert evaluation.metrics.keys() >= {"dice.whole", "dice.core", "dice.enhancing"}
    for case, scores in evaluation.cases.items():
        found, truth = (voxels(path / f"{case}.nii.gz") for path in (tmp_path / "out", folder / "labelsTr"))
        indices, known = np.array([0, 2, 1, 0, 3]), truth != 5
        masks = in_regions(indices[found], known), in_regions(indices[truth % 5], known)
        with np.errstate(invalid="ignore"):
            np.testing.assert_allclose(list(scores.values()), dice_of_masks(*masks))
    page = (run / "report.html").read_text()
    assert "core (label 1, enhancing; written as label 1)" in page
    assert "mean of regions" in page
    assert "mean of labels" not in page
    assert "surface of a region" in page
    assert "12.5 % of the voxels, which are in no loss and in no score" in page


def test_the_crf_is_refused_for_regions(folder: Path, netwright: Callable[..., Any], tmp_path: Path) -> None:
    pytest.importorskip("pydensecrf")
    done = netwright(
        "search", folder, "-r", "segnas4", "-o", tmp_path / "run", "--set", "postprocessing.crf=true"
    )
    assert done.returncode != 0
    assert "regions overlap" in done.stderr
    assert not (tmp_path / "run").exists()
