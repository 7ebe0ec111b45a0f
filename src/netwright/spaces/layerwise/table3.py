"""The values of each layer's hyperparameters that the multi-agent Q-learning paper searches (Table III).

An agent of a convolution has 5 x 2 x 2 = 20 actions in VGG-16 and 7 x 3 x 2 = 42 in U-Net, whose squares are the
400 and 1764 episodes that the paper's exploration needs at least (Section VIII-D). For GoogLeNet it says 4356 =
66 x 66, and 66 would be 11 x 3 x 2: eleven numbers of kernels. Table III prints ten, which make 60 actions and
3600 episodes; here the printed ten stand.

Not all values of the originals are among them: the last blocks of VGG-16 have 512 kernels, GoogLeNet's
first convolution is 7 pixels wide, and U-Net's up-convolutions 2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from netwright.errors import SettingsError

KEYS = ("kernels", "kernel_size", "stride", "pool_size", "units")
"""The hyperparameters that a layer can have, in the order of the table's columns."""

Values = Mapping[str, tuple[int, ...]]
Given = Mapping[str, Sequence[int] | None] | None
"""Value sets as they are set: what is empty or None is not searched."""

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
"""Network -> hyperparameter -> values. U-Net has no dense layer."""


def table_3_values(name: str, given: Given) -> dict[str, tuple[int, ...]]:
    """The values of Table III for a built-in network, with those given in their place; empty ones left out.

    Raises:
        SettingsError: a key is unknown, or values are not positive whole numbers in rising order.
    """
    merged = {**TABLE_3[name], **checked_values(given or {})}
    return {key: merged[key] for key in KEYS if merged.get(key)}


def checked_values(given: Mapping[str, Sequence[int] | None]) -> dict[str, tuple[int, ...]]:
    """Value sets as tuples; those given as None are empty.

    Raises:
        SettingsError: a key is unknown, or values are not positive whole numbers in rising order.
    """
    if not isinstance(given, Mapping):
        raise SettingsError(f"values: expected a table such as {{kernels: [16, 32, 64]}}, got {given!r}.")
    checked: dict[str, tuple[int, ...]] = {}
    for key, numbers in given.items():
        if key not in KEYS:
            raise SettingsError(f"values: layers have no {key!r}. There are: {', '.join(KEYS)}.")
        found = () if numbers is None else numbers
        if isinstance(found, str) or not isinstance(found, Sequence):
            raise SettingsError(f"values.{key}: expected a list of numbers, got {numbers!r}.")
        for number in found:
            if isinstance(number, bool) or not isinstance(number, int) or number < 1:
                raise SettingsError(f"values.{key}: expected positive whole numbers, got {number!r}.")
        if list(found) != sorted(set(found)):
            raise SettingsError(
                f"values.{key}: expected rising numbers, each once, got {list(found)}; "
                f"write {sorted(set(found))}."
            )
        checked[key] = tuple(found)
    return checked
