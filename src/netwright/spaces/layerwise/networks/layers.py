"""What the built-in networks share: a convolution with its activation, and their initial weights."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from netwright.spaces.layerwise.first_weights import terms_of

OUTPUT_DEVIATION = 0.01


def activated(
    in_channels: int, out_channels: int, kernel: int, *, stride: int = 1, batch_norm: bool = False
) -> nn.Sequential:
    """``conv``, a convolution that keeps the size apart from its stride, ``norm`` if wanted, and ``relu``.

    Args:
        in_channels: of the features that come in.
        out_channels: number of kernels.
        kernel: odd width in pixels.
        stride: in pixels.
        batch_norm: normalise the convolution's output; its bias is then left out.
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    padding = kernel // 2
    layers["conv"] = nn.Conv2d(in_channels, out_channels, kernel, stride, padding, bias=not batch_norm)
    if batch_norm:
        layers["norm"] = nn.BatchNorm2d(out_channels)
    layers["relu"] = nn.ReLU(inplace=True)
    return nn.Sequential(layers)


def initialise(network: nn.Module) -> None:
    """Initial weights after He et al. 2015, without biases, so that a signal passes many ReLU layers without fading.

    Torch's default weights shrink its variance to a sixth with each layer, and a plain network as deep as VGG-16
    then hardly learns. Layers called ``output`` begin near zero, with a deviation of 0.01, so that no
    class is preferred at first, however strong the features are.
    """
    for name, module in network.named_modules():
        if not isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            continue
        output = name.rpartition(".")[2] == "output"
        nn.init.normal_(module.weight, std=OUTPUT_DEVIATION if output else (2 / terms_of(module)) ** 0.5)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
