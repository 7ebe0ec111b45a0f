"""Blended windows, against MONAI's sliding window and against its memory."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.data.utils import compute_importance_map, dense_patch_slices
from monai.inferers.utils import _get_scan_interval, sliding_window_inference
from torch import nn

from netwright.training.inference import predict_slices, predict_volume
from netwright.training.memory import measured_memory
from netwright.training.windows import gaussian_weights, starts
from processes import run

overlaps = st.floats(0, 0.9)


class Placed(nn.Module):
    """Answers by the voxels and by where they lie in the window, so that every window tells another thing."""

    def __init__(self, channels: int, classes: int, size: tuple[int, ...]) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.mix = torch.randn(classes, channels, generator=generator)
        self.place = torch.randn(classes, *size, generator=generator)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.einsum("kc,bc...->bk...", self.mix, images) + self.place


def monai_s(
    network: nn.Module, image: np.ndarray, size: tuple[int, ...], overlap: float, air: float
) -> np.ndarray:
    """Probabilities (K, *shape) by MONAI, of all windows in float32."""
    with torch.inference_mode():
        blended = sliding_window_inference(
            torch.from_numpy(image)[None],
            size,
            1,
            lambda windows: network(windows).softmax(1),
            overlap=overlap,
            mode="gaussian",
            cval=air,
        )
    return np.asarray(blended[0])


@settings(max_examples=25)
@given(
    st.tuples(*[st.integers(1, 19)] * 3),
    st.tuples(*[st.integers(1, 8)] * 3),
    overlaps,
    st.integers(1, 3),
    st.integers(1, 4),
    st.integers(1, 5),
)
def test_a_volume_is_what_monai_makes_of_it(
    shape: tuple[int, ...], size: tuple[int, ...], overlap: float, channels: int, classes: int, batch: int
) -> None:
    image = np.random.default_rng(0).normal(size=(channels, *shape)).astype(np.float32)
    network = Placed(channels, classes, size)
    slabs = predict_volume(network, image, size, overlap=overlap, batch_size=batch, air=[0.5] * channels)
    expected = monai_s(network, image, size, overlap, air=0.5)
    np.testing.assert_allclose(slabs.whole(), expected, atol=2e-6)


@settings(max_examples=12)
@given(
    st.tuples(*[st.integers(1, 15)] * 3),
    st.tuples(*[st.integers(1, 8)] * 2),
    overlaps,
    st.integers(0, 2),
    st.integers(1, 5),
)
def test_each_slice_is_what_monai_makes_of_it(
    shape: tuple[int, ...], size: tuple[int, ...], overlap: float, axis: int, batch: int
) -> None:
    image = np.random.default_rng(0).normal(size=(2, *shape)).astype(np.float32)
    network = Placed(2, 3, size)
    found = predict_slices(network, image, size, axis, overlap=overlap, batch_size=batch).whole()
    for position, one in enumerate(np.moveaxis(image, axis + 1, 0)):
        expected = monai_s(network, np.ascontiguousarray(one), size, overlap, air=0.0)
        np.testing.assert_allclose(found.take(position, axis + 1), expected, atol=2e-6)


@given(st.integers(1, 300), st.integers(1, 300), overlaps)
def test_windows_begin_where_monai_s_do(length: int, size: int, overlap: float) -> None:
    size = min(size, length)
    interval = _get_scan_interval((length,), (size,), 1, (overlap,))
    slices = dense_patch_slices((length,), (size,), interval)
    assert starts(length, size, overlap) == [one[0].start for one in slices]


@pytest.mark.parametrize("size", [(9,), (1, 8), (16, 9, 5), (32, 32, 32)])
def test_weights_are_monai_s(size: tuple[int, ...]) -> None:
    expected = compute_importance_map(size, mode="gaussian", sigma_scale=0.125)
    np.testing.assert_allclose(gaussian_weights(size), expected, rtol=1e-5)


PEAK = "import json; from test_windows import peak_of_prediction; print(json.dumps(peak_of_prediction()))"
LONG, CLASSES = (1, 1024, 64, 64), 12


def peak_of_prediction() -> float | None:
    """What the label map of a long volume takes at most, in MB; None if the system does not tell."""
    size = (32, 32, 32)
    image = np.random.default_rng(0).normal(size=LONG).astype(np.float32)
    network = Placed(1, CLASSES, size)
    predict_volume(network, image[:, :64], size).labels()  # libraries
    with measured_memory() as memory:
        predict_volume(network, image, size).labels()
    return memory.peak_mb


def test_the_memory_is_that_of_a_band() -> None:
    """In a process of its own: the heap of this one has the holes of all tests before. It still differs by 10 MB from
    time to time, so the volume is so long that a band is little beside it.
    """
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = run([sys.executable, "-c", PEAK], cwd=Path(__file__).parent, env=environment)
    assert done.returncode == 0, done.stderr
    peak_mb = json.loads(done.stdout.splitlines()[-1])
    if peak_mb is None:
        pytest.skip("the system does not tell the peak of the memory")
    voxels = int(np.prod(LONG))
    everything = 4 * CLASSES * voxels / 1e6  # 201 MB, which MONAI needs besides its weights
    band, labels = everything * 32 / 1024, voxels / 1e6
    assert peak_mb < band + labels + 25
    assert peak_mb < everything / 5


def test_a_network_that_is_not_finite_is_not_scored() -> None:
    image = np.zeros((1, 20, 6, 6), np.float32)
    image[0, 17, 3, 3] = np.inf
    slabs = predict_volume(Placed(1, 2, (6, 6, 6)), image, (6, 6, 6))
    with pytest.raises(FloatingPointError, match="not finite"):
        slabs.finite().labels()
