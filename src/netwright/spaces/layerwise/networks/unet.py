"""U-Net (Ronneberger, Fischer and Brox 2015, "U-Net: Convolutional Networks for Biomedical Image Segmentation")."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from netwright.errors import SettingsError
from netwright.spaces.layerwise.networks.layers import activated, initialise

KERNELS = (64, 128, 256, 512, 1024)
DROPOUT = 0.5


class UNet(nn.Module):
    """Two 3 x 3 convolutions at each of five resolutions down and four up, and four up-convolutions: 22 in all.

    There are 64 kernels at the top; they double with each pooling. Encoder features are concatenated, and a 1 x 1
    convolution gives the logits (Fig. 1). For one channel and two classes it has 31,030,658 parameters, 124 MB.
    The multi-agent Q-learning paper gives 138 MB. This is the size with up-convolutions of 3 x 3 (34,512,258
    parameters), which are in its Table III; the original's 2 x 2 are not. The default is the original's 2 x 2;
    ``up_kernel=3`` gives the other.

    It differs from the original in one point: convolutions are zero-padded, so that the output has the input's
    size. If a side is odd before a pooling, the pooling rounds it up and the up-convolution gives one pixel
    less, so that its features fit those of the encoder. So the network takes the size that it was made for,
    whatever that is. If that divides by 16, it takes any other size that does. Dropout at the end of the contracting
    path (Section 3.1) is 0.5 after the fourth and fifth pair of convolutions, as in the authors' own files. Initial
    weights are those of He et al. 2015, as in the paper (Section 3).

    Args:
        channels: of the image.
        classes: of the output, background included.
        size: height and width of the image in pixels.
        up_kernel: width of the up-convolutions' kernels, at least 2.
        batch_norm: batch normalisation after each convolution; the original has none.

    Raises:
        SettingsError: ``up_kernel`` is below 2.
    """

    def __init__(
        self,
        channels: int,
        classes: int,
        size: tuple[int, int],
        *,
        up_kernel: int = 2,
        batch_norm: bool = False,
    ) -> None:
        super().__init__()
        if up_kernel < 2:
            raise SettingsError(
                f"up_kernel must be at least 2, the step of the up-convolutions; got {up_kernel}."
            )
        self.encoder = nn.ModuleList()
        for level, kernels in enumerate(KERNELS):
            dropout = DROPOUT if level >= len(KERNELS) - 2 else 0.0
            self.encoder.append(DoubleConvolution(channels, kernels, dropout=dropout, batch_norm=batch_norm))
            channels = kernels
        self.pools = nn.ModuleList(nn.MaxPool2d(2, ceil_mode=True) for _ in KERNELS[1:])
        self.ups = nn.ModuleList()
        self.decoder = nn.ModuleList()
        for level in reversed(range(len(KERNELS) - 1)):
            odd = tuple(-(-length // 2**level) % 2 for length in size)
            self.ups.append(UpConvolution(channels, KERNELS[level], up_kernel, odd, batch_norm=batch_norm))
            channels = KERNELS[level]
            self.decoder.append(DoubleConvolution(2 * channels, channels, batch_norm=batch_norm))
        self.output = nn.Conv2d(channels, classes, 1)
        initialise(self)

    def forward(self, images: Tensor) -> Tensor:
        """Images (batch, channels, *size) to logits (batch, classes, *size)."""
        features = self.encoder[0](images)
        copied = [features]
        for pool, pair in zip(self.pools, list(self.encoder)[1:], strict=True):
            features = pair(pool(features))
            copied.append(features)
        for up, pair, copy in zip(self.ups, self.decoder, copied[-2::-1], strict=True):
            features = pair(torch.cat([copy, up(features)], dim=1))
        logits: Tensor = self.output(features)
        return logits


class DoubleConvolution(nn.Module):
    """Two 3 x 3 convolutions, each with ReLU, then dropout if its rate is not 0."""

    def __init__(
        self, in_channels: int, out_channels: int, *, dropout: float = 0.0, batch_norm: bool = False
    ) -> None:
        super().__init__()
        self.first = activated(in_channels, out_channels, 3, batch_norm=batch_norm)
        self.second = activated(out_channels, out_channels, 3, batch_norm=batch_norm)
        self.dropout = nn.Dropout(dropout) if dropout else nn.Identity()

    def forward(self, features: Tensor) -> Tensor:
        """Features to (batch, out_channels, *size)."""
        result: Tensor = self.dropout(self.second(self.first(features)))
        return result


class UpConvolution(nn.Module):
    """A transposed convolution with stride 2 and ReLU: sizes double, less one where ``odd`` is 1."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel: int, odd: tuple[int, ...], *, batch_norm: bool
    ) -> None:
        super().__init__()
        # 2 (in - 1) - 2 padding + kernel + output_padding must be 2 in - odd, with the least output_padding.
        padding = tuple((kernel - 1 + less) // 2 for less in odd)
        added = tuple(2 - less + 2 * cut - kernel for less, cut in zip(odd, padding, strict=True))
        self.conv = nn.ConvTranspose2d(
            in_channels,
            out_channels,
            kernel,
            stride=2,
            padding=padding,  # type: ignore[arg-type]
            output_padding=added,  # type: ignore[arg-type]
            bias=not batch_norm,
        )
        self.norm = nn.BatchNorm2d(out_channels) if batch_norm else nn.Identity()
        self.relu = nn.ReLU(inplace=True)

    def forward(self, features: Tensor) -> Tensor:
        """Features to (batch, out_channels, 2 * height - odd, 2 * width - odd)."""
        result: Tensor = self.relu(self.norm(self.conv(features)))
        return result
