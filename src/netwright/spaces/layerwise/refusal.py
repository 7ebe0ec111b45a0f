"""Messages that say why a module cannot be read as a graph of layers."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from netwright.spaces.layerwise.error_location import first_line

SAME_FOR_EVERY_IMAGE = (
    "The forward pass must do the same for every image: "
    "no branch or loop may depend on the values of tensors."
)


def refusal(module: nn.Module, failures: Sequence[str]) -> str:
    """The message for a module that no reader could follow.

    Args:
        module: the module.
        failures: the message of each reader.
    """
    name = type(module).__name__
    reasons = " ".join(failures)
    attention = attention_layers(module)
    if not attention:
        return f"{name} cannot be read as a graph of layers. {reasons} {SAME_FOR_EVERY_IMAGE}"
    path, layer = attention[0]
    return (
        f"{name} is a transformer: it works by attention ({len(attention)} layers, the first is {path}, "
        f"{type(layer).__name__}). What is tuned layer by layer are networks of convolutions and dense layers, and the "
        "forward pass of this one cannot be followed as such. Give a convolutional network, for example MONAI's UNet, "
        f"DynUNet or SegResNet. What was tried: {reasons}"
    )


def lacks_package(module: nn.Module, error: ImportError) -> str:
    """The message for a module that needs a package that is not installed."""
    missing = f"It needs a package that is not installed: {first_line(error)}"
    if attention_layers(module):
        return refusal(module, [missing])
    return f"{type(module).__name__} does not run. {missing} Install that, and try again."


def attention_layers(module: nn.Module) -> list[tuple[str, nn.Module]]:
    """The outermost layers that are attention by their class or its name, each with its name in the module."""
    layers: list[tuple[str, nn.Module]] = []
    for path, part in module.named_modules():
        inside = any(path.startswith(f"{outer}.") for outer, _ in layers)
        named = "attention" in type(part).__name__.lower() or isinstance(part, nn.MultiheadAttention)
        if named and path and not inside:
            layers.append((path, part))
    return layers
