"""Settings chosen from a dataset, and intensities."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from netwright.data import PreprocessingSettings, UnusableFile, prepare_volume, read_image
from netwright.data.io.grid import Grid
from netwright.data.volumes.preprocessing import PreparedImage, normalised
from netwright.errors import DatasetError, SettingsError
from netwright.settings import parse_settings


def grid(shape: tuple[int, int, int], spacing: tuple[float, float, float]) -> Grid:
    return Grid(shape, tuple(map(tuple, np.diag([*spacing, 1.0]).tolist())))


def of_file(path: Path, settings: PreprocessingSettings) -> PreparedImage:
    return prepare_volume(read_image([path]), [path], settings)


def test_spacing_and_size_are_chosen_from_the_cases() -> None:
    grids = [
        grid((100, 90, 30), (0.5, 0.5, 2.0)),
        grid((120, 80, 40), (0.5, 0.5, 2.0)),
        grid((9, 9, 9), (3, 3, 3)),
    ]
    settings = PreprocessingSettings().resolved(grids)
    assert settings.spacing == (0.5, 0.5, 0.5)
    # shapes at 0.5 mm: 100 x 90 x 120, 120 x 80 x 160, 54 x 54 x 54
    assert settings.size == (104, 80, 120)
    assert settings.resolved([]) is settings
    native = PreprocessingSettings(spacing="native").resolved(grids)
    assert (native.spacing, native.size) == ("native", (104, 80, 32))
    large = PreprocessingSettings().resolved([grid((500, 512, 90), (1, 1, 1))])
    assert large.size == (128, 128, 96)
    with pytest.raises(DatasetError, match="No cases"):
        PreprocessingSettings().resolved([])


@pytest.mark.parametrize(
    "settings",
    [
        PreprocessingSettings(),
        PreprocessingSettings(spacing=(1, 2, 3.5), size=(8, 9, 10), resize=True, normalise="minmax"),
        PreprocessingSettings(spacing="native", pad=False, foreground="nonzero"),
    ],
)
def test_settings_survive_json(settings: PreprocessingSettings) -> None:
    assert PreprocessingSettings.from_dict(json.loads(json.dumps(settings.to_dict()))) == settings


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"normalise": "rank"}, "normalise is 'rank': expected one of zscore, minmax, none"),
        ({"spacing": "cubic"}, "expected one of isotropic, median, native"),
        ({"spacing": (1, 0, 1)}, "each above 0"),
        ({"size": (32, 32)}, "three numbers of voxels"),
        ({"size": (32, 32, 1.5)}, "whole numbers"),
        ({"foreground": "brain"}, "expected one of all, nonzero"),
    ],
)
def test_settings_that_no_step_knows(values: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        PreprocessingSettings(**values)


def test_intensities() -> None:
    image = np.random.default_rng(0).normal(300, 40, (2, 8, 9, 10)).astype(np.float32)
    image[1] *= image[1] > 300
    result = normalised(image, PreprocessingSettings())
    np.testing.assert_allclose(result.mean(axis=(1, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(result.std(axis=(1, 2, 3)), 1, atol=1e-5)
    within = normalised(image, PreprocessingSettings(foreground="nonzero"))[1][image[1] != 0]
    assert (within.mean(), within.std()) == pytest.approx((0, 1), abs=1e-5)
    scaled = normalised(image, PreprocessingSettings(normalise="minmax"))
    assert (scaled.min(), scaled.max()) == pytest.approx((0, 1), abs=1e-6)
    assert normalised(image, PreprocessingSettings(normalise="none")) is image
    assert not normalised(np.full((1, 2, 2, 2), 7, np.float32), PreprocessingSettings()).any()
    assert not normalised(
        np.zeros((1, 2, 2, 2), np.float32), PreprocessingSettings(foreground="nonzero")
    ).any()


@pytest.mark.parametrize("normalise", ["zscore", "minmax", "none"])
def test_background_of_zeros_stays_zero(
    normalise: Any, tmp_path: Path, save_volume: Callable[..., Path]
) -> None:
    values = np.random.default_rng(0).normal(300, 40, (8, 9, 10)).astype(np.float32)
    values[:, :4] = 0
    settings = PreprocessingSettings(
        spacing="native", size=(12, 12, 12), normalise=normalise, foreground="nonzero"
    )
    image = of_file(save_volume(tmp_path / "scan.nii", values, np.eye(4)), settings).image[0]
    inside = image[2:10, 1:10, 1:11]
    assert not inside[:, :4].any()
    assert inside[:, 4:].std() > 0.1
    assert np.count_nonzero(image) == np.count_nonzero(inside)


@pytest.mark.parametrize(
    "values", [{"preprocessing": {"spacin": "native"}}, {"training": {"augmentation": {"rotate": 3}}}]
)
def test_settings_of_a_run_with_unknown_names_are_refused(values: dict[str, Any]) -> None:
    run: dict[str, Any] = {
        "recipe": "segnas4",
        "dataset": {"path": "."},
        "space": {"name": "segnas4"},
        "strategy": {"name": "random"},
    }
    parse_settings(
        {**run, "preprocessing": {"spacing": "native"}, "training": {"augmentation": {"shift": 0.1}}}
    )
    with pytest.raises(SettingsError, match=r"spacin|rotate"):
        parse_settings({**run, **values})


def test_images_to_predict(tmp_path: Path, save_volume: Callable[..., Path]) -> None:
    values = np.random.default_rng(0).normal(50, 9, (5, 6, 7)).astype(np.float32)
    path = save_volume(tmp_path / "scan.nii", values, np.diag([-1.0, 1, 1, 1]))
    settings = PreprocessingSettings(spacing="native", size=(8, 8, 8))
    prepared = of_file(path, settings)
    assert prepared.image.shape == (1, 8, 8, 8)
    expected = (values[::-1] - values.mean()) / values.std()
    np.testing.assert_allclose(prepared.image[0, 1:6, 1:7, 0:7], expected, atol=1e-5)
    with pytest.raises(SettingsError, match="chosen from a dataset first"):
        of_file(path, PreprocessingSettings())
    values[0] = np.nan
    save_volume(path, values)
    with pytest.raises(UnusableFile, match=r"scan\.nii has voxels that are not numbers"):
        of_file(path, settings)


@pytest.mark.parametrize(
    ("shapes", "size"),
    [
        (((216, 256, 10), (216, 256, 10), (256, 216, 8)), (256, 256, 16)),
        (((216, 256, 10),), (216, 256, 16)),
        (((154, 224, 9), (320, 320, 10)), (320, 320, 16)),
        (((216, 256, 10), (428, 512, 8)), (320, 320, 16)),
    ],
)
def test_a_whole_size_holds_every_side_up_to_320(
    shapes: tuple[tuple[int, int, int], ...], size: tuple[int, int, int]
) -> None:
    settings = PreprocessingSettings(spacing="native", size="whole")
    assert not settings.is_resolved
    resolved = settings.resolved([grid(shape, (1.56, 1.56, 10.0)) for shape in shapes])
    assert (resolved.size, resolved.spacing) == (size, "native")
    assert resolved.is_resolved
    assert PreprocessingSettings.from_dict(resolved.to_dict()) == resolved


def test_a_size_that_is_no_word_for_one_is_refused() -> None:
    with pytest.raises(SettingsError, match="size is 'half': expected one of proportional, whole"):
        PreprocessingSettings(size="half")  # type: ignore[arg-type]
