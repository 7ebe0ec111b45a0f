"""A network behind a change of normalisation, against images that were normalised for it."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from netwright.data.images.settings import ImageSettings, PicturePreparation
from netwright.data.volumes.preprocessing import Intensities, PreprocessingSettings, normalised
from netwright.errors import RunError
from netwright.nn.renormalised import Renormalised
from netwright.tasks.base import SavedNetwork
from netwright.tasks.folds import join_pictures, join_volumes

RANDOM = np.random.default_rng(0)
MODALITY = PreprocessingSettings(spacing="native", size=(8, 8, 8), normalise="modality")


def saved(folder: str, preprocessing: dict[str, object], channels: int) -> SavedNetwork:
    return SavedNetwork(Path(folder), {"channels": channels}, preprocessing)


def test_ct_reaches_each_network_as_it_was_trained_on() -> None:
    measured: list[Intensities] = [(-900, 300, 40, 120), (-1000, 250, 10, 100), (-950, 400, 60, 140.5)]
    settings = [replace(MODALITY, ct_intensities=(one, None)) for one in measured]
    scan = RANDOM.uniform(-1500, 1500, (2, 8, 8, 8)).astype(np.float32)
    joined = join_volumes([saved(str(n), one.to_dict(), 2) for n, one in enumerate(settings)])
    assert joined.images == ((-1000, 400, 40, 120), None)
    common = torch.from_numpy(normalised(scan, PreprocessingSettings.from_dict(joined.preprocessing)))[None]
    for own, channels in zip(settings, joined.members, strict=True):
        found = Renormalised(nn.Identity(), 2).between(joined.images, channels)(common)[0]
        np.testing.assert_allclose(found.numpy(), normalised(scan, own), atol=1e-5)


def test_ct_and_its_surroundings_reach_each_network_in_stages_as_it_was_trained_on() -> None:
    measured: list[Intensities] = [(-900, 300, 40, 120), (-1000, 250, 10, 100)]
    settings = [replace(MODALITY, ct_intensities=(one,), low_resolution=(2, 2, 1)) for one in measured]
    scan = RANDOM.uniform(-1500, 1500, (1, 8, 8, 8)).astype(np.float32)
    joined = join_volumes([saved(str(n), one.to_dict(), 2) for n, one in enumerate(settings)])
    common = normalised(scan, PreprocessingSettings.from_dict(joined.preprocessing))
    image_with_surroundings = torch.from_numpy(np.concatenate([common, common[:, ::-1]]))[None]
    for own, channels in zip(settings, joined.members, strict=True):
        found = Renormalised(nn.Identity(), 2).between(joined.images, channels)(image_with_surroundings)[0]
        expected = normalised(scan, own)
        np.testing.assert_allclose(found.numpy(), [expected[0], expected[0, ::-1]], atol=1e-5)


def test_pictures_reach_each_network_as_it_was_trained_on() -> None:
    settings = ImageSettings(size=(4, 5))
    prepared = [
        PicturePreparation(settings, ("red", "green", "blue"), "uint8", means, stds)
        for means, stds in (((90, 80, 7), (30, 20, 1.5)), ((85.5, 99, 7), (28, 25, 0.0)))
    ]
    stored = RANDOM.integers(0, 256, (3, 3, 4, 5)).astype(np.uint8)
    joined = join_pictures([saved(str(n), one.to_dict(), 3) for n, one in enumerate(prepared)])
    common = torch.from_numpy(PicturePreparation.from_dict(joined.preprocessing).normalised(stored))
    for own, channels in zip(prepared, joined.members, strict=True):
        found = Renormalised(nn.Identity(), 3).between(joined.images, channels)(common)
        np.testing.assert_allclose(found.numpy(), own.normalised(stored), atol=1e-5)


def test_images_that_are_normalised_case_by_case_are_not_touched() -> None:
    images = torch.randn(2, 3, 6, 5)
    assert torch.equal(Renormalised(nn.Identity(), 3)(images), images)
    same = ((-math.inf, math.inf, 0.0, 255.0),) * 3
    assert torch.equal(Renormalised(nn.Identity(), 3).between(same, same)(images), images)
    assert join_volumes([saved("a", PreprocessingSettings().to_dict(), 3)] * 2).images == (None,) * 3


def test_networks_for_other_spacings_are_not_joined() -> None:
    other = replace(MODALITY, spacing=(1.0, 1.0, 2.0), ct_intensities=(None,)).to_dict()
    with pytest.raises(RunError, match=r"two cannot be used as one network.*spacing"):
        join_volumes([saved("one", MODALITY.to_dict(), 1), saved("two", other, 1)])
