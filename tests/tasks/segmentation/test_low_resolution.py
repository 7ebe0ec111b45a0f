"""A first stage at low resolution: in its place in training and prediction, and kept like any network."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from netwright.data import PreprocessingSettings, open_any, prepare
from netwright.data.loading.augmentation import AugmentationSettings, augment
from netwright.data.open import split_any
from netwright.data.volumes.preprocessing import air_of, coarsened
from netwright.data.volumes.surroundings import SurroundedImage
from netwright.models.export import EXPORTERS
from netwright.models.export.base import Exportable
from netwright.models.export.description import describe_use
from netwright.models.export.graphs import write_graphs
from netwright.models.store import (
    Composition,
    Member,
    build_composition,
    describe_trained,
    load_trained,
    saved_network,
)
from netwright.searches.components import problem_of
from netwright.settings import RunSettings, SpecSettings, parse_settings
from netwright.spaces import network_builder
from netwright.spaces.auto.two_stages import TwoStages, magnified
from netwright.spaces.references import REFERENCES
from netwright.tasks import TASKS
from netwright.tasks.segmentation.graph_geometry import Steps
from netwright.tasks.segmentation.inference_graphs import graphs
from netwright.tasks.segmentation.network_task import SegmentationTask
from netwright.tasks.segmentation.predictor import as_segmenter
from netwright.training.config import TrainingProtocol
from netwright.training.files import WEIGHTS
from netwright.training.inference import predict_volume
from netwright.training.weights import save_weights

CPU = torch.device("cpu")
FACTORS = (2, 3, 1)
SHAPE, SIZE = (60, 70, 20), (12, 16, 10)


def smooth() -> Any:
    """(1, *SHAPE), linear in the places of voxels, of which means of blocks and interpolations are exact."""
    x, y, z = np.meshgrid(*(np.arange(length) + 0.5 for length in SHAPE), indexing="ij")
    return ((0.02 * x - 0.03 * y + 0.05 * z)[None]).astype(np.float32)


@pytest.mark.parametrize(
    "changed",
    [
        {"rotation_degrees": 40.0, "shift": 0.0},
        {"shift": 0.2},
        {"scale": (0.7, 0.8)},
        {"flip": 1.0, "shift": 0.0},
    ],
)
def test_surroundings_are_augmented_with_their_part(changed: dict[str, Any]) -> None:
    """Magnified, the surroundings of a linear function are the part itself, whatever both were changed by."""
    image = smooth()
    volume = SurroundedImage(image, coarsened(image, FACTORS), FACTORS, np.zeros(1, np.float32))
    part = volume[:, 24:36, 28:44, 5:15]
    settings = AugmentationSettings(
        **{"probability": 1.0, "rotation_degrees": 0.0, "scale": (1.0, 1.0), **changed}
    )
    images = torch.from_numpy(part)[None]
    labels = torch.zeros((1, *SIZE), dtype=torch.uint8)
    generator = torch.Generator().manual_seed(3)
    images, _ = augment(images, labels, settings, generator, spacing=(1.0, 0.8, 2.0), factors=FACTORS)
    near, far = images.chunk(2, 1)
    inner = (slice(4, 8), slice(5, 11), slice(3, 7))
    torch.testing.assert_close(magnified(far, FACTORS)[0, 0][inner], near[0, 0][inner], atol=2e-3, rtol=0)
    assert not torch.allclose(near[0, 0][inner], torch.from_numpy(part[0])[inner], atol=1e-2)


@pytest.mark.parametrize("shape", [SHAPE, (9, 40, 9)])
def test_an_exported_network_sees_the_same_surroundings(shape: tuple[int, int, int], tmp_path: Path) -> None:
    """Windows at the ends of an image and within it, some larger than the image."""
    image = np.random.default_rng(1).normal(size=(2, *shape)).astype(np.float32)
    settings = PreprocessingSettings(
        spacing=(1.0, 1.0, 1.0),
        pad=False,
        size=SIZE,
        normalise="none",
        pad_value="air",
        low_resolution=FACTORS,
    )
    write_graphs(graphs(Steps(settings, SIZE, None, False), 2, (0, 1), regions=False), tmp_path)
    prepared, cut = (
        onnxruntime.InferenceSession(tmp_path / f"{name}.onnx") for name in ("prepare", "window")
    )
    padded, begins, _, coarse, room = prepared.run(None, {"image": image, "spacing": np.ones(3)})
    air = np.float32(air_of(image, settings))
    volume = SurroundedImage(image, coarsened(image, FACTORS), FACTORS, air)
    expected = np.broadcast_to(air[:, None, None, None], (2, *padded.shape[1:])).copy()
    own = tuple(slice(*map(int, bounds)) for bounds in room.T)
    expected[:, *own] = image
    np.testing.assert_array_equal(padded, expected)
    np.testing.assert_allclose(coarse[:, 1:-1, 1:-1, 1:-1], coarsened(image, FACTORS), rtol=1e-4, atol=1e-6)
    for begin in begins[:: max(1, len(begins) // 8)]:
        given = {"prepared": padded, "coarse": coarse, "room": room, "begin": begin}
        (found,) = cut.run(None, given)
        window = [slice(at, at + n) for at, n in zip(begin, SIZE, strict=True)]
        ends = [(max(one.start, o.start), min(one.stop, o.stop)) for one, o in zip(window, own, strict=True)]
        part = volume[:, *(slice(a - o.start, b - o.start) for (a, b), o in zip(ends, own, strict=True))]
        place = (slice(a - one.start, b - one.start) for (a, b), one in zip(ends, window, strict=True))
        surroundings = np.broadcast_to(air[:, None, None, None], (2, *SIZE)).copy()
        surroundings[:, *place] = part[2:]
        np.testing.assert_array_equal(found[0, :2], padded[:, *window])
        np.testing.assert_allclose(found[0, 2:], surroundings, atol=1e-5)


def test_a_part_may_end_beyond_the_image() -> None:
    """As windows of a volume that is shorter than them along an axis, but not along all."""
    image = smooth()[:, :9]
    volume = SurroundedImage(image, coarsened(image, FACTORS), FACTORS, np.zeros(1, np.float32))
    np.testing.assert_array_equal(volume[:, 2:14, 3:19, 4:14], volume[:, 2:9, 3:19, 4:14])
    assert predict_volume(FromSurroundings(), volume, SIZE).labels().shape == image.shape[1:]


class FromSurroundings(nn.Module):
    """Tells from the surroundings alone whether a voxel is over a threshold."""

    def forward(self, images: Tensor) -> Tensor:
        seen = 40 * (magnified(images.chunk(2, 1)[1], FACTORS) - 0.2003)
        return torch.cat([-seen, seen], 1)


def test_windows_are_predicted_with_what_lies_around_each() -> None:
    image = smooth()
    volume = SurroundedImage(image, coarsened(image, FACTORS), FACTORS, np.zeros(1, np.float32))
    labels = predict_volume(FromSurroundings(), volume, SIZE, batch_size=3).labels()
    inner = (slice(6, -6), slice(9, -9), slice(3, -3))
    assert 0.2 < (image[0][inner] > 0.2003).mean() < 0.8
    np.testing.assert_array_equal(labels[inner], image[0][inner] > 0.2003)


def run_settings(dataset: Path, prepared: Any) -> RunSettings:
    volumes = prepared.settings.to_dict()
    space = {
        "name": "encoder-decoder",
        "channels": 2,
        "classes": 4,
        "size": list(prepared.size),
        "dense": True,
    }
    values = {"recipe": "auto", "dataset": {"path": str(dataset)}, "strategy": {"name": "prior"}}
    values |= {"space": {**space, "low_resolution": volumes["low_resolution"]}, "preprocessing": volumes}
    return parse_settings({**values, "training": {"mixed_precision": False, "batch_size": 2}})


def test_a_network_in_stages_is_trained_kept_and_used_with_others(tmp_path: Path, dataset: Path) -> None:
    """The test of files equals the scores on prepared volumes, where files and prepared volumes have one grid."""
    chosen = PreprocessingSettings(size=(16, 16, 16), spacing="native", low_resolution=(2, 2, 2))
    opened = open_any(dataset)
    prepared = prepare(opened, chosen, tmp_path / "cache")
    settings = run_settings(dataset, prepared)
    problem = problem_of(settings, prepared)
    assert problem.task.channels == 2
    staged = {"low_resolution": True, "width": 8, "levels": 2}
    composition = Composition((Member(staged, None, 1.0), Member({"width": 8}, None, 2.0)), (0,))
    torch.manual_seed(0)
    ensemble = build_composition(composition, settings, problem.task)
    network: nn.Module = ensemble.members[0]  # type: ignore[index,union-attr]
    protocol = TrainingProtocol(mixed_precision=False, batch_size=2)
    optimizer = torch.optim.Adam(network.parameters(), 1e-2)
    loss, losses = problem.loss(range(4), protocol, CPU), []
    for _ in range(2):
        for images, labels in problem.batches(range(4), protocol, CPU, seed=0):
            heads = network.train()(images)
            assert [tuple(head.shape) for head in heads] == [(len(images), 4, 16, 16, 16)] * 2
            optimizer.zero_grad()
            losses.append(loss(heads, labels))
            losses[-1].backward()  # type: ignore[no-untyped-call]
            assert all(weight.grad is not None for weight in network.parameters())
            optimizer.step()
    assert losses[-1] < losses[0]
    describe_trained(tmp_path / "net", settings, prepared, staged, None, composition)
    save_weights(ensemble.eval(), tmp_path / "net" / WEIGHTS)

    use = describe_use(TASKS["segmentation"], saved_network(tmp_path / "net"))
    assert use["input"]["shape"] == ["batch", 2, 16, 16, 16]
    assert "the second half what lies around it" in use["channels"]
    assert "2 x 2 x 2 times as long" in use["channels"]
    segmenter = as_segmenter(load_trained(tmp_path / "net", settings, "cpu"))
    assert segmenter.channels == 1
    splits = split_any(prepared, 0, (0.6, 0.2, 0.2))
    cases = prepared.indices(splits.test)
    expected = problem.scores(ensemble, cases, protocol, CPU)
    tested = segmenter.test(TASKS["segmentation"].test_cases(opened, prepared, splits.test))
    found = [list(tested.dice[name].values()) for name in splits.test]
    np.testing.assert_allclose(found, expected, atol=0.01)

    describe_trained(tmp_path / "single", settings, prepared, staged, None)
    save_weights(network, tmp_path / "single" / WEIGHTS)
    single = as_segmenter(load_trained(tmp_path / "single", settings, "cpu"))
    expected = problem.scores(network, cases, protocol, CPU)
    held_out = TASKS["segmentation"].test_cases(opened, prepared, splits.test)
    tested = single.test(held_out, tmp_path / "tested")
    found = [list(tested.dice[name].values()) for name in splits.test]
    np.testing.assert_allclose(found, expected, atol=0.01)
    for case in held_out:
        (written,) = single.predict(case.images[0], tmp_path / "predicted")
        (same,) = (tmp_path / "tested").glob(f"{case.name}.*")
        assert written.read_bytes() == same.read_bytes()


def test_standard_networks_see_the_image_alone() -> None:
    """As beside any other search: they are those of the literature, for the channels of the image."""
    task = SegmentationTask(4, ("a", "b"), (16, 16, 16))
    options = {"channels": 4, "classes": 3, "size": [16, 16, 16], "low_resolution": [2, 2, 2]}
    spec = SpecSettings(name="encoder-decoder", **options)
    network = network_builder(spec, {}, "monai-unet")(task).eval()
    alone = REFERENCES["monai-unet"].build(replace(task, channels=2)).eval()
    alone.load_state_dict({name.partition(".")[2]: one for name, one in network.state_dict().items()})
    images = torch.randn(1, 4, 16, 16, 16)
    torch.testing.assert_close(network(images), alone(images[:, :2]))


def test_stages_are_exported(tmp_path: Path) -> None:
    torch.manual_seed(0)
    first, second = nn.Conv3d(1, 3, 3, padding=1), nn.Conv3d(1 + 3, 3, 3, padding=1)
    network = TwoStages(first, second, (2, 1, 3)).eval()
    exportable = Exportable(network, torch.randn(2, 2, 6, 5, 9), {})
    EXPORTERS["torch-export"].write(exportable, tmp_path / "net.pt2")
    program, images = torch.export.load(tmp_path / "net.pt2").module(), torch.randn(3, 2, 6, 5, 9)
    torch.testing.assert_close(program(images), network(images), atol=1e-5, rtol=1e-5)
