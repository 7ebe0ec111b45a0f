"""A small dataset in memory, of noisy balls with a core, and networks that learn it in a second."""

import numpy as np
import pytest
import torch
from torch import nn

from netwright.tasks.segmentation.network_task import SegmentationTask
from netwright.tasks.segmentation.volume_problem import VolumeProblem

SIZE = (12, 14, 10)


class Balls:
    """Volumes of one shape, or of the shapes given."""

    channels = 1
    spacing = (1.0, 1.0, 1.0)

    def __init__(self, count=8, shapes=None):
        rng = np.random.default_rng(0)
        self.images, self.labels = [], []
        for shape in shapes or [SIZE] * count:
            centre = np.array(shape) / 2 + rng.uniform(-1.5, 1.5, 3)
            axes = np.meshgrid(*(np.arange(n) for n in shape), indexing="ij")
            distance = np.sqrt(sum((a - c) ** 2 for a, c in zip(axes, centre, strict=True)))
            label = ((distance < 4).astype(np.uint8) + (distance < 2.5)).astype(np.uint8)
            self.labels.append(label)
            self.images.append((label + rng.normal(0, 0.2, shape)).astype(np.float32)[None])

    def image(self, index):
        return self.images[index]

    def label(self, index):
        return self.labels[index]

    def air(self, index):
        return np.zeros(1, np.float32)

    def shape(self, index):
        return self.labels[index].shape

    def class_counts_of(self, indices):
        return sum(np.bincount(self.labels[i].ravel(), minlength=3) for i in indices)


def small_network(task, dropout=0.1):
    return nn.Sequential(
        nn.Conv3d(task.channels, 8, 3, padding=1, bias=False),
        nn.BatchNorm3d(8),
        nn.ReLU(),
        nn.Dropout3d(dropout),
        nn.Conv3d(8, task.classes, 1),
    )


class Oracle(nn.Module):
    """Knows the answer from the intensity, and can be told to misbehave; one weight, so that it can be
    trained.
    """

    def __init__(self, bias=0.0):
        super().__init__()
        self.bias = nn.Parameter(torch.tensor(bias))

    def forward(self, images):
        x = images[:, :1]
        return torch.cat([-((x - k) ** 2) for k in range(3)], 1) * 10 + self.bias


@pytest.fixture
def balls():
    return Balls()


@pytest.fixture
def make_balls():
    return Balls


@pytest.fixture
def task():
    return SegmentationTask(channels=1, label_names=("shell", "core"), size=SIZE)


@pytest.fixture
def problem(balls, task):
    return VolumeProblem(balls, task)


@pytest.fixture
def build():
    return small_network


@pytest.fixture
def oracle():
    return Oracle
