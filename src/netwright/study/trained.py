"""A trained network on disk: a folder that is enough to use it, and what it is used for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from netwright.data.geometry import Geometry
from netwright.data.preprocessing import PreprocessingSettings, prepare_image
from netwright.data.volumes import Grid, read_label, write_label_map
from netwright.errors import DatasetError, RunError
from netwright.settings import RunSettings
from netwright.study.folder import read_json, write_json
from netwright.study.jobs import network_builder
from netwright.tasks.metrics import dice_per_label
from netwright.tasks.segmentation import SegmentationTask

ARCHITECTURE = "architecture.json"
PREPROCESSING = "preprocessing.json"
WEIGHTS = "weights.safetensors"


@dataclass(frozen=True)
class Trained:
    """A network with its weights, ready on a device, and all that turns a file into its input and back.

    ``label_values``: the value in label maps of each class, background first.
    """

    network: nn.Module
    task: SegmentationTask
    label_values: tuple[int, ...]
    preprocessing: PreprocessingSettings
    device: Any

    def probabilities(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        """Class probabilities (K, X, Y, Z) of a prepared image (C, X, Y, Z)."""
        from netwright.evaluation.inference import predict_probabilities

        return predict_probabilities(self.network, image, self.task.size, device=self.device)

    def segment(self, images: Sequence[Path]) -> tuple[NDArray[np.uint8], Geometry]:
        """Class indices of one case, on the grid and in the axis order of its files (one a channel, or one for all).

        Raises:
            DatasetError: a file cannot be used, or has another number of channels than the network was trained on.
        """
        prepared = prepare_image(images, self.preprocessing)
        channels = prepared.image.shape[0]
        if channels != self.task.channels:
            raise DatasetError(
                f"{images[0]} has {channels} channel{'s' * (channels != 1)}; this network was trained on "
                f"{self.task.channels}. Give images like those it was trained on."
            )
        return prepared.geometry.restore(self.probabilities(prepared.image)), prepared.geometry


def describe_trained(
    folder: Path,
    settings: RunSettings,
    task: SegmentationTask,
    label_values: Sequence[int],
    preprocessing: PreprocessingSettings,
    choice: dict[str, Any],
    reference: str | None,
) -> None:
    """Write, beside the weights, what `load_trained` needs to know of them."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(
        folder / ARCHITECTURE,
        {
            "reference": reference,
            "space": settings.space.model_dump(mode="json"),
            "choice": choice,
            "channels": task.channels,
            "size": list(task.size),
            "label_names": list(task.label_names),
            "label_values": list(label_values),
        },
    )
    write_json(folder / PREPROCESSING, preprocessing.to_dict())


def load_trained(folder: Path, settings: RunSettings, device: str = "auto") -> Trained:
    """The trained network in a folder.

    Raises:
        RunError: there is none, or a file of it is damaged.
    """
    from netwright.evaluation.device import resolve_device
    from netwright.evaluation.weights import load_weights

    if not (folder / WEIGHTS).exists():
        raise RunError(f"{folder} has no trained network ({WEIGHTS} is missing).")
    architecture = read_json(folder / ARCHITECTURE)
    task = SegmentationTask(
        channels=architecture["channels"],
        label_names=tuple(architecture["label_names"]),
        size=tuple(architecture["size"]),
    )
    network = network_builder(settings, architecture["choice"], architecture["reference"])(task)
    load_weights(network, folder / WEIGHTS)
    chosen = resolve_device(device)
    return Trained(
        network=network.to(chosen).eval(),
        task=task,
        label_values=tuple(architecture["label_values"]),
        preprocessing=PreprocessingSettings.from_dict(read_json(folder / PREPROCESSING)),
        device=chosen,
    )


@dataclass(frozen=True)
class LabelledCase:
    """A labelled case to test on: its files, and the changes of label values that the dataset was read with."""

    name: str
    images: tuple[Path, ...]
    label: Path
    map_label: dict[int, int]

    def classes(self, grid: Grid, label_values: Sequence[int]) -> NDArray[np.uint8]:
        """The true class indices (X, Y, Z), in canonical axes.

        Raises:
            DatasetError: the label map is unusable, lies on another grid than the image, or has other values.
        """
        labels = read_label(self.label, grid)
        if labels.shape != grid.canonical_shape:
            raise DatasetError(
                f"{self.label} has the shape {labels.shape}, its image {grid.canonical_shape} (in canonical axes): "
                "expected one grid. Run 'netwright inspect' on the dataset."
            )
        for old, new in self.map_label.items():
            labels = np.where(labels == old, new, labels)
        unknown = sorted(set(np.unique(labels).tolist()) - set(label_values))
        if unknown:
            raise DatasetError(
                f"{self.label} has the label value {unknown[0]:g}; the network knows "
                f"{', '.join(map(str, label_values))}. Map it with --map-label {unknown[0]:g}=..., or correct the file."
            )
        return np.searchsorted(np.asarray(label_values), labels).astype(np.uint8)


def score_cases(
    trained: Trained,
    cases: Sequence[LabelledCase],
    predictions: Path | None = None,
    on_case: Callable[[int], None] | None = None,
) -> dict[str, dict[str, float]]:
    """Dice of every foreground label on every case's own grid: case -> label name -> Dice (NaN: absent from both).

    Label maps are written to the folder ``predictions`` if given.
    """
    result = {}
    for number, case in enumerate(cases, 1):
        found, geometry = trained.segment(case.images)
        if predictions is not None:
            predictions.mkdir(parents=True, exist_ok=True)
            write_label_map(predictions / f"{case.name}.nii.gz", found, case.images[0], trained.label_values)
        truth = case.classes(geometry.grid, trained.label_values)
        scores = dice_per_label(geometry.grid.to_canonical(found), truth, trained.task.classes)
        result[case.name] = dict(zip(trained.task.label_names, map(float, scores), strict=True))
        if on_case is not None:
            on_case(number)
    return result


def mean_dice(dice: dict[str, dict[str, float]]) -> dict[str, float]:
    """Means over cases: "dice" over all labels (the mean of each case's mean), "dice.<label>" for each."""
    rows = [list(case.values()) for case in dice.values()]
    if not rows:
        return {}
    table = np.asarray(rows, dtype=np.float64)
    names = list(next(iter(dice.values())))
    by_label = {f"dice.{n}": float(np.nanmean(table[:, i])) for i, n in enumerate(names)}
    return {"dice": float(np.nanmean(np.nanmean(table, axis=1))), **by_label}
