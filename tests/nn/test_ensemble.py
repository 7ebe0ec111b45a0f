"""An ensemble is the mean of its members' probabilities, computed here by hand in double precision."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from scipy.special import expit, softmax
from torch import Tensor, nn

from netwright.nn.ensemble import Ensemble
from netwright.training.inference import evaluating, forward

WEIGHTS = (2.0, 1.0)


class Dense(nn.Module):
    """A network that is not symmetric under mirroring, with one logit map a class."""

    def __init__(self, dimensions: int, scale: float = 1.0) -> None:
        super().__init__()
        self.layer = {2: nn.Conv2d, 3: nn.Conv3d}[dimensions](2, 3, 3, padding=1)
        self.scale = scale

    def forward(self, images: Tensor) -> Tensor:
        outputs: Tensor = self.layer(images) * self.scale
        return outputs


class Pooled(Dense):
    def forward(self, images: Tensor) -> Tensor:
        place = torch.linspace(0, 1, images.shape[-1])  # so that mirroring matters
        return (super().forward(images) * place).flatten(2).mean(2)


class WithHead(Dense):
    """With an auxiliary head, as in training."""

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        return super().forward(images), torch.zeros(1)


def by_hand(
    members: list[nn.Module], images: Tensor, axes: tuple[int, ...], probabilities: object
) -> np.ndarray:
    total = np.zeros(())
    views = list(itertools.chain.from_iterable(itertools.combinations(axes, n) for n in range(len(axes) + 1)))
    for member, weight in zip(members, WEIGHTS, strict=True):
        for view in views:
            flipped = np.flip(images.numpy(), [2 + axis for axis in view]).copy()
            with torch.no_grad():
                output = member(torch.from_numpy(flipped)).double().numpy()
            back = np.flip(output, [2 + axis for axis in view]) if output.ndim == images.ndim else output
            total = total + weight / sum(WEIGHTS) / len(views) * probabilities(back)  # type: ignore[operator]
    return total


@pytest.mark.parametrize("axes", [(), (0,), (1, 0)])
@pytest.mark.parametrize("dimensions", [2, 3])
def test_classes_have_the_mean_of_their_probabilities(dimensions: int, axes: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    images = torch.randn(2, 2, *(5, 4, 3)[:dimensions])
    for kind in (Dense, Pooled):
        members: list[nn.Module] = [kind(dimensions), kind(dimensions, 3.0)]
        ensemble = Ensemble(members, WEIGHTS, axes, "softmax")
        expected = by_hand(members, images, axes, lambda logits: softmax(logits, 1))
        with torch.no_grad():
            np.testing.assert_allclose(ensemble(images).softmax(1).numpy(), expected, atol=1e-6)
            # The logits are the logarithm of the mean itself.
            np.testing.assert_allclose(ensemble(images).numpy(), np.log(expected), atol=1e-5)


@pytest.mark.parametrize("axes", [(), (1,)])
def test_labels_have_the_mean_of_their_probabilities(axes: tuple[int, ...]) -> None:
    torch.manual_seed(1)
    members: list[nn.Module] = [Pooled(2, 5.0), Pooled(2, 20.0)]
    images = torch.randn(4, 2, 5, 6)
    expected = by_hand(members, images, axes, expit)
    with torch.no_grad():
        logits = Ensemble(members, WEIGHTS, axes, "sigmoid")(images)
    np.testing.assert_allclose(logits.sigmoid().numpy(), expected, atol=1e-6)


def test_values_have_their_mean() -> None:
    torch.manual_seed(2)
    members: list[nn.Module] = [Dense(2), Dense(2)]
    images = torch.randn(2, 2, 4, 5)
    with torch.no_grad():
        values = Ensemble(members, WEIGHTS, (0, 1), "values")(images)
    np.testing.assert_allclose(values.numpy(), by_hand(members, images, (0, 1), np.asarray), atol=1e-6)


class Constant(nn.Module):
    """Says the same of every image."""

    def __init__(self, logits: list[float]) -> None:
        super().__init__()
        self.register_buffer("logits", torch.tensor(logits))

    def forward(self, images: Tensor) -> Tensor:
        return self.logits.to(images.dtype).expand(len(images), -1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_nothing_is_rounded_to_certainty_in_half_precision(dtype: torch.dtype) -> None:
    """Probabilities of e^-200 are 0 in any of these types, and half of 1 - e^-200 is where the ranks would tie."""
    images = torch.zeros(1, 1, 2, 2, dtype=dtype)
    certain = Ensemble([Constant([200.0, 0.0, -200.0]), Constant([196.0, 0.0, -200.0])], output="softmax")
    logits = certain(images).double()[0]
    assert logits.isfinite().all()
    # The mean of e^-200 and e^-196 is e^-200 times this, as a logarithm.
    shared = np.log1p(np.exp(4.0)) - np.log(2.0)
    np.testing.assert_allclose(logits.numpy(), [0.0, -200 + shared, -400 + shared], rtol=1e-5, atol=1e-6)
    labels = Ensemble([Constant([200.0, -200.0]), Constant([196.0, -196.0])], output="sigmoid")(images)[0]
    np.testing.assert_allclose(labels.double().numpy(), [200 - shared, -(200 - shared)], rtol=1e-5)


def test_autocast_keeps_the_mean_in_single_precision() -> None:
    torch.manual_seed(3)
    members: list[nn.Module] = [Dense(2, 0.01), Dense(2, 0.01)]
    images = torch.randn(1, 2, 4, 4)
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        logits = Ensemble(members)(images)
        means = sum(member(images).float().softmax(1) for member in members) / 2
    assert logits.dtype == torch.float32
    torch.testing.assert_close(logits.softmax(1), means)


def test_one_member_is_itself_and_heads_have_no_part() -> None:
    torch.manual_seed(4)
    images = torch.randn(2, 2, 4, 4)
    with torch.no_grad():
        member = WithHead(2)
        assert torch.equal(Ensemble([member])(images), member(images)[0])
        twice = Ensemble([member, member], (0.3, 0.7), (0,))(images)
        assert torch.allclose(twice, Ensemble([member], None, (0,))(images), atol=1e-6)


def test_it_is_not_trained() -> None:
    ensemble = Ensemble([Dense(2), Dense(2)])
    assert not any(module.training for module in ensemble.modules())
    ensemble.train()
    with pytest.raises(RuntimeError, match="not trained"):
        ensemble(torch.zeros(1, 2, 4, 4))
    with evaluating(ensemble):
        assert forward(ensemble, torch.zeros(1, 2, 4, 4), channels_last=True).shape == (1, 3, 4, 4)


def test_parameters_are_sums() -> None:
    one, two = Dense(2), Dense(3)
    counted = sum(weight.numel() for weight in Ensemble([one, two]).parameters())
    assert counted == sum(weight.numel() for member in (one, two) for weight in member.parameters())


@pytest.mark.parametrize(
    ("weights", "axes"),
    [((1.0,), ()), ((1.0, 0.0), ()), ((1.0, float("nan")), ()), (None, (0, 0)), (None, (-1,))],
)
def test_what_makes_no_sense_is_refused(weights: tuple[float, ...] | None, axes: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="got"):
        Ensemble([Dense(2), Dense(2)], weights, axes)
    with pytest.raises(ValueError, match="needs a member"):
        Ensemble([])
