"""Several networks, and their views of mirrored images, as one network."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from netwright.nn.losses import main_output, wide

Output = Literal["softmax", "sigmoid", "values"]
"""What a network's output means: logits of classes that exclude one another, logits of labels that do not, or the
values of a restored image."""


class Ensemble(nn.Module):
    """Networks whose output is that of their mean probabilities, so that it is used like the output of any network.

    The mean is over the members and over the image mirrored along every combination of ``mirror_axes``; outputs with
    spatial axes are mirrored back. ``softmax`` gives the logarithm of the mean probabilities, ``sigmoid`` the logit
    of the mean probability of each label, ``values`` the mean. All of it is computed in float32 and with logarithms,
    so that no probability is rounded to zero or one. One member that is not mirrored gives its own output.

    It is for evaluation alone; the members were trained one by one.

    Args:
        members: networks for the same task. Each becomes evaluated, not trained.
        weights: of the members in the mean, positive; they are scaled to the sum 1. None: all alike.
        mirror_axes: spatial axes, counted from 0.
        output: what the members' outputs mean.

    Raises:
        ValueError: no member, weights that do not fit, or an axis that is negative or named twice.

    >>> one, other = nn.Conv2d(1, 2, 1), nn.Conv2d(1, 2, 1)
    >>> images = torch.ones(1, 1, 4, 4)
    >>> mean = (one(images).softmax(1) + other(images).softmax(1)) / 2
    >>> torch.allclose(Ensemble([one, other])(images).softmax(1), mean)
    True
    """

    def __init__(
        self,
        members: Sequence[nn.Module],
        weights: Sequence[float] | None = None,
        mirror_axes: Sequence[int] = (),
        output: Output = "softmax",
    ) -> None:
        super().__init__()
        given = [1.0] * len(members) if weights is None else [float(weight) for weight in weights]
        if not members or len(given) != len(members) or not all(0 < w < math.inf for w in given):
            raise ValueError(
                f"an ensemble needs a member, and a positive weight for each; got {len(members)} members and the "
                f"weights {given}"
            )
        if len(set(mirror_axes)) != len(mirror_axes) or any(axis < 0 for axis in mirror_axes):
            raise ValueError(
                f"the axes to mirror must be different and not negative, got {list(mirror_axes)}"
            )
        self.members = nn.ModuleList(members)
        self.weights = tuple(weight / math.fsum(given) for weight in given)
        self.mirror_axes = tuple(mirror_axes)
        self.output = output
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        """Logits or values (B, K) or (B, K, *size) of images (B, C, *size).

        Raises:
            RuntimeError: it is in training mode.
        """
        if self.training:
            raise RuntimeError(
                "an ensemble is not trained: train its members, and call eval() before it is used"
            )
        if len(self.members) == 1 and not self.mirror_axes:
            return main_output(self.members[0](images))
        outputs = self._outputs(images)
        if self.output == "softmax":
            return _log_mean(map(_log_probabilities, outputs))
        if self.output == "values":
            mean: Tensor = torch.stack([share * values for share, values in outputs]).sum(0)
            return mean
        # log(p / (1 - p)) of the mean p, whose two sides are means themselves.
        pairs = ((share, torch.stack([_log_sigmoid(z), _log_sigmoid(-z)])) for share, z in outputs)
        present, absent = _log_mean(pairs).unbind()
        return present - absent

    def _outputs(self, images: Tensor) -> Iterator[tuple[float, Tensor]]:
        """The share in the mean and the output, in float32, of each member and mirroring."""
        views = [
            [2 + axis for axis in chosen]
            for count in range(len(self.mirror_axes) + 1)
            for chosen in itertools.combinations(self.mirror_axes, count)
        ]
        for weight, member in zip(self.weights, self.members, strict=True):
            for axes in views:
                output = main_output(member(images.flip(axes) if axes else images))
                with torch.autocast(images.device.type, enabled=False):
                    restored = output.flip(axes) if axes and output.ndim == images.ndim else output
                    yield weight / len(views), wide(restored)
                del output, restored  # before the next member needs the memory


def _log_probabilities(output: tuple[float, Tensor]) -> tuple[float, Tensor]:
    share, logits = output
    return share, logits.log_softmax(1)


def _log_mean(terms: Iterator[tuple[float, Tensor]]) -> Tensor:
    """The logarithm of a weighted mean, from shares and logarithms, one after the other to save memory.

    ``terms``: the logarithms are changed.
    """
    total: Tensor | None = None
    for share, term in terms:
        term += math.log(share)
        total = term if total is None else torch.maximum(total, term) + _softening(total - term)
        del term  # before the next member needs the memory
    assert total is not None
    return total


def _log_sigmoid(logits: Tensor) -> Tensor:
    return logits.clamp(max=0) - _softening(logits)


def _softening(difference: Tensor) -> Tensor:
    """By how much log(exp(a) + exp(b)) is larger than the larger of a and b, from a - b.

    PyTorch has `torch.logaddexp` and `logsigmoid`, but in ONNX they become logarithms of what was rounded to zero.
    """
    return torch.log1p(torch.exp(-difference.abs()))
