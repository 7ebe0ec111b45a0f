"""Makers of the layer-wise spaces, from plain settings: the built-in networks, and a user's own."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any

import torch
from torch import nn

from netwright.errors import SettingsError
from netwright.spaces.layerwise.factory import make_network, require_output
from netwright.spaces.layerwise.networks import VGG16, GoogLeNet, UNet
from netwright.spaces.layerwise.networks.vgg16 import UNITS
from netwright.spaces.layerwise.space import LayerwiseSpace, from_module
from netwright.spaces.layerwise.table3 import table_3_values
from netwright.spaces.layerwise.values import Given, checked_values

# Number of spaces that a process keeps: a run has one, tests and notebooks a few.
KEPT = 8


def vgg16(
    channels: int,
    classes: int,
    size: tuple[int, ...],
    values: Given | None = None,
    frozen: Sequence[str] = (),
    *,
    units: int | None = UNITS,
    batch_norm: bool = False,
    dense: bool | None = None,
) -> LayerwiseSpace:
    """VGG-16, for classification, with the values of Table III; see `netwright.spaces.layerwise.networks.VGG16`.

    Args:
        channels: channels of the image; a run fills it in.
        classes: classes of the output, with the background; a run fills it in.
        size: size of the image in pixels; a run fills it in.
        values: values to search, by hyperparameter, in place of those of Table III: ``kernels``, ``kernel_size``,
            ``stride``, ``pool_size``, ``units``. Only the given ones are replaced; a hyperparameter with ``[]`` or None
            is not searched.
        frozen: layers that stay as they are, by name or pattern: ``[features.conv1_*]``.
        units: output dimension of the original's dense layers before the output; None: 4096, and 512 for images of at
            most 64 pixels.
        batch_norm: batch normalisation after each convolution; the original network has none.
        dense: whether every pixel gets a label, or the whole image one; None: not known; a run fills it in.

    Raises:
        SettingsError: a value is wrong, or the network does not support such images or such a task.
    """
    return _built_in(
        "vgg16", channels, classes, size, values, frozen, dense, units=units, batch_norm=batch_norm
    )


def googlenet(
    channels: int,
    classes: int,
    size: tuple[int, ...],
    values: Given | None = None,
    frozen: Sequence[str] = (),
    *,
    batch_norm: bool = False,
    dense: bool | None = None,
) -> LayerwiseSpace:
    """GoogLeNet, for classification, with the values of Table III; see `netwright.spaces.layerwise.networks.GoogLeNet`.

    Args:
        channels: channels of the image; a run fills it in.
        classes: classes of the output, with the background; a run fills it in.
        size: size of the image in pixels; a run fills it in.
        values: values to search, by hyperparameter, in place of those of Table III: ``kernels``, ``kernel_size``,
            ``stride``, ``pool_size``, ``units``. Only the given ones are replaced; a hyperparameter with ``[]`` or None
            is not searched.
        frozen: layers that stay as they are, by name or pattern: ``[features.conv1_*]``.
        batch_norm: batch normalisation after each convolution; the original network has none.
        dense: whether every pixel gets a label, or the whole image one; None: not known; a run fills it in.

    Raises:
        SettingsError: a value is wrong, or the network does not support such images or such a task.
    """
    return _built_in("googlenet", channels, classes, size, values, frozen, dense, batch_norm=batch_norm)


def unet(
    channels: int,
    classes: int,
    size: tuple[int, ...],
    values: Given | None = None,
    frozen: Sequence[str] = (),
    *,
    up_kernel: int = 2,
    batch_norm: bool = False,
    dense: bool | None = None,
) -> LayerwiseSpace:
    """U-Net, for segmentation, with the values of Table III; see `netwright.spaces.layerwise.networks.UNet`.

    Args:
        channels: channels of the image; a run fills it in.
        classes: classes of the output, with the background; a run fills it in.
        size: size of the image in pixels; a run fills it in.
        values: values to search, by hyperparameter, in place of those of Table III: ``kernels``, ``kernel_size``,
            ``stride``, ``pool_size``, ``units``. Only the given ones are replaced; a hyperparameter with ``[]`` or None
            is not searched.
        frozen: layers that stay as they are, by name or pattern: ``[features.conv1_*]``.
        up_kernel: width of the original's up-convolutions.
        batch_norm: batch normalisation after each convolution; the original network has none.
        dense: whether every pixel gets a label, or the whole image one; None: not known; a run fills it in.

    Raises:
        SettingsError: a value is wrong, or the network does not support such images or such a task.
    """
    return _built_in(
        "unet", channels, classes, size, values, frozen, dense, up_kernel=up_kernel, batch_norm=batch_norm
    )


def layerwise(
    network: str,
    channels: int,
    classes: int,
    size: tuple[int, ...],
    values: Given | None = None,
    frozen: Sequence[str] = (),
    *,
    dense: bool | None = None,
    folder: str | None = None,
    fingerprint: str | None = None,
) -> LayerwiseSpace:
    """A user's own network, 2D or 3D.

    Args:
        network: your own network, ``package.module:factory``; ``--network``. The factory is a function or class that
            makes a `torch.nn.Module` and takes any of channels, classes and size as keywords. The current directory is
            importable.
        channels: channels of the image; a run fills it in.
        classes: classes of the output, with the background; a run fills it in.
        size: size of the image in voxels; a run fills it in.
        values: values to search, by hyperparameter: ``kernels``, ``kernel_size``, ``stride``, ``pool_size``, ``units``;
            one that is not given is not searched. None: values around the network's own, see `LayerwiseSpace`.
        frozen: layers that stay as they are, by name or pattern: ``[encoder.0.*]``.
        dense: whether every voxel gets a label, so that the network's output is ``(batch, classes, *size)``, or the
            whole image one, with ``(batch, classes)``; None: not known, either is accepted; a run fills it in.
        folder: absolute path of the network's module when the run began; None: the module is installed, or in the
            current directory; a run fills it in.
        fingerprint: fingerprint of the network, without its weights, when the run began; a network with another one is
            refused; None: any; a run fills it in.

    Raises:
        SettingsError: a value is wrong, the factory does not exist or fails, or its network cannot be read, has an
            output of another shape, or another fingerprint.
    """
    checked = None if values is None else checked_values(values)
    given = None if checked is None else tuple((key, chosen) for key, chosen in checked.items() if chosen)
    space = _user_space(network, channels, classes, tuple(size), given, _patterns(frozen), dense, folder)
    if fingerprint not in (None, space.fingerprint):
        raise SettingsError(
            f"network: {network} ({sys.modules[network.partition(':')[0]].__file__}) has changed since the run began: "
            "its layers, their order, names or settings are others. Restore it, or start a new run."
        )
    return space


def original(space: str, /, **settings: Any) -> nn.Module:
    """The network as its authors made it, with new weights, for comparison with the spaces' results.

    Args:
        space: vgg16, googlenet, unet or layerwise.
        settings: those of the space; settings that concern only the search are ignored.

    Raises:
        SettingsError: there is no such network, or a value is wrong.
    """
    if space not in ORIGINALS:
        raise SettingsError(
            f"There is no original of the space {space!r}. There is of: {', '.join(ORIGINALS)}."
        )
    kept = {name: value for name, value in settings.items() if name not in OF_THE_SEARCH}
    if space != "layerwise":
        _require_images(space, kept["size"], settings.get("dense"))
    kept["size"] = tuple(kept["size"])
    return ORIGINALS[space](**kept)


ORIGINALS: Mapping[str, Callable[..., nn.Module]] = {
    "vgg16": VGG16,
    "googlenet": GoogLeNet,
    "unet": UNet,
    "layerwise": make_network,
}
"""Space to the maker of its original network, from channels, classes, size and further options."""

OF_THE_SEARCH = ("values", "frozen", "dense", "fingerprint")
"""Options of the spaces that do not concern the original network."""

FILLED_IN = ("channels", "classes", "size", "dense", "spacing", "folder", "fingerprint")
"""Options that a run fills in. The first four come from the data."""

DENSE = ("unet",)
"""Built-in networks that label every pixel; the others label images."""


def _built_in(
    name: str,
    channels: int,
    classes: int,
    size: tuple[int, ...],
    values: Given | None,
    frozen: Sequence[str],
    dense: bool | None,
    **network: Any,
) -> LayerwiseSpace:
    _require_images(name, size, dense)
    searched = tuple(table_3_values(name, values).items())
    options = tuple(sorted(network.items()))
    return _built_in_space(name, channels, classes, tuple(size), searched, _patterns(frozen), options)


@lru_cache(maxsize=KEPT)
def _built_in_space(
    name: str,
    channels: int,
    classes: int,
    size: tuple[int, ...],
    values: tuple[tuple[str, tuple[int, ...]], ...],
    frozen: tuple[str, ...],
    network: tuple[tuple[str, Any], ...],
) -> LayerwiseSpace:
    make = partial(ORIGINALS[name], channels, classes, size, **dict(network))
    return _read(make, channels, size, dict(values), frozen, name)


@lru_cache(maxsize=KEPT)
def _user_space(
    network: str,
    channels: int,
    classes: int,
    size: tuple[int, ...],
    values: tuple[tuple[str, tuple[int, ...]], ...] | None,
    frozen: tuple[str, ...],
    dense: bool | None,
    folder: str | None,
) -> LayerwiseSpace:
    def make() -> nn.Module:
        module = make_network(network, channels, classes, size, folder)
        require_output(network, module, channels, classes, size, dense)
        return module

    return _read(make, channels, size, None if values is None else dict(values), frozen, "layerwise")


def _read(
    make: Callable[[], nn.Module],
    channels: int,
    size: tuple[int, ...],
    values: dict[str, tuple[int, ...]] | None,
    frozen: tuple[str, ...],
    name: str,
) -> LayerwiseSpace:
    """Read a fresh original without changing torch's random numbers, because a space may come from the cache or not."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        example = torch.randn(2, channels, *size)
        return from_module(make(), example, values=values, frozen=frozen, name=name)


def _require_images(name: str, size: Sequence[int], dense: bool | None) -> None:
    if len(size) != 2:
        raise SettingsError(
            f"{name} is a network for 2D images, but these have the size {tuple(size)}. Search in slices of the "
            "volumes, or name a 3D network of your own with the space 'layerwise'."
        )
    if dense is not None and dense != (name in DENSE):
        kinds = ("segmentation", "classification")
        is_for, task = kinds if name in DENSE else kinds[::-1]
        raise SettingsError(f"{name} is a network for {is_for}, but the task is {task}.")


def _patterns(frozen: Sequence[str]) -> tuple[str, ...]:
    if isinstance(frozen, str) or not all(isinstance(pattern, str) for pattern in frozen):
        raise SettingsError(f"frozen: expected a list of layer names or patterns, got {frozen!r}.")
    return tuple(frozen)
