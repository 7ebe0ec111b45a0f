"""A trained network on disk: a folder that is enough to use it, whatever its task."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from netwright.comparison.postprocessing import POSTPROCESSING, with_crf
from netwright.data.images.dataset import ImageSet
from netwright.data.images.prepared import PreparedImages
from netwright.data.open import OnCase
from netwright.data.volumes.dataset import Dataset
from netwright.data.volumes.prepared import Prepared
from netwright.errors import DatasetError, RunError
from netwright.runs.folder import read_json, write_json
from netwright.settings import RunSettings
from netwright.spaces import network_builder
from netwright.tasks.base import Task
from netwright.tasks.classification.predictor import Classifier
from netwright.tasks.images import LabelledPicture
from netwright.tasks.inpainting.predictor import Inpainter
from netwright.tasks.metrics import mean_scores
from netwright.tasks.segmentation.dense_crf import DenseCRF
from netwright.tasks.segmentation.distances import HAUSDORFF
from netwright.tasks.segmentation.predictor import LabelledCase, Segmenter
from netwright.training.files import WEIGHTS

ARCHITECTURE = "architecture.json"
PREPROCESSING = "preprocessing.json"

RESULTS = ("scores", HAUSDORFF, "scores_without_crf", "scores_with_unkept_crf")
"""The keys of ``result.json`` under which there is case -> label, class or metric -> score."""

Trained = Segmenter | Classifier | Inpainter
TestCase = LabelledCase | LabelledPicture
"""What a network is tested on: a `Segmenter` on label maps, a `Classifier` or an `Inpainter` on pictures."""

_KINDS: dict[str, type[Segmenter] | type[Classifier] | type[Inpainter]] = {
    "dice": Segmenter,
    "accuracy": Classifier,
    "psnr": Inpainter,
}
"""By the task's metric."""


def describe_trained(
    folder: Path,
    settings: RunSettings,
    prepared: Prepared | PreparedImages,
    task: Task,
    choice: dict[str, Any],
    reference: str | None,
) -> None:
    """Write, beside the weights, what `load_trained` needs to know of them."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / POSTPROCESSING).unlink(missing_ok=True)  # of an earlier training, whose weights are replaced
    write_json(
        folder / ARCHITECTURE,
        {
            "metric": task.metric,
            "reference": reference,
            "space": settings.space.model_dump(mode="json"),
            "choice": choice,
            "channels": task.channels,
            "size": list(task.size),
            **_description(settings, prepared),
        },
    )
    steps = prepared.preparation if isinstance(prepared, PreparedImages) else prepared.settings
    write_json(folder / PREPROCESSING, steps.to_dict())


def _description(settings: RunSettings, prepared: Prepared | PreparedImages) -> dict[str, Any]:
    if isinstance(prepared, PreparedImages) and not prepared.class_names:
        return Inpainter.description(settings.inpainting)
    if isinstance(prepared, PreparedImages):
        return Classifier.description(prepared)
    return Segmenter.description(prepared, settings.slices)


def load_trained(folder: Path, settings: RunSettings, device: str = "auto") -> Trained:
    """The trained network in a folder.

    Raises:
        RunError: there is none, or a file of it is damaged.
    """
    from netwright.training.device import resolve_device
    from netwright.training.weights import load_weights

    if not (folder / WEIGHTS).exists():
        raise RunError(f"{folder} has no trained network ({WEIGHTS} is missing).")
    architecture = read_json(folder / ARCHITECTURE)
    kind = _KINDS[architecture.get("metric", "dice")]
    task = kind.task_of(architecture)
    network = network_builder(settings.space, architecture["choice"], architecture["reference"])(task)
    load_weights(network, folder / WEIGHTS)
    chosen = resolve_device(device)
    trained = kind.load(network.to(chosen).eval(), architecture, read_json(folder / PREPROCESSING), chosen)
    return with_crf(trained, folder) if isinstance(trained, Segmenter) else trained


def results_on(
    trained: Trained,
    cases: Sequence[TestCase],
    predictions: Path | None = None,
    on_case: OnCase | None = None,
    unkept: DenseCRF | None = None,
) -> dict[str, dict[str, dict[str, float]]]:
    """How a trained network does on cases, as ``result.json`` has it: "scores", case -> label, class or metric ->
    score; of a segmentation also "hausdorff_95_mm", with a CRF "scores_without_crf", and with an ``unkept`` one, which
    is not used, "scores_with_unkept_crf", the same way.

    Raises:
        MemoryShortage: a CRF needs more memory than there is.
    """
    if not isinstance(trained, Segmenter):
        return {"scores": trained.score(cases, predictions, on_case)}
    found = trained.test(cases, predictions, on_case, unkept)
    results = {"scores": found.dice, HAUSDORFF: found.distances}
    if trained.crf is not None:
        results["scores_without_crf"] = found.dice_without_crf
    if unkept is not None:
        results["scores_with_unkept_crf"] = found.dice_with_unkept_crf
    return results


def means_of(trained: Trained, scores: dict[str, dict[str, float]]) -> dict[str, float]:
    """What a trained network reaches on average, by metric, from "scores" of `results_on`."""
    if isinstance(trained, Inpainter):
        return trained.means(scores)
    return mean_scores(scores, trained.task.metric)


def require_same_task(dataset: Path | str, opened: Dataset | ImageSet, trained: Trained) -> None:
    """Refuse label maps where classes or pictures are needed, and pictures without classes where classes are.

    Raises:
        DatasetError: the network cannot be tested on the dataset.
    """
    if isinstance(trained, Segmenter):
        return
    if isinstance(opened, Dataset):
        what = "tells classes of" if isinstance(trained, Classifier) else "restores"
        raise DatasetError(f"{dataset} holds images with label maps; the network {what} pictures.")
    if isinstance(trained, Classifier) and not opened.classes:
        raise DatasetError(
            f"{dataset} holds pictures without classes; the network tells classes of pictures. Sort them into a folder "
            "for each class."
        )
