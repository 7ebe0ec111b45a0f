"""What predicting a volume larger than the network's input costs, beside MONAI's `sliding_window_inference`.

Both compute the same network on the same windows, with the same overlap and Gaussian weights, on one thread. MONAI's
is in float32, of probabilities, as netwright had it; behind it is the largest probability of each voxel, because label
maps are what is compared. Ours is `predict_volume`, as it predicts.

    python benchmarks/predict_large_volume.py [--network auto] [--shape 192 192 160] [--rounds 3]
    python benchmarks/predict_large_volume.py --memory [--shape 512 512 300]
    python benchmarks/predict_large_volume.py --file [--members 2] [--shape 512 512 300]

Times are of the processor, so that other programs disturb less, and taken in turns, each side first in every other
round. With ``--memory``, each predicts a volume in a process of its own, and its peak memory is told: of all of the
process, the image and Python itself among it. With ``--file``, a process reads a NIfTI file of 16 bit, prepares and
predicts it with a network, or the mean of several, and writes its label map, as `netwright predict` does.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import nibabel
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from netwright.data.io.volumes import read_grid
from netwright.data.volumes.preprocessing import PreprocessingSettings
from netwright.nn.ensemble import Ensemble
from netwright.spaces.auto import EncoderDecoderSpace
from netwright.spaces.references import REFERENCES
from netwright.tasks.segmentation.network_task import SegmentationTask
from netwright.tasks.segmentation.predictor import Segmenter
from netwright.training.device import to_channels_last
from netwright.training.inference import evaluating, predict_volume

SIDES = ("monai", "fp32", "bf16")
OVERLAP = 0.5


def make_network(arguments: argparse.Namespace) -> nn.Module:
    """A network that was not trained, with equal weights each time."""
    names = tuple(f"label {number}" for number in range(1, arguments.classes))
    size = (arguments.window,) * 3
    task = SegmentationTask(1, names, size)
    torch.manual_seed(0)
    if arguments.network != "auto":
        return REFERENCES[arguments.network].make(task)
    space = EncoderDecoderSpace(channels=1, classes=arguments.classes, size=size, spacing=(1.0, 1.0, 1.0))
    return space.build(space.starting_choice(), task)


def predict(
    side: str, network: nn.Module, image: NDArray[np.float32], arguments: argparse.Namespace
) -> NDArray[np.uint8]:
    """The label map of an image (C, X, Y, Z)."""
    size = (arguments.window,) * 3
    if side == "monai":
        return monai_s(network, image, size)
    slabs = predict_volume(
        network,
        image,
        size,
        overlap=OVERLAP,
        mixed_precision=side == "bf16",
        channels_last=True,
    )
    return slabs.labels()


def monai_s(network: nn.Module, image: NDArray[np.float32], size: tuple[int, ...]) -> NDArray[np.uint8]:
    """By MONAI, in float32."""
    from monai.inferers.utils import sliding_window_inference

    def probabilities(windows: torch.Tensor) -> torch.Tensor:
        outputs = network(windows)
        logits: torch.Tensor = outputs if isinstance(outputs, torch.Tensor) else outputs[0]
        return logits.softmax(1)

    volume = torch.from_numpy(image)[None]
    with evaluating(network):
        blended: Any = sliding_window_inference(
            volume, size, 1, probabilities, overlap=OVERLAP, mode="gaussian"
        )
    return np.asarray(blended[0].numpy().argmax(0), dtype=np.uint8)


def noise(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """(1, *shape), smooth over a few voxels."""
    rng = np.random.default_rng(0)
    coarse = rng.normal(size=[-(-length // 4) for length in shape]).astype(np.float32)
    for axis, length in enumerate(shape):
        coarse = coarse.repeat(4, axis).take(range(length), axis)
    return coarse[None]


def write_noise(path: Path, shape: list[int]) -> None:
    """A NIfTI file of 16 bit with cubic voxels, in a process of its own, whose memory does not count."""
    values = (100 * noise(tuple(shape))[0]).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), path)


def compare_times(arguments: argparse.Namespace) -> None:
    """Prints the seconds of each side, their ratios to MONAI's, and the share of voxels with MONAI's labels."""
    image = noise(tuple(arguments.shape))
    networks = {side: make_network(arguments) for side in SIDES}
    for side in SIDES[1:]:
        to_channels_last(networks[side])
    seconds: dict[str, list[float]] = {side: [] for side in SIDES}
    labels: dict[str, NDArray[np.uint8]] = {}
    for turn in range(arguments.rounds):
        for side in SIDES if turn % 2 == 0 else SIDES[::-1]:
            begun = time.process_time()
            labels[side] = predict(side, networks[side], image, arguments)
            seconds[side].append(time.process_time() - begun)
    for side in SIDES:
        ratios = [own / theirs for own, theirs in zip(seconds[side], seconds["monai"], strict=True)]
        equal = float((labels[side] == labels["monai"]).mean())
        print(
            f"{side:6} {median(seconds[side]):7.1f} s   {median(ratios):5.2f} of MONAI's time "
            f"({min(ratios):.2f} to {max(ratios):.2f}), {min(seconds[side]) / min(seconds['monai']):.2f} of the fastest"
            f" {equal:8.4%} equal labels"
        )


def compare_memory(arguments: argparse.Namespace) -> None:
    """Prints the peak memory of each side, each in a process of its own."""
    for side in arguments.sides:
        command = [sys.executable, __file__, "--side", side, "--network", arguments.network]
        command += ["--classes", str(arguments.classes), "--window", str(arguments.window)]
        command += ["--shape", *map(str, arguments.shape)]
        told = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        print(f"{side:6} {told['peak_mb']:8,.0f} MB at its peak   {told['seconds']:7.1f} s", flush=True)


def predict_file(arguments: argparse.Namespace) -> None:
    """Prints the peak memory of this process, which predicts a file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "image.nii.gz"
        writer = multiprocessing.get_context("spawn").Process(
            target=write_noise, args=(path, arguments.shape)
        )
        writer.start()
        writer.join()
        size = (arguments.window,) * 3
        names = tuple(f"label {number}" for number in range(1, arguments.classes))
        networks = [make_network(arguments) for _ in range(arguments.members)]
        segmenter = Segmenter(
            network=Ensemble(networks) if len(networks) > 1 else networks[0],
            task=SegmentationTask(1, names, size),
            label_values=tuple(range(arguments.classes)),
            preprocessing=PreprocessingSettings(spacing="median", size=size).resolved([read_grid(path)]),
            device="cpu",
        )
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
        begun = time.process_time()
        segmenter.predict(path, Path(folder) / "labels")
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
        print(
            f"{arguments.members} networks: {peak:,.0f} MB at the peak ({before:,.0f} MB before), "
            f"{time.process_time() - begun:.0f} s of the processor"
        )


def main() -> None:
    """Prints what the module's text says."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--network", choices=("auto", *REFERENCES), default="auto")
    parser.add_argument("--classes", type=int, default=15)
    parser.add_argument("--window", type=int, default=128)
    parser.add_argument("--shape", type=int, nargs=3, default=(192, 192, 160))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--file", action="store_true")
    parser.add_argument("--members", type=int, default=1)
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=SIDES)
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.side:
        network = make_network(arguments)
        if arguments.side != "monai":
            to_channels_last(network)
        begun = time.process_time()
        predict(arguments.side, network, noise(tuple(arguments.shape)), arguments)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
        print(json.dumps({"peak_mb": peak, "seconds": time.process_time() - begun}))
    elif arguments.file:
        predict_file(arguments)
    elif arguments.memory:
        compare_memory(arguments)
    else:
        compare_times(arguments)


if __name__ == "__main__":
    main()
