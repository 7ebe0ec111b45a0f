"""The fully connected CRF against a mean field that sums over all pairs of voxels, and what it must do to pictures."""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from netwright.errors import SettingsError
from netwright.tasks.segmentation.dense_crf import DenseCRF, refine
from processes import run

pytest.importorskip("pydensecrf", reason="the extra 'crf' is not installed")

SMOOTH = DenseCRF(2.0, 2.0, 0.0, 1.0, 1.0)
APPEARANCE = DenseCRF(0.0, 1.0, 2.0, 3.0, 1.0)
BOTH = DenseCRF(1.0, 2.0, 1.5, 4.0, 0.8, iterations=3)
NONE = DenseCRF(0.0, 1.0, 0.0, 1.0, 1.0)


def brute_force(
    probabilities: NDArray[Any], image: NDArray[Any], spacing: tuple[float, ...], crf: DenseCRF
) -> NDArray[np.float64]:
    """Algorithm 1 with kernels as full matrices of all pairs, normalised on both sides; the voxel itself among them."""
    classes, *shape = probabilities.shape
    places = np.stack([axis.ravel() for axis in np.indices(shape)], 1) * np.array(spacing)
    colours = image.reshape(len(image), -1).T.astype(float)

    def kernel(*features: NDArray[Any]) -> NDArray[Any]:
        exponent = sum(((f[:, None] - f[None]) ** 2).sum(-1) for f in features)
        weights = np.exp(-exponent / 2)
        norm = 1 / np.sqrt(weights.sum(1))
        return np.asarray(norm[:, None] * weights * norm[None])

    message = crf.smoothness_weight * kernel(places / crf.smoothness_mm)
    message = message + crf.appearance_weight * kernel(places / crf.appearance_mm, colours / crf.intensity)
    unary = np.log(np.clip(probabilities.reshape(classes, -1), 1e-6, 1))
    belief = np.exp(unary) / np.exp(unary).sum(0)
    for _ in range(crf.iterations):
        energy = unary + belief @ message
        belief = np.exp(energy - energy.max(0))
        belief /= belief.sum(0)
    return np.asarray(belief.reshape(probabilities.shape))


def random_case(shape: tuple[int, ...], classes: int = 3, channels: int = 1, seed: int = 0) -> Any:
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 1.5, (classes, *shape))
    probabilities = np.exp(logits) / np.exp(logits).sum(0)
    return probabilities.astype(np.float32), rng.normal(0, 1, (channels, *shape)).astype(np.float32)


def noisy_blob(seed: int = 0) -> tuple[NDArray[Any], NDArray[np.float32], NDArray[np.float32]]:
    """Truth, the probabilities of a network that errs at random, and a noisy image of the blob."""
    rng = np.random.default_rng(seed)
    grid = np.indices((20, 18, 12))
    distance = np.sqrt(sum(((grid[i] - c) / r) ** 2 for i, (c, r) in enumerate(((10, 6), (9, 5), (6, 4)))))
    truth = (distance < 1).astype(int)
    logit = (2 * truth - 1) * 1.0 + rng.normal(0, 1.0, truth.shape)
    inside = 1 / (1 + np.exp(-2 * logit))
    image = truth + rng.normal(0, 0.2, truth.shape)
    return truth, np.stack([1 - inside, inside]).astype(np.float32), image[None].astype(np.float32)


def dice(found: NDArray[Any], truth: NDArray[Any]) -> float:
    return float(2 * ((found == 1) & (truth == 1)).sum() / ((found == 1).sum() + (truth == 1).sum()))


@pytest.mark.parametrize("crf", [SMOOTH, APPEARANCE, BOTH], ids=["smoothness", "appearance", "both"])
@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.8, 1.0, 3.0)], ids=["cubes", "slices"])
@pytest.mark.parametrize("channels", [1, 2])
def test_is_near_the_sum_over_all_pairs(crf: DenseCRF, spacing: Any, channels: int) -> None:
    probabilities, image = random_case((9, 8, 5), channels=channels)
    expected = brute_force(probabilities, image, spacing, crf)
    found = refine(probabilities, image, spacing, crf)
    # The lattice approximates the Gaussian; beside what the CRF changes its error is small.
    error = np.abs(found - expected).mean()
    assert error < 0.03
    assert error < 0.3 * np.abs(expected - probabilities).mean()
    assert np.mean(found.argmax(0) == expected.argmax(0)) > 0.93


@given(seed=st.integers(0, 1000), classes=st.integers(1, 4))
@settings(max_examples=15)
def test_weights_of_zero_change_no_label(seed: int, classes: int) -> None:
    probabilities, image = random_case((4, 5, 3), classes=classes, seed=seed)
    found = refine(probabilities, image, (1, 1, 1), NONE)
    np.testing.assert_array_equal(found.argmax(0), probabilities.argmax(0))
    np.testing.assert_allclose(found, probabilities, atol=1e-4)


@given(seed=st.integers(0, 1000))
@settings(max_examples=10)
def test_gives_probabilities(seed: int) -> None:
    probabilities, image = random_case((5, 6, 4), channels=2, seed=seed)
    found = refine(probabilities, image, (1, 2, 1), BOTH)
    assert (found.shape, found.dtype) == (probabilities.shape, np.float32)
    assert found.min() >= 0
    np.testing.assert_allclose(found.sum(0), 1, atol=1e-4)


def test_lengths_count_in_mm() -> None:
    probabilities, image = random_case((7, 6, 5))
    once = refine(probabilities, image, (1, 1, 2.5), BOTH)
    longer = DenseCRF(1.0, 4.0, 1.5, 8.0, 0.8, iterations=3)
    np.testing.assert_allclose(refine(probabilities, image, (2, 2, 5), longer), once, atol=1e-4)
    assert np.abs(refine(probabilities, image, (1, 1, 25), BOTH) - once).max() > 0.05


def test_slices_far_apart_do_not_touch_each_other() -> None:
    probabilities, image = random_case((8, 8, 2))
    stacked = refine(probabilities, image, (1, 1, 1000), BOTH)
    for z in range(2):
        alone = refine(probabilities[..., z : z + 1], image[..., z : z + 1], (1, 1, 1000), BOTH)
        expected = brute_force(probabilities[..., z : z + 1], image[..., z : z + 1], (1, 1, 1000), BOTH)
        assert np.abs(stacked[..., z : z + 1] - expected).mean() < 0.03
        assert np.abs(alone - expected).mean() < 0.03


def test_axes_in_another_order_are_the_same_volume() -> None:
    _, probabilities, image = noisy_blob()
    found = refine(probabilities, image, (1, 2, 3), BOTH).argmax(0)
    swapped = refine(
        np.ascontiguousarray(probabilities.transpose(0, 3, 1, 2)),
        image.transpose(0, 3, 1, 2),
        (3, 1, 2),
        BOTH,
    ).argmax(0)
    assert np.mean(swapped.transpose(1, 2, 0) == found) > 0.99  # the lattice has its own axes


@pytest.mark.parametrize("crf", [SMOOTH, DenseCRF(0.0, 1.0, 3.0, 3.0, 0.3)], ids=["smoothness", "appearance"])
def test_cleans_noise(crf: DenseCRF) -> None:
    truth, probabilities, image = noisy_blob()
    before, after = (
        dice(p.argmax(0), truth) for p in (probabilities, refine(probabilities, image, (1, 1, 1), crf))
    )
    assert after > before + 0.1


def test_intensities_tell_where_the_edge_is() -> None:
    """A network that is unsure beyond an edge follows the image with the appearance term, and not without."""
    image = np.zeros((1, 20, 20, 1), np.float32)
    image[:, 10:] = 2
    inside = np.linspace(0.95, 0.05, 20)[:, None, None] * np.ones((20, 20, 1))
    inside = np.roll(inside, 2, axis=0)  # the network's own edge lies two pixels off
    inside[:2] = 0.95
    probabilities = np.stack([1 - inside, inside]).astype(np.float32)
    found = refine(probabilities, image, (1, 1, 1), DenseCRF(0.0, 1.0, 6.0, 8.0, 0.3)).argmax(0)
    assert probabilities.argmax(0)[11, 0, 0] == 1
    assert (found[:10] == 1).all()
    assert (found[10:] == 0).all()


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 6, 7), (6, 1, 1), (9, 8, 1)])
@pytest.mark.parametrize("crf", [SMOOTH, APPEARANCE, BOTH], ids=["smoothness", "appearance", "both"])
def test_axes_of_one_voxel(shape: tuple[int, ...], crf: DenseCRF) -> None:
    probabilities, image = random_case(shape)
    found = refine(probabilities, image, (1, 1, 5), crf)
    assert np.abs(found - brute_force(probabilities, image, (1, 1, 5), crf)).mean() < 0.05


def test_degenerate_inputs_stay_finite() -> None:
    probabilities, image = random_case((6, 5, 4))
    sure = np.zeros_like(probabilities)
    sure[0] = 1
    found = refine(sure, image, (1, 1, 1), BOTH)
    assert (found.argmax(0) == 0).all()
    constant = refine(probabilities, np.zeros_like(image), (1, 1, 1), BOTH)
    outlying = refine(probabilities, image * 1e30, (1, 1, 1), BOTH)
    for result in (found, constant, outlying):
        assert np.isfinite(result).all()


def test_inputs_are_left_as_they_are() -> None:
    probabilities, image = random_case((5, 4, 3))
    before = probabilities.copy(), image.copy()
    for array in (probabilities, image):
        array.setflags(write=False)
    refine(probabilities, image, (1, 1, 1), BOTH)
    np.testing.assert_array_equal(probabilities, before[0])
    np.testing.assert_array_equal(image, before[1])


WITH_LITTLE_MEMORY = """
import resource
import numpy as np
import psutil
from netwright.tasks.segmentation.dense_crf import DenseCRF, refine
probabilities = np.full((2, 64, 64, 64), 0.5, np.float32)
image = np.random.default_rng(0).normal(size=(1, 64, 64, 64)).astype(np.float32)
limit = psutil.Process().memory_info().data + 100_000_000
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
try:
    refine(probabilities, image, (1, 1, 1), DenseCRF(1.0, 1.0, 1.0, 2.0, 0.01))
except MemoryError:
    print("refused")
"""


def test_too_little_memory_is_an_error_and_no_end_of_the_process() -> None:
    done = run([sys.executable, "-c", WITH_LITTLE_MEMORY])
    assert (done.returncode, done.stdout) == (0, "refused\n"), done.stderr


def test_memory_that_is_promised_and_not_free_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    probabilities, image = random_case((40, 10, 5))
    free = type("Free", (), {"available": 1_000_000})
    monkeypatch.setattr("psutil.virtual_memory", lambda: free)
    refine(probabilities[..., :1], image[..., :1], (1, 1, 1), BOTH)
    with pytest.raises(MemoryError):
        refine(probabilities, image, (1, 1, 1), BOTH)


def test_refuses_what_does_not_fit_together() -> None:
    probabilities, image = random_case((5, 4, 3))
    with pytest.raises(ValueError, match="one grid"):
        refine(probabilities, image[:, :4], (1, 1, 1), BOTH)
    with pytest.raises(ValueError, match="spacing"):
        refine(probabilities, image, (1, 0, 1), BOTH)
    probabilities[0, 0, 0, 0] = np.nan
    with pytest.raises(ValueError, match="finite"):
        refine(probabilities, image, (1, 1, 1), BOTH)


@pytest.mark.parametrize(
    "change",
    [{"smoothness_weight": -1.0}, {"appearance_mm": 0.0}, {"intensity": float("nan")}, {"iterations": 0}],
)
def test_refuses_settings_that_make_no_crf(change: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match="CRF"):
        DenseCRF.from_dict({**BOTH.to_dict(), **change})


def test_survives_json() -> None:
    values = json.loads(json.dumps({**BOTH.to_dict(), "of a newer version": 1}))
    assert DenseCRF.from_dict(values) == BOTH
