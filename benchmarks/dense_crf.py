"""What one pass of the fully connected CRF costs on one core: python benchmarks/dense_crf.py [--shape 128 128 64].

Each case in a process of its own, so that its peak memory is its own: a smooth image as scans are, and pure noise, of
which every voxel is far from every other in intensity: the worst that there can be.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import time

import numpy as np
from scipy import ndimage

from netwright.tasks.segmentation.dense_crf import DenseCRF, refine

CRF = DenseCRF(1.0, 1.0, 6.0, 2.0, 0.1)
"""The weights that were fitted on the hippocampus."""


def measure(shape: tuple[int, ...], labels: int, channels: int, noise: bool) -> tuple[float, float]:
    """Seconds of one core's work, and MB of memory beyond the arrays that are handed over."""
    rng = np.random.default_rng(0)
    image = rng.normal(0, 1, (channels, *shape))
    if not noise:
        image = np.stack([ndimage.gaussian_filter(one, 3) for one in image])
        image = image / image.std() + rng.normal(0, 0.05, image.shape)
    logits = rng.normal(0, 1, (labels, *shape)).astype(np.float32)
    probabilities = np.exp(logits) / np.exp(logits).sum(0)
    image = image.astype(np.float32)
    del logits
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.process_time()
    refine(probabilities, image, (1.0, 1.0, 1.0), CRF)
    seconds = time.process_time() - began
    return seconds, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 / 1e6


def main() -> None:
    """Print a line a case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", type=int, nargs=3, default=(128, 128, 64))
    shape = tuple(parser.parse_args().shape)
    cases = [(shape, 4, 1), (shape, 4, 4), (shape, 20, 1), ((512, 512, 1), 2, 3)]
    context = multiprocessing.get_context("spawn")
    for size, labels, channels in cases:
        for noise in (False, True):
            with context.Pool(1) as pool:
                seconds, megabytes = pool.apply(measure, (size, labels, channels, noise))
            name = " x ".join(map(str, size))
            kind = "noise " if noise else "smooth"
            print(
                f"{name:>15}  {labels:2} labels  {channels} channels  {kind}  {seconds:6.1f} s  {megabytes:6.0f} MB"
            )


if __name__ == "__main__":
    main()
