"""Prediction of volumes smaller and larger than the network's input, with networks whose answer is known."""

import numpy as np
import pytest
import torch
from torch import nn

from netwright.tasks.segmentation.metrics.dice import dice_per_label
from netwright.tasks.segmentation.validation import validation_dice
from netwright.training.inference import evaluating, predict_volume

SHAPES = [(12, 14, 10), (7, 9, 10), (30, 14, 10), (25, 20, 31), (8, 40, 5)]


class Recorder(nn.Module):
    """A voxel-wise network that notes the shapes it was given."""

    def __init__(self):
        super().__init__()
        self.shapes = []

    def forward(self, images):
        self.shapes.append(tuple(images.shape[2:]))
        return torch.cat([images, -images, 0.5 * images.square()], 1)


@pytest.mark.parametrize("shape", SHAPES)
def test_voxel_wise_network_gives_the_same_at_once_and_in_windows(shape):
    image = np.random.default_rng(0).normal(size=(1, *shape)).astype(np.float32)
    network = Recorder()
    probabilities = predict_volume(network, image, (12, 14, 10), batch_size=3).whole()
    x = torch.tensor(image)[0]
    expected = torch.stack([x, -x, 0.5 * x.square()]).softmax(0)
    assert probabilities.shape == (3, *shape)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities, expected, atol=1e-5)
    assert set(network.shapes) == {(12, 14, 10)}


def test_a_volume_that_fits_takes_one_pass():
    network = Recorder()
    predict_volume(network, np.zeros((1, 12, 10, 3), np.float32), (12, 14, 10)).whole()
    assert len(network.shapes) == 1


def test_windows_weigh_their_middle_more():
    class Border(nn.Module):
        """Certain of class 1 in the middle of its window, of class 0 at the border."""

        def forward(self, images):
            inside = torch.zeros_like(images)
            inside[..., 2:-2, 2:-2, 2:-2] = 1
            return torch.cat([20 * (1 - inside), 20 * inside], 1)

    probabilities = predict_volume(Border(), np.zeros((1, 24, 8, 8), np.float32), (8, 8, 8)).whole()
    assert (probabilities[1, 2:-2, 3:5, 3:5] > 0.5).all()


def test_evaluating_restores_the_mode(build, task):
    network = build(task)
    for mode in (True, False):
        network.train(mode)
        with evaluating(network):
            assert not network.training
            assert torch.is_inference_mode_enabled()
        assert network.training is mode


@pytest.mark.parametrize("mixed", [False, True])
def test_validation_dice_of_volumes_of_all_sizes(make_balls, oracle, task, mixed):
    balls = make_balls(shapes=SHAPES)
    network = oracle()
    dice = validation_dice(
        network, balls, range(5), task, batch_size=2, mixed_precision=mixed, channels_last=mixed
    )
    for row in range(5):
        x = balls.image(row)[0]
        nearest = np.clip(np.rint(x), 0, 2).astype(int)
        np.testing.assert_allclose(dice[row], dice_per_label(nearest, balls.label(row), 3), atol=0.01)


def test_padding_is_not_counted(make_balls, oracle, task):
    balls = make_balls(shapes=[(7, 9, 10)])
    network = oracle()
    balls.images[0] = balls.labels[0].astype(np.float32)[None] - 1  # padding, 0, looks like class 0 plus one
    np.testing.assert_array_equal(validation_dice(Shifted(network), balls, [0], task), np.ones((1, 2)))


class Shifted(nn.Module):
    """Sees every image one brighter, so that zero padding looks like class 1."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, images):
        return self.network(images + 1)
