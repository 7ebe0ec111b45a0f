"""A user's own networks: a module of factories, named on the command line as ``tiny_networks:classifier``."""

from torch import nn


def classifier(channels: int, classes: int, size: tuple[int, ...]) -> nn.Module:
    """Two convolutions, a pooling and a dense layer before the output."""
    side = size[0] // 4
    return nn.Sequential(
        nn.Conv2d(channels, 8, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 8, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(8 * side * side, 16),
        nn.ReLU(),
        nn.Linear(16, classes),
    )


def segmenter(channels: int, classes: int) -> nn.Module:
    """Three convolutions, of pictures of any size."""
    return nn.Sequential(
        nn.Conv2d(channels, 8, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(8, classes, 1),
    )
