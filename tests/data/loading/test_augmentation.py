"""The augmentation against torch's own three-dimensional sampling, `rot90`, shifted slices, and balls."""

import math

import numpy as np
import pytest
import torch
from monai.transforms import AdjustContrast
from scipy.stats import binomtest, chisquare
from torch.nn import functional as F

from netwright.data.loading.augmentation import (
    AugmentationSettings,
    augment,
    change_intensity,
    cut_out,
    draw,
    transform,
    transform_plane,
)
from netwright.errors import SettingsError


def parameters(angle=0.0, shift=(0.0, 0.0, 0.0), scale=1.0, batch=1):
    return (
        torch.full((batch,), angle, dtype=torch.float64),
        torch.tensor([shift] * batch, dtype=torch.float64),
        torch.full((batch,), scale, dtype=torch.float64),
    )


def random_batch(shape, batch=1, channels=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(batch, channels, *shape, generator=generator)
    labels = torch.randint(0, 4, (batch, *shape), generator=generator, dtype=torch.uint8)
    return images, labels


def ball(size, radius, spacing=(1.0, 1.0, 1.0), stretch=(1.0, 1.0, 1.0)):
    axes = [(np.arange(n) - (n - 1) / 2) * s / t for n, s, t in zip(size, spacing, stretch, strict=True)]
    distance = np.sqrt(sum(a**2 for a in np.meshgrid(*axes, indexing="ij")))
    return torch.tensor(distance < radius)


def test_no_change_is_the_identity():
    images, labels = random_batch((5, 8, 6))
    new_images, new_labels = transform(images, labels, *parameters())
    torch.testing.assert_close(new_images, images)
    assert torch.equal(new_labels, labels)
    assert new_labels.dtype == labels.dtype


@pytest.mark.parametrize("turns", [1, 2, 3, -1])
def test_right_angles_are_rot90_in_the_axial_plane(turns):
    images, labels = random_batch((7, 7, 4))
    new_images, new_labels = transform(images, labels, *parameters(angle=turns * math.pi / 2))
    torch.testing.assert_close(new_images, torch.rot90(images, turns, (2, 3)), rtol=0, atol=1e-5)
    assert torch.equal(new_labels, torch.rot90(labels, turns, (1, 2)))


@pytest.mark.parametrize(("axis", "size"), [(0, 10), (1, 8), (2, 6)])
@pytest.mark.parametrize("voxels", [2, -1])
def test_shift_moves_by_a_share_of_the_axis_and_fills_with_zeros(axis, size, voxels):
    images, labels = random_batch((10, 8, 6))
    shift = [0.0, 0.0, 0.0]
    shift[axis] = voxels / size
    new_images, new_labels = transform(images, labels, *parameters(shift=tuple(shift)))
    expected, expected_labels = (
        torch.roll(images, voxels, 2 + axis),
        torch.roll(labels, voxels, 1 + axis),
    )
    lost = slice(0, voxels) if voxels > 0 else slice(voxels, None)
    expected.movedim(2 + axis, 0)[lost] = 0
    expected_labels.movedim(1 + axis, 0)[lost] = 0
    torch.testing.assert_close(new_images, expected, rtol=0, atol=1e-5)
    assert torch.equal(new_labels, expected_labels)


def test_equals_sampling_in_three_dimensions():
    size, spacing = (9, 12, 7), (1.0, 0.5, 2.0)
    images, labels = random_batch(size, batch=3)
    rng = np.random.default_rng(0)
    angles, shifts, scales = (
        rng.uniform(-1, 1, 3),
        rng.uniform(-0.2, 0.2, (3, 3)),
        rng.uniform(0.8, 1.2, 3),
    )
    new_images, _ = transform(
        images, labels, *(torch.tensor(v) for v in (angles, shifts, scales)), spacing=spacing
    )
    extent = np.array(size) * spacing
    grids = []
    for angle, shift, scale in zip(angles, shifts, scales, strict=True):
        rotation = np.array(
            [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]]
        )
        index = np.stack(np.meshgrid(*(np.arange(n) for n in size), indexing="ij"), -1)
        output_mm = (index - (np.array(size) - 1) / 2) * spacing
        input_mm = (output_mm - shift * extent) @ rotation / scale  # v @ R is R^-1 v
        grids.append(2 * input_mm / extent)
    grid = torch.tensor(np.stack(grids)[..., ::-1].copy(), dtype=torch.float32)
    expected = F.grid_sample(images, grid, align_corners=False)
    torch.testing.assert_close(new_images, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("scale", [0.8, 0.9, 1.1, 1.2])
def test_volume_of_a_ball_grows_with_the_cube_of_the_scale(scale):
    labels = ball((32, 40, 36), 12)[None].to(torch.uint8)
    images = labels[:, None].float()
    new_images, new_labels = transform(images, labels, *parameters(angle=0.3, scale=scale))
    assert new_labels.sum() / labels.sum() == pytest.approx(scale**3, rel=0.02)
    assert new_images.sum() / images.sum() == pytest.approx(scale**3, rel=0.02)


def test_rotation_is_one_in_space_where_size_and_spacing_differ_by_axis():
    size, spacing = (48, 30, 10), (0.5, 1.0, 2.0)
    upright = ball(size, 6, spacing, stretch=(1.5, 0.8, 1.0))
    lying = ball(size, 6, spacing, stretch=(0.8, 1.5, 1.0))
    labels = upright[None].to(torch.uint8)
    _, turned = transform(labels[:, None].float(), labels, *parameters(angle=math.pi / 2), spacing=spacing)
    overlap = 2 * (turned[0].bool() & lying).sum() / (turned.sum() + lying.sum())
    assert overlap > 0.92


def test_image_and_label_stay_aligned():
    labels = torch.zeros(8, 24, 30, 20, dtype=torch.uint8)
    labels[:, 6:18, 8:20, 5:14] = 1
    images = labels[:, None].float()
    generator = torch.Generator().manual_seed(3)
    new_images, new_labels = augment(images, labels, AugmentationSettings(probability=1), generator)
    assert not torch.equal(new_labels, labels)
    agreement = ((new_images[:, 0] > 0.5) == new_labels.bool()).float().mean()
    assert agreement > 0.99


def test_share_of_changed_images_and_the_rest_untouched():
    images, labels = random_batch((4, 5, 3), batch=500, channels=1)
    generator = torch.Generator().manual_seed(0)
    new_images, _ = augment(images, labels, AugmentationSettings(probability=0.8), generator)
    changed = int((new_images != images).flatten(1).any(1).sum())
    assert binomtest(changed, 500, 0.8).pvalue > 1e-4
    generator = torch.Generator().manual_seed(0)
    same, _ = augment(images, labels, AugmentationSettings(probability=0), generator)
    assert torch.equal(same, images)


def test_drawn_values_fill_their_ranges():
    generator = torch.Generator().manual_seed(1)
    settings = AugmentationSettings(rotation_degrees=30, shift=0.2, scale=(0.8, 1.3))
    _, angles, shifts, scales = draw(4000, settings, generator)
    for values, low, high in (
        (angles.rad2deg(), -30, 30),
        (shifts, -0.2, 0.2),
        (scales, 0.8, 1.3),
    ):
        assert low <= values.min() < low + 0.01 * (high - low)
        assert high - 0.01 * (high - low) < values.max() <= high
        assert values.mean().item() == pytest.approx((low + high) / 2, abs=0.02 * (high - low))


def test_same_generator_same_batch():
    images, labels = random_batch((6, 6, 6), batch=3)
    first, second = (
        augment(images, labels, AugmentationSettings(), torch.Generator().manual_seed(5)) for _ in range(2)
    )
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])


def random_pictures(shape, batch=1, channels=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(batch, channels, *shape, generator=generator)
    return images, torch.randint(0, 4, (batch, *shape), generator=generator, dtype=torch.uint8)


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_right_angles_of_pictures_are_rot90(turns):
    images, labels = random_pictures((9, 9))
    new_images, new_labels = transform_plane(images, labels, *parameters(angle=turns * math.pi / 2))
    torch.testing.assert_close(new_images, torch.rot90(images, turns, (2, 3)), rtol=0, atol=1e-5)
    assert torch.equal(new_labels, torch.rot90(labels, turns, (1, 2)))


@pytest.mark.parametrize(("axis", "size"), [(0, 10), (1, 8)])
@pytest.mark.parametrize("pixels", [3, -2])
def test_pictures_shift_in_height_and_width(axis, size, pixels):
    images, labels = random_pictures((10, 8))
    shift = [0.0, 0.0, 0.0]
    shift[axis] = pixels / size
    new_images, new_labels = transform_plane(images, labels, *parameters(shift=tuple(shift)))
    expected, expected_labels = torch.roll(images, pixels, 2 + axis), torch.roll(labels, pixels, 1 + axis)
    lost = slice(0, pixels) if pixels > 0 else slice(pixels, None)
    expected.movedim(2 + axis, 0)[lost] = 0
    expected_labels.movedim(1 + axis, 0)[lost] = 0
    torch.testing.assert_close(new_images, expected, rtol=0, atol=1e-5)
    assert torch.equal(new_labels, expected_labels)


def test_a_picture_changes_as_the_slices_of_a_volume_do():
    images, labels = random_pictures((12, 9), batch=4)
    settings = AugmentationSettings(probability=1, scale=(1, 1))
    angles, shifts, scales = draw(4, settings, torch.Generator().manual_seed(2))[1:]
    shifts[:, 2] = 0
    moved, moved_labels = transform_plane(images, labels, angles, shifts, scales, spacing=(0.5, 1.0))
    volumes = images[..., None].expand(-1, -1, -1, -1, 3).contiguous()
    of_labels = labels[..., None].expand(-1, -1, -1, 3).contiguous()
    expected, expected_labels = transform(volumes, of_labels, angles, shifts, scales, spacing=(0.5, 1.0, 2.0))
    torch.testing.assert_close(moved, expected[..., 1], rtol=0, atol=1e-5)
    assert torch.equal(moved_labels, expected_labels[..., 1])


@pytest.mark.parametrize("axis", [0, 1])
def test_certain_flips_mirror_one_axis_of_image_and_label_alike(axis):
    images, labels = random_pictures((6, 7), batch=3)
    settings = AugmentationSettings(probability=0, flip=1)
    new_images, new_labels = augment(images, labels, settings, torch.Generator(), mirrored=axis)
    assert torch.equal(new_images, images.flip(2 + axis))
    assert torch.equal(new_labels, labels.flip(1 + axis))


def test_volumes_are_flipped_from_left_to_right():
    images, labels = random_batch((4, 5, 3), batch=2)
    new_images, new_labels = augment(
        images, labels, AugmentationSettings(probability=0, flip=1), torch.Generator()
    )
    assert torch.equal(new_images, images.flip(2))
    assert torch.equal(new_labels, labels.flip(1))


def test_flips_are_as_frequent_as_set_and_independent_of_the_other_changes():
    images, _ = random_pictures((3, 4), batch=800, channels=1)
    classes = torch.arange(800)
    settings = AugmentationSettings(probability=0, flip=0.3)
    new_images, same = augment(images, classes, settings, torch.Generator().manual_seed(0), mirrored=1)
    flipped = (new_images == images.flip(3)).flatten(1).all(1)
    assert torch.equal(new_images[~flipped], images[~flipped])
    assert binomtest(int(flipped.sum()), 800, 0.3).pvalue > 1e-4
    assert torch.equal(same, classes)


def test_no_flips_draw_no_numbers():
    """What was augmented before there were flips is augmented the same with them off."""
    images, labels = random_batch((4, 5, 3), batch=2)
    generators = torch.Generator().manual_seed(3), torch.Generator().manual_seed(3)
    augment(images, labels, AugmentationSettings(), generators[0])
    draw(2, AugmentationSettings(), generators[1])
    assert torch.equal(*(generator.get_state() for generator in generators))


def settings_of(**more):
    return AugmentationSettings(probability=0, **more)


def drawn_places(count, sizes, generator):
    """One number an image and axis, axis by axis."""
    return np.stack([torch.randint(n, (count,), generator=generator).numpy() for n in sizes], 1).tolist()


def plainly_cropped(image, corner, margin):
    """An array (*size), pixel by pixel: each pixel comes from corner - margin further on, or is 0."""
    cropped = np.zeros_like(image)
    for pixel in np.ndindex(image.shape):
        source = tuple(p + c - margin for p, c in zip(pixel, corner, strict=True))
        if all(0 <= s < n for s, n in zip(source, image.shape, strict=True)):
            cropped[pixel] = image[source]
    return cropped


@pytest.mark.parametrize("size", [(7, 9), (4, 6, 5)])
@pytest.mark.parametrize("margin", [1, 3, 12])
def test_crops_are_those_of_a_loop_over_pixels_with_the_same_draws(size, margin):
    make = random_pictures if len(size) == 2 else random_batch
    images, labels = make(size, batch=5)
    cropped, cropped_labels = augment(
        images, labels, settings_of(crop=margin), torch.Generator().manual_seed(4)
    )
    generator = torch.Generator().manual_seed(4)
    draw(5, settings_of(), generator)
    corners = drawn_places(5, [2 * margin + 1] * len(size), generator)
    assert len({tuple(corner) for corner in corners}) > 1
    for number, corner in enumerate(corners):
        for channel, image in enumerate(images[number]):
            expected = plainly_cropped(image.numpy(), corner, margin)
            np.testing.assert_array_equal(cropped[number, channel].numpy(), expected)
        expected = plainly_cropped(labels[number].numpy(), corner, margin)
        np.testing.assert_array_equal(cropped_labels[number].numpy(), expected)
    assert cropped_labels.dtype == labels.dtype


@pytest.mark.parametrize("side", [2, 4, 40])
@pytest.mark.parametrize("size", [(12, 10), (6, 5, 7)])
def test_what_is_cut_out_is_what_the_published_code_cuts_out(size, side):
    make = random_pictures if len(size) == 2 else random_batch
    images, labels = make(size, batch=6)
    cut, same = augment(images, labels, settings_of(cutout=side), torch.Generator().manual_seed(1))
    generator = torch.Generator().manual_seed(1)
    draw(6, settings_of(), generator)
    expected = images.clone()
    for number, centre in enumerate(drawn_places(6, size, generator)):
        # uoguelph-mlrg/Cutout, util/cutout.py; of odd sides its squares are one pixel smaller than it says.
        square = [
            slice(*np.clip((c - side // 2, c + side // 2), 0, n)) for c, n in zip(centre, size, strict=True)
        ]
        expected[number][:, *square] = 0
    assert torch.equal(cut, expected)
    assert torch.equal(same, labels)


@pytest.mark.parametrize("side", [1, 5])
def test_a_square_of_an_odd_side_has_its_pixel_in_the_middle(side):
    cut = cut_out(torch.ones(1, 2, 12, 10), torch.tensor([[6, 4]]), side)
    expected = torch.ones(1, 2, 12, 10)
    half = side // 2
    expected[:, :, 6 - half : 7 + half, 4 - half : 5 + half] = 0
    assert torch.equal(cut, expected)


def test_cutout_comes_behind_flips_and_crops():
    images, _ = random_pictures((12, 12), batch=20)
    generator = torch.Generator().manual_seed(0)
    before, _ = augment(images, torch.arange(20), settings_of(flip=0.5, crop=3), generator, mirrored=1)
    centres = torch.tensor(drawn_places(20, (12, 12), generator))
    generator = torch.Generator().manual_seed(0)
    settings = settings_of(flip=0.5, crop=3, cutout=6)
    cut, _ = augment(images, torch.arange(20), settings, generator, mirrored=1)
    assert torch.equal(cut, cut_out(before, centres, 6))


def test_cutout_hides_a_square_of_its_size_where_it_lies_within():
    images = torch.ones(400, 3, 32, 32)
    only = settings_of(cutout=16)
    squares, _ = augment(images, torch.arange(400), only, torch.Generator().manual_seed(0))
    areas = (squares == 0).all(1).flatten(1).sum(1)
    assert areas.max() == 16**2
    assert areas.min() < 12**2
    assert set(squares.unique().tolist()) == {0.0, 1.0}
    # A centre is uniform over 32 pixels: along an axis 8 to 15 are hidden near the borders, else 16.
    lengths = [min(32, c + 8) - max(0, c - 8) for c in range(32)]
    assert areas.float().mean().item() == pytest.approx(np.mean(lengths) ** 2, rel=0.03)


def random_intensities(*shape):
    generator = torch.Generator().manual_seed(3)
    return 5 * torch.randn(*shape, generator=generator).pow(2) - 2


@pytest.mark.parametrize("shape", [(2, 3, 9, 8), (2, 1, 5, 6, 7)])
def test_gamma_is_monai_s(shape):
    images, ones = random_intensities(*shape), torch.ones(2)
    changed = change_intensity(images, 0 * ones, ones, torch.tensor([0.7, 1.4]))
    for image, found, gamma in zip(images, changed, (0.7, 1.4), strict=True):
        for channel, found_channel in zip(image, found, strict=True):
            expected = AdjustContrast(gamma)(channel[None])[0]
            assert found_channel.numpy() == pytest.approx(np.asarray(expected), rel=1e-4, abs=1e-4)


def test_contrast_and_brightness_change_deviation_and_mean():
    images, ones = random_intensities(2, 3, 9, 8), torch.ones(2)
    changed = change_intensity(images, torch.tensor([0.5, -0.25]), torch.tensor([1.25, 0.8]), ones)
    deviations = images.std((2, 3), correction=0)
    factors, added = torch.tensor([[1.25], [0.8]]), torch.tensor([[0.5], [-0.25]])
    torch.testing.assert_close(changed.std((2, 3), correction=0), factors * deviations)
    torch.testing.assert_close(changed.mean((2, 3)), images.mean((2, 3)) + added * deviations)


def test_a_channel_of_one_value_stays_so():
    images = torch.full((1, 2, 4, 4), 0.3)
    images[0, 1] = random_intensities(4, 4)
    changed, _ = augment(
        images,
        torch.zeros(1, 4, 4, dtype=torch.uint8),
        settings_of(brightness=1, contrast=1, gamma=1, noise=1),
        torch.Generator().manual_seed(0),
    )
    torch.testing.assert_close(changed[0, 0], images[0, 0])
    assert changed.isfinite().all()


def test_intensities_fill_their_ranges_and_labels_stay():
    images = random_intensities(1, 1, 30, 30).expand(400, 1, 30, 30)
    labels = torch.randint(3, (400, 30, 30))

    def of(**how):
        changed, same = augment(images, labels, settings_of(**how), torch.Generator().manual_seed(1))
        assert torch.equal(same, labels)
        return changed

    deviation, mean = torch.std_mean(images[0], correction=0)
    shifts = (of(brightness=0.3).mean((1, 2, 3)) - mean) / deviation
    assert shifts.min() == pytest.approx(-0.3, abs=0.01)
    assert shifts.max() == pytest.approx(0.3, abs=0.01)
    factors = of(contrast=0.25).std((1, 2, 3), correction=0) / deviation
    assert factors.min() == pytest.approx(1 / 1.25, abs=0.01)
    assert factors.max() == pytest.approx(1.25, abs=0.01)
    assert factors.median() == pytest.approx(1.0, abs=0.03)
    noise = ((of(noise=0.2) - images) / deviation).std((1, 2, 3))
    assert noise.max() == pytest.approx(0.2, rel=0.1)
    assert noise.mean() == pytest.approx(0.1, rel=0.1)
    low, high = images.amin(), images.amax()
    scaled = (of(gamma=0.5) - low) / (high - low)
    exponents = (
        scaled.median(-1).values.median(-1).values.log()
        / ((images[0] - low) / (high - low)).median(-1).values.median(-1).values.log()
    )
    assert exponents.min() == pytest.approx(1 / 1.5, abs=0.02)
    assert exponents.max() == pytest.approx(1.5, abs=0.02)


def test_crops_are_even_over_all_places():
    images = torch.zeros(6000, 1, 5, 5)
    images[:, :, 2, 2] = 1
    augmented, classes = augment(
        images, torch.arange(6000), settings_of(crop=2), torch.Generator().manual_seed(2)
    )
    assert torch.equal(classes, torch.arange(6000))
    counts = augmented.sum(0)[0]
    assert counts.sum() == 6000
    assert chisquare(counts.flatten().numpy()).pvalue > 1e-4


def test_no_crops_and_no_cutout_draw_no_numbers():
    images, labels = random_pictures((6, 7), batch=3)
    generators = torch.Generator().manual_seed(3), torch.Generator().manual_seed(3)
    augment(images, labels, AugmentationSettings(flip=0.5), generators[0])
    draw(3, AugmentationSettings(), generators[1])
    torch.rand(3, generator=generators[1])
    assert torch.equal(*(generator.get_state() for generator in generators))


@pytest.mark.parametrize(
    "wrong",
    [
        {"crop": -1},
        {"cutout": -16},
        {"flip": 1.5},
        {"probability": 1.5},
        {"shift": -0.1},
        {"brightness": -0.1},
        {"contrast": -0.1},
        {"gamma": -0.1},
        {"noise": -0.1},
        {"scale": (1.2, 0.8)},
        {"rotation_degrees": 200},
    ],
)
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        AugmentationSettings(**wrong)
