"""A user's own network, made by a function with a name of the form ``package.module:factory``."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from netwright.errors import NetworkFailed, SettingsError
from netwright.execution.interrupts import passes
from netwright.own_code.loading import OwnCode, article, load, no_maker, told

EXAMPLE_BATCH = 2


def make_network(
    network: str, channels: int, classes: int, size: tuple[int, ...], folder: str | None = None
) -> nn.Module:
    """The module that the named factory makes. It gets those of channels, classes and size that it takes.

    Args:
        network: ``package.module:factory``; the current directory is importable, as with ``python -m``.
        channels: of the image.
        classes: of the output.
        size: of the image in voxels.
        folder: see `netwright.own_code.loading.OwnCode`.

    Raises:
        SettingsError: there is no such module or factory, the factory fails or needs other arguments, or its result
            is not a network.
    """
    factory = load_network(network, folder)
    arguments = _accepted(network, factory, {"channels": channels, "classes": classes, "size": size})
    try:
        module = factory(**arguments)
    except BaseException as error:
        if passes(error):
            raise
        given = ", ".join(f"{name}={value}" for name, value in arguments.items())
        raise NetworkFailed(f"network: {network}({given}) failed: {told(error)}.") from error
    if not isinstance(module, nn.Module):
        raise SettingsError(
            f"network: {network} made {article(type(module).__name__)}; expected a torch.nn.Module."
        )
    return module


def load_network(network: str, folder: str | None = None) -> Callable[..., Any]:
    """The function or class that makes a network.

    Raises:
        SettingsError: as `netwright.own_code.loading.load`; or the name is that of a module of PyTorch that is ready.
    """
    code = OwnCode("network", network, folder)
    factory = load(code)
    if isinstance(factory, nn.Module):
        raise no_maker(code, factory)
    return factory


def require_output(
    name: str, module: nn.Module, channels: int, classes: int, size: tuple[int, ...], dense: bool | None
) -> None:
    """Run the network on a batch of zeros in evaluation mode, and check the shape of its output.

    Args:
        name: of the network, for messages.
        module: images (batch, channels, *size) to logits.
        channels: of the image.
        classes: of the output.
        size: of the image in voxels.
        dense: True: logits are (batch, classes, *size); False: (batch, classes); None: either.

    Raises:
        SettingsError: the network fails on the batch, or its output has another shape.
    """
    was_training = module.training
    module.eval()
    try:
        with torch.no_grad():
            output = module(torch.zeros(EXAMPLE_BATCH, channels, *size))
    except BaseException as error:
        if passes(error):
            raise
        raise NetworkFailed(
            f"network: {name} fails on images of shape {(EXAMPLE_BATCH, channels, *size)} "
            f"(batch, channels, *size): {told(error)}."
        ) from error
    finally:
        module.train(was_training)
    if isinstance(output, tuple | list) and output:
        output = output[0]
    expected = {True: (EXAMPLE_BATCH, classes, *size), False: (EXAMPLE_BATCH, classes)}
    allowed = list(expected.values()) if dense is None else [expected[dense]]
    if not isinstance(output, Tensor):
        raise SettingsError(
            f"network: {name} returns {article(type(output).__name__)}; expected a tensor of logits, or a tuple "
            "with the logits first."
        )
    if tuple(output.shape) not in allowed:
        kinds = {True: "segmentation", False: "classification"}
        what = " or ".join(
            f"{expected[kind]} for {kinds[kind]}" for kind in (True, False) if dense in (None, kind)
        )
        raise SettingsError(
            f"network: {name} gives an output of shape {tuple(output.shape)} for images of shape "
            f"{(EXAMPLE_BATCH, channels, *size)}; expected {what}."
        )


def _accepted(network: str, factory: Callable[..., Any], known: dict[str, Any]) -> dict[str, Any]:
    """The known arguments that the factory takes."""
    try:
        parameters = inspect.signature(factory).parameters.values()
    except (TypeError, ValueError):  # some built-in callables have no signature
        return known
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        takes = set(known)
    else:
        takes = {
            parameter.name for parameter in parameters if parameter.kind is not parameter.POSITIONAL_ONLY
        }
    needed = [
        parameter.name
        for parameter in parameters
        if parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
        and (parameter.name not in known or parameter.kind is parameter.POSITIONAL_ONLY)
    ]
    if needed:
        raise SettingsError(
            f"network: {network} needs {', '.join(map(repr, needed))}; what is known of the data is "
            f"{', '.join(known)}. Write a function of those (channels, classes, size) that returns the network, "
            "and name it instead."
        )
    return {name: value for name, value in known.items() if name in takes}
