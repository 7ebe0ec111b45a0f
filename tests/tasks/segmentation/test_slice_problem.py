"""Networks of two dimensions on volumes, against networks of three that do the same."""

import json
from dataclasses import replace

import nibabel
import numpy as np
import pytest
import torch
from torch import nn

from netwright.data import open_any
from netwright.data.io.grid import Grid
from netwright.data.io.volumes import Volume
from netwright.data.samples.phantoms import write_sample
from netwright.data.volumes.cache import prepare
from netwright.data.volumes.geometry import Geometry
from netwright.data.volumes.prepared import PreparedCase
from netwright.data.volumes.preprocessing import PreprocessingSettings, prepare_volume
from netwright.data.volumes.slices import Slices, SliceSettings
from netwright.tasks.segmentation.network_task import SegmentationTask
from netwright.tasks.segmentation.predictor import Segmenter
from netwright.tasks.segmentation.problem import make_problem
from netwright.tasks.segmentation.slice_problem import SliceProblem
from netwright.tasks.segmentation.validation import slice_dice, validation_dice
from netwright.tasks.segmentation.volume_problem import VolumeProblem
from netwright.training.config import TrainingProtocol
from netwright.training.inference import predict_slices, predict_volume
from netwright.training.loop import train
from netwright.training.outcome import Status
from netwright.training.trial import evaluate_candidate

CPU = torch.device("cpu")
PLAIN = {"mixed_precision": False, "channels_last": False, "augmentation": None}
SHAPES = [(12, 14, 10), (7, 9, 10), (30, 14, 10), (25, 20, 31), (8, 40, 5)]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    root = tmp_path_factory.mktemp("slices")
    dataset = open_any(write_sample(root / "sample", cases=5, size=24))
    return prepare(dataset, PreprocessingSettings(), root / "cache")


@pytest.fixture
def save_pair():
    """Saves a case of noise around 100 with a labelled block, of voxels of 1 x 1 x 2 mm, and describes it."""

    def save(root, number, shape):
        rng = np.random.default_rng(number)
        label = np.zeros(shape, np.uint8)
        label[4:9, 5:11, 2:6] = 1
        affine = np.diag([1.0, 1, 2, 1])
        for folder, array in (
            ("imagesTr", rng.normal(100, 9, shape).astype(np.float32)),
            ("labelsTr", label),
        ):
            (root / folder).mkdir(parents=True, exist_ok=True)
            nibabel.save(nibabel.Nifti1Image(array, affine), root / folder / f"c{number}.nii")
        described = {
            "modality": {"0": "MRI"},
            "labels": {"0": "background", "1": "block"},
            "training": [
                {"image": f"imagesTr/c{one}.nii", "label": f"labelsTr/c{one}.nii"}
                for one in range(number + 1)
            ],
        }
        (root / "dataset.json").write_text(json.dumps(described))

    return save


class PixelWise(nn.Module):
    def __init__(self):
        super().__init__()
        self.shapes = []

    def forward(self, images):
        self.shapes.append(tuple(images.shape))
        return torch.cat([images, -images, 0.5 * images.square()], 1)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_pixel_wise_network_gives_the_same_slice_by_slice_as_at_once(shape, axis):
    image = np.random.default_rng(0).normal(size=(1, *shape)).astype(np.float32)
    network = PixelWise()
    found = predict_slices(network, image, (12, 14), axis, batch_size=3).whole()
    expected = predict_volume(PixelWise(), image, shape).whole()
    assert found.shape == (3, *shape)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert {seen[1:] for seen in network.shapes} == {(1, 12, 14)}
    assert max(seen[0] for seen in network.shapes) <= 3


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_each_slice_is_predicted_by_itself_and_stays_in_its_place(axis):
    class Brightest(nn.Module):
        """Class 1 wherever the slice's own mean is over 5."""

        def forward(self, images):
            bright = 20 * (images.mean((2, 3), keepdim=True) - 5).sign()
            return torch.cat([-bright, bright], 1).expand(-1, -1, *images.shape[2:])

    image = np.zeros((1, 8, 6, 7), np.float32)
    np.moveaxis(image, axis + 1, 0)[:] = np.arange(image.shape[axis + 1])[:, None, None, None] * 2
    size = [n for i, n in enumerate(image.shape[1:]) if i != axis]
    found = predict_slices(Brightest(), image, size, axis, batch_size=4).whole()
    np.testing.assert_array_equal(found[1] > 0.5, image[0] > 5)


@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_dice_of_volumes_from_slices_is_that_of_volumes(make_balls, oracle, task, axis, mixed):
    balls = make_balls(shapes=SHAPES)
    settings = {"mixed_precision": mixed, "channels_last": mixed}
    slices, volumes = replace(task, size=(20, 22)), replace(task, size=(32, 40, 32))
    found = slice_dice(oracle(), balls, range(5), slices, axis, batch_size=7, **settings)
    whole = validation_dice(oracle(), balls, range(5), volumes, **settings)
    np.testing.assert_allclose(found, whole, atol=1e-12 if not mixed else 0.01)


def test_an_output_that_is_not_finite_is_refused(make_balls, task):
    balls = make_balls(shapes=[(6, 6, 6), (30, 6, 6)])

    class Infinite(nn.Module):
        def forward(self, images):
            return torch.cat([images, images, images], 1) / 0

    for case in (0, 1):
        with pytest.raises(FloatingPointError):
            slice_dice(Infinite(), balls, [case], replace(task, size=(8, 8)), 1)


def flat_network(task):
    """The same network for volumes of one slice and for pictures: 3 x 3 x 1 kernels, or 3 x 3."""
    torch.manual_seed(0)
    flat = nn.Sequential(nn.Conv2d(1, 6, 3, padding=1), nn.ReLU(), nn.Conv2d(6, task.classes, 1))
    if len(task.size) == 2:
        return flat
    volume = nn.Sequential(
        nn.Conv3d(1, 6, (3, 3, 1), padding=(1, 1, 0)), nn.ReLU(), nn.Conv3d(6, task.classes, 1)
    )
    state = {n: v[..., None] if v.ndim == 4 else v for n, v in flat.state_dict().items()}
    volume.load_state_dict(state)
    return volume


class Thin:
    """Prepared volumes of one slice each, as pictures are."""

    channels, classes = 1, 3
    spacing = (1.0, 1.0, 1.0)
    size = (12, 14, 1)
    label_names = ("shell", "core")
    regions, ignores = (), False

    def __init__(self, balls):
        self._balls = balls

    @property
    def cases(self):
        affine = tuple(map(tuple, np.eye(4).tolist()))
        geometry = Geometry(self.size, affine, self.size, self.spacing, (0.0, 0.0, 0.0))
        return [PreparedCase("thin", geometry, (12 * 14, 0, 0), "thin")] * 8

    def image(self, index):
        return self._balls.image(index)[..., 5:6]

    def label(self, index):
        return self._balls.label(index)[..., 5:6]

    def air(self, index):
        return np.zeros(1, np.float32)

    def shape(self, index):
        return self.size

    def class_counts_of(self, indices):
        return sum(np.bincount(self.label(i).ravel(), minlength=3) for i in indices)


@pytest.mark.parametrize("loss", ["exponential_logarithmic", "dice", "cross_entropy"])
def test_volumes_of_one_slice_train_alike_as_volumes_and_as_slices(balls, loss):
    thin = Thin(balls)
    volumes = VolumeProblem(thin, SegmentationTask(1, thin.label_names, thin.size))
    slices = make_problem(thin, SliceSettings())
    assert isinstance(slices, SliceProblem)
    assert (slices.axis, slices.task.size) == (2, (12, 14))
    protocol = TrainingProtocol(loss=loss, epochs=1, batch_size=2, learning_rate=0.01, **PLAIN)
    both = [
        train(flat_network(problem.task), problem, range(6), (6, 7), protocol, seed=4)
        for problem in (volumes, slices)
    ]
    first, second = (one.curves.values() for one in both)
    np.testing.assert_allclose(first["train_loss"], second["train_loss"], rtol=1e-5)
    np.testing.assert_allclose(both[0].scores[-1], both[1].scores[-1], atol=1e-9)
    for ours, theirs in zip(both[0].network.parameters(), both[1].network.parameters(), strict=True):
        torch.testing.assert_close(ours.flatten(), theirs.flatten(), rtol=1e-4, atol=1e-6)


def test_batches_are_of_slices_of_all_cases_and_drop_the_empty_ones(prepared):
    protocol = TrainingProtocol(batch_size=4, **PLAIN)
    lengths = {}
    for empty in ("keep", "drop"):
        settings = SliceSettings(axis=1, empty=empty)
        problem = make_problem(prepared, settings)
        expected = Slices(prepared, settings).of([0, 2])
        seen = []
        for images, labels in problem.batches([0, 2], protocol, CPU, seed=0):
            assert images.shape[1:] == (1, *problem.task.size)
            assert labels.shape[1:] == problem.task.size
            seen += labels.flatten(1).any(1).tolist()
        assert len(seen) in (len(expected), len(expected) - 1)
        assert empty == "keep" or all(seen)
        lengths[empty] = len(seen)
    assert lengths["drop"] < lengths["keep"] <= 2 * prepared.label(0).shape[1]


def test_every_slice_counts_in_a_volume_s_dice(prepared):
    """A network that sees foreground everywhere is punished for the empty slices that it was not trained on."""

    class Everywhere(nn.Module):
        def forward(self, images):
            logits = torch.zeros(len(images), 4, *images.shape[2:])
            logits[:, 1] = 1
            return logits

    problem = make_problem(prepared, SliceSettings(axis="coronal", empty="drop"))
    scores = problem.scores(Everywhere(), [1, 3], TrainingProtocol(), CPU)
    for row, case in enumerate((1, 3)):
        label = prepared.label(case)
        core = (label == 1).sum()
        voxels = prepared.image(case)[0].any(axis=(0, 2)).sum() * label[:, 0].size  # padding is no slice
        assert scores[row, 0] == pytest.approx(2 * core / (core + voxels))
    assert problem.metrics(scores)["dice"] == pytest.approx(np.nanmean(scores))


class Recorded(nn.Module):
    """Tells foreground everywhere, and remembers the slices that it saw."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def forward(self, images):
        self.seen += list(images.numpy())
        return torch.stack([torch.zeros_like(images[:, 0]), torch.ones_like(images[:, 0])], 1)


@pytest.mark.parametrize(("spacing", "size"), [("native", (16, 16, 16)), ((1.0, 1.0, 3.3), (20, 20, 8))])
def test_padding_is_no_slice_in_training_validation_or_prediction(spacing, size, tmp_path, save_pair):
    for case in range(4):
        save_pair(tmp_path / "set", case, (16, 16, 9 + case))
    settings = PreprocessingSettings(spacing=spacing, size=size)
    padded = prepare(open_any(tmp_path / "set"), settings, tmp_path / "cache")
    expected = {"native": [9, 10, 11, 12]}.get(spacing, [5, 6, 7, 7])  # 2 mm thick: 9 x 2 / 3.3 = 5.45
    problem = make_problem(padded, SliceSettings(axis="axial"))
    protocol = TrainingProtocol(batch_size=3, **PLAIN)
    trained = [
        image for images, _ in problem.batches(range(4), protocol, CPU, seed=0) for image in images.numpy()
    ]
    assert len(trained) >= sum(expected) - 1
    assert all(image.any() for image in trained)
    network = Recorded()
    scores = problem.scores(network, range(4), protocol, CPU)
    assert len(network.seen) == sum(expected)
    assert all(image.any() for image in network.seen)
    for row, slices in enumerate(expected):
        voxels = padded.label(row).shape[0] * padded.label(row).shape[1] * slices
        foreground = int(padded.label(row).sum())
        assert scores[row, 0] == pytest.approx(2 * foreground / (foreground + voxels))
    assert problem.validation_batches(range(4), protocol) == -(-sum(expected) // 3)


def test_a_prediction_sees_the_scan_s_slices_and_fills_the_scan(tmp_path):
    affine = tuple(map(tuple, np.diag([1.0, 1, 2, 1]).tolist()))
    image = np.random.default_rng(0).normal(size=(1, 16, 16, 9)).astype(np.float32)
    settings = PreprocessingSettings(spacing=(1.0, 1.0, 3.3), size=(16, 16, 8))
    volume = Volume(image, Grid((16, 16, 9), affine))
    assert prepare_volume(volume, [tmp_path], settings).image.shape == (1, 16, 16, 8)
    network = Recorded()
    segmenter = Segmenter(network, SegmentationTask(1, ("a",), (16, 16)), (0, 1), settings, CPU, slice_axis=2)
    found = segmenter.segment(segmenter.prepared(volume, [tmp_path]), [tmp_path]).labels
    assert len(network.seen) == 5
    assert found.shape == (16, 16, 9)
    assert found.all()


def test_a_small_network_learns_from_slices_and_becomes_an_outcome(prepared):
    def build(task):
        return nn.Sequential(
            nn.Conv2d(1, 12, 5, padding=2, bias=False),
            nn.BatchNorm2d(12),
            nn.ReLU(),
            nn.Conv2d(12, task.classes, 1),
        )

    protocol = TrainingProtocol(
        loss="dice_cross_entropy", optimizer="adam", learning_rate=0.02, epochs=15, batch_size=10
    )
    problem = make_problem(prepared, SliceSettings(empty="drop"))
    outcome = evaluate_candidate(build, problem, range(4), (4,), protocol, seed=0)
    assert outcome.status is Status.COMPLETE, outcome.reason
    assert set(outcome.metrics) <= set(problem.task.metric_names)
    assert outcome.metrics["dice"] > 0.25
    assert outcome.cost.flops == 2 * (12 * 25 + 12 * 4) * np.prod(problem.task.size)


def test_without_slices_volumes_stay_volumes(prepared):
    problem = make_problem(prepared)
    assert isinstance(problem, VolumeProblem)
    assert problem.task == SegmentationTask(1, prepared.label_names, prepared.size)
