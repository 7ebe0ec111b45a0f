"""What volumes are padded with: zeros, or the value of air, everywhere alike."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from netwright.data import PreprocessingSettings, open_any, prepare
from netwright.data.io.grid import Grid
from netwright.data.io.volumes import Volume
from netwright.data.loading.augmentation import augment
from netwright.data.loading.augmentation_settings import AugmentationSettings
from netwright.data.loading.batches import Batches
from netwright.data.volumes.cache import open_prepared
from netwright.data.volumes.preprocessing import prepare_volume
from netwright.data.volumes.slices import SliceSettings
from netwright.errors import SettingsError
from netwright.recipes import RECIPES
from netwright.tasks.segmentation.predictor import Segmenter
from netwright.tasks.segmentation.problem import make_problem
from netwright.training.config import TrainingProtocol

CPU = torch.device("cpu")
AFFINE = tuple(map(tuple, np.eye(4).tolist()))
SHAPE = (9, 10, 7)


def scan(channels: int = 2) -> Volume:
    """Noise around 100, a third of it air around 10."""
    rng = np.random.default_rng(0)
    array = rng.normal(100, 15, (channels, *SHAPE))
    array[:, :3] = rng.normal(10, 3, (channels, 3, *SHAPE[1:]))
    return Volume(array.astype(np.float32), Grid(SHAPE, AFFINE))


def test_padding_is_the_percentile_of_each_channel_after_normalising() -> None:
    volume = scan()
    settings = PreprocessingSettings(spacing="native", size=(16, 16, 16), pad_value="air")
    prepared = prepare_volume(volume, [Path("a")], settings)
    for values, image, air in zip(volume.array, prepared.image, prepared.air, strict=True):
        normalised = (values - values.mean(dtype=np.float64)) / values.std(dtype=np.float64)
        assert air == pytest.approx(np.percentile(normalised, 0.5), abs=1e-4)
        assert air < -1  # air, and no grey
        inside = image[3:12, 3:13, 4:11]
        np.testing.assert_allclose(inside, normalised, atol=1e-4)
        outside = np.ones(image.shape, bool)
        outside[3:12, 3:13, 4:11] = False
        np.testing.assert_allclose(image[outside], air, atol=1e-6)
    zero = prepare_volume(volume, [Path("a")], PreprocessingSettings(spacing="native", size=(16, 16, 16)))
    assert zero.air == (0, 0)
    assert not zero.image[:, 0].any()
    np.testing.assert_array_equal(zero.image[:, 3:12, 3:13, 4:11], prepared.image[:, 3:12, 3:13, 4:11])


def test_resizing_pads_with_it_too() -> None:
    settings = PreprocessingSettings(spacing="native", size=(12, 12, 12), pad_value="air", resize=True)
    prepared = prepare_volume(scan(1), [Path("a")], settings)
    kept = prepared.geometry.inside(2)
    assert kept.start > 0
    np.testing.assert_allclose(prepared.image[0, :, :, 0], prepared.air[0], atol=1e-6)


def test_where_the_background_is_zero_it_stays_zero() -> None:
    volume = scan(1)
    volume.array[:, :3] = 0
    settings = PreprocessingSettings(
        spacing="native", size=(16, 16, 16), pad_value="air", foreground="nonzero"
    )
    assert prepare_volume(volume, [Path("a")], settings).air == (0,)


@pytest.fixture
def prepared(msd_folder: Callable[..., Path], tmp_path: Path) -> object:
    settings = PreprocessingSettings(spacing="native", size=(8, 8, 16), pad_value="air", pad=False)
    return prepare(open_any(msd_folder(4)), settings, tmp_path / "cache")


class Seen(nn.Module):
    """Keeps what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.inputs: list[Tensor] = []

    def forward(self, images: Tensor) -> Tensor:
        self.inputs.append(images.clone())
        return torch.cat([images, images, images], 1)


def framed(images: Tensor, airs: np.ndarray) -> None:
    """Images of 6 x 7 (x 8) voxels in the middle of larger ones, with air around them."""
    assert images.shape[2:4] == (8, 8)
    for image, air in zip(images.numpy(), airs, strict=True):
        border = np.concatenate([image[:, 0].ravel(), image[:, -1].ravel(), image[:, :, -1].ravel()])
        np.testing.assert_allclose(border, air[0], atol=1e-6)
        assert air[0] < -1
        assert image[:, 1:7, :7].std() > 0.5


@pytest.mark.parametrize("slices", [None, SliceSettings(axis=2)])
def test_training_validation_and_prediction_pad_alike(slices: SliceSettings | None, prepared: object) -> None:
    from netwright.data import Prepared

    assert isinstance(prepared, Prepared)
    assert open_prepared(prepared.folder).cases == prepared.cases  # it survives the folder
    airs = np.stack([prepared.air(index) for index in range(4)])
    for index in range(4):
        assert airs[index, 0] == pytest.approx(np.percentile(prepared.image(index), 0.5), abs=1e-4)
    problem = make_problem(prepared, slices)
    protocol = TrainingProtocol(batch_size=1, augmentation=None, mixed_precision=False, channels_last=False)
    network = Seen()
    problem.scores(network, [0, 1], protocol, CPU)
    per_case = 1 if slices is None else 8
    for number, images in enumerate(network.inputs):
        framed(images, airs[[number // per_case]])
    for images, _ in problem.batches([2], protocol, CPU, seed=0):
        framed(images, airs[[2]])
    network = Seen()
    segmenter = Segmenter(
        network, problem.task, (0, 1, 2), prepared.settings, CPU, slice_axis=None if slices is None else 2
    )
    segmenter.probabilities(prepared.image(3), prepared.air(3))
    for images in network.inputs:
        framed(images, np.repeat(airs[[3]], len(images), 0))


def test_what_augmentation_brings_in_is_air() -> None:
    images, labels = torch.full((3, 2, 8, 8, 8), 5.0), torch.ones(3, 8, 8, 8, dtype=torch.uint8)
    air = torch.tensor([[-2.0, -3.0], [0.0, 0.0], [-1.0, 7.0]])
    settings = AugmentationSettings(probability=1.0, rotation_degrees=0.0, shift=0.5, scale=(0.5, 0.5))
    augmented, marked = augment(images, labels, settings, torch.Generator().manual_seed(0), outside=air)
    plain, same = augment(images, labels, settings, torch.Generator().manual_seed(0))
    torch.testing.assert_close(marked, same)
    for row in range(3):
        for channel in range(2):
            far = plain[row, channel] == 0
            assert far.any()
            torch.testing.assert_close(augmented[row, channel][far], air[row, channel].expand(int(far.sum())))
            full = plain[row, channel] == 5
            torch.testing.assert_close(augmented[row, channel][full], torch.full((int(full.sum()),), 5.0))


def test_batches_hand_the_air_to_the_augmentation(prepared: object) -> None:
    settings = AugmentationSettings(probability=1.0, rotation_degrees=0.0, shift=0.0, scale=(0.4, 0.4))
    batches = Batches(
        prepared,  # type: ignore[arg-type]
        [0],
        (8, 8, 8),
        1,
        augmentation=settings,
        generator=torch.Generator().manual_seed(0),
    )
    ((images, _),) = list(batches)
    air = float(prepared.air(0)[0])  # type: ignore[attr-defined]
    assert images[0, 0, 0, 0, 0].item() == pytest.approx(air, abs=1e-5)


def test_the_recipes_of_the_paper_pad_with_air_and_older_settings_with_zeros() -> None:
    for name in ("segnas11", "segnas4", "segnas7"):
        assert RECIPES[name].values["preprocessing"] == {"pad_value": "air"}
    assert not any(
        recipe.values.get("preprocessing", {}).get("pad_value") == "air"
        for name, recipe in RECIPES.items()
        if name not in ("segnas11", "segnas4", "segnas7")
    )
    older = PreprocessingSettings().to_dict()
    del older["pad_value"]
    assert PreprocessingSettings.from_dict(older).pad_value == "zero"
    with pytest.raises(SettingsError, match="pad_value is 'grey': expected one of zero, air"):
        PreprocessingSettings(pad_value="grey")  # type: ignore[arg-type]
