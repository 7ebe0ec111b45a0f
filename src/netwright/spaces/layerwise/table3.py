"""The values of each layer's hyperparameters that the multi-agent Q-learning paper searches (Table III).

An agent of a convolution has 5 x 2 x 2 = 20 actions in VGG-16 and 7 x 3 x 2 = 42 in U-Net. Their squares are the
400 and 1764 episodes that the paper's exploration needs at least (Section VIII-D). For GoogLeNet it says 4356 =
66 x 66, and 66 would be 11 x 3 x 2: eleven numbers of kernels. Table III prints ten, which make 60 actions and
3600 episodes; the ten printed ones are used here.

Some values of the originals are not among them: the last blocks of VGG-16 have 512 kernels, GoogLeNet's
first convolution is 7 pixels wide, and U-Net's up-convolutions 2.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from netwright.spaces.layerwise.values import HYPERPARAMETERS, Given, checked_values

Values = Mapping[str, tuple[int, ...]]

_UNITS = (128, 256, 512, 1024, 2048, 4096)

TABLE_3: Mapping[str, Values] = MappingProxyType(
    {
        "vgg16": {
            "kernels": (16, 32, 64, 128, 256),
            "kernel_size": (3, 5),
            "stride": (1, 2),
            "pool_size": (2, 3),
            "units": _UNITS,
        },
        "googlenet": {
            "kernels": (32, 48, 64, 80, 96, 112, 128, 160, 208, 384),
            "kernel_size": (1, 3, 5),
            "stride": (1, 2),
            "pool_size": (2, 3, 5, 7),
            "units": _UNITS,
        },
        "unet": {
            "kernels": (16, 32, 64, 128, 256, 512, 1024),
            "kernel_size": (3, 5, 7),
            "stride": (1, 2),
            "pool_size": (2, 3),
        },
    }
)
"""Network to hyperparameter to values. U-Net has no dense layer."""


def table_3_values(name: str, given: Given | None) -> dict[str, tuple[int, ...]]:
    """The values of Table III for a built-in network; given values replace them, and empty ones are left out.

    Raises:
        SettingsError: a hyperparameter is unknown, or values are not positive whole numbers.
    """
    merged = {**TABLE_3[name], **checked_values(given or {})}
    return {key: merged[key] for key in HYPERPARAMETERS if merged.get(key)}
