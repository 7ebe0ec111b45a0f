"""Settings that depend on the data: what a run leaves open is chosen here, once, before anything is searched."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, replace
from typing import Any

from netwright.data.images.dataset import ImageSet
from netwright.data.images.inpainting_settings import MaskSettings
from netwright.data.images.prepared import PreparedImages
from netwright.data.volumes.dataset import Dataset
from netwright.data.volumes.prepared import Prepared
from netwright.data.volumes.slices import SliceSettings
from netwright.errors import InfeasibleArchitecture, SettingsError
from netwright.objective import read_limit
from netwright.searches.components import problem_of
from netwright.settings import Part, RunSettings, parse_settings
from netwright.spaces import make_space, takes_task
from netwright.spaces.base import Space
from netwright.spaces.kinds import CLASSIFICATION, INPAINTING, SEGMENTATION
from netwright.spaces.layerwise.factory import folder_of
from netwright.spaces.layerwise.networks.vgg16 import usual_units
from netwright.tasks.base import Task
from netwright.tasks.classification.task import ClassificationTask
from netwright.training.config import TrainingProtocol
from netwright.training.early_stopping import EarlyTermination

PICTURES_WITH_MASKS = "image-masks"
CROSS_ENTROPY = "cross_entropy"
LEAST_BATCH_SECONDS = 0.05
"""Batches of milliseconds wait for other programs at times: no threshold is lower."""
GUESSED = ("cross_entropy", "dice", "dice_cross_entropy")
"""The losses of which it is known what a guess gives."""


def kind_of(dataset: Dataset | ImageSet) -> str:
    """The task that a dataset is for."""
    if isinstance(dataset, ImageSet):
        return CLASSIFICATION if dataset.classes else INPAINTING
    return SEGMENTATION


def fit_settings(
    settings: RunSettings,
    dataset: Dataset | ImageSet,
    prepared: Prepared | PreparedImages,
    said: Collection[str] = (),
) -> RunSettings:
    """The settings with preprocessing, slices, the space's shape, the loss and the metric chosen from the data.

    ``said``: dotted names of settings that the user gave, which stay.

    Raises:
        SettingsError: a setting does not suit the data.
    """
    if isinstance(prepared, PreparedImages):
        if settings.slices is not None:
            raise SettingsError(f"slices are for volumes; this dataset has pictures for {kind_of(dataset)}.")
        settings = _with(settings, {"images": prepared.settings.to_dict()})
    else:
        settings = _with(settings, {"preprocessing": prepared.settings.to_dict()})
        if settings.slices is None and is_flat(dataset):
            settings = _with(settings, {"slices": SliceSettings().to_dict()})
    settings = _with_masks(settings, kind_of(dataset))
    task = problem_of(settings, prepared).task
    settings = _with_room_for_cutout(settings, min(task.size), said)
    if takes_task(settings.space):
        settings = _with(settings, {"space": _shaped(settings.space, task, said)})
    else:
        _require_suited(make_space(settings.space), task)
    if settings.training.loss not in task.losses:
        settings = _with_usual_loss(settings, task, kind_of(dataset), said)
    if settings.objective.metric is None:
        settings = _with(settings, {"objective": {**settings.objective.model_dump(), "metric": task.metric}})
    settings.objective.require_known(task.metric_names)
    return settings


def require_validated(
    settings: RunSettings, prepared: Prepared | PreparedImages, validation: Iterable[str]
) -> None:
    """Refuse an objective about a label that no validation case has.

    Args:
        validation: names of the cases.

    Raises:
        SettingsError: naming the label.
    """
    if isinstance(prepared, PreparedImages):
        return
    counts = prepared.class_counts_of(prepared.indices(validation))
    objective = settings.objective
    asked = {objective.metric, *(read_limit(text).name for text in objective.limits)}
    for name, voxels in zip(prepared.label_names, counts[1:], strict=True):
        if f"dice.{name}" in asked and voxels == 0:
            raise SettingsError(
                f"The objective asks for dice.{name}, but none of the validation cases has the label {name}. Take "
                "another seed or split, which deal the cases otherwise, or another objective."
            )


def needs_start(settings: RunSettings, said: Collection[str] = ()) -> bool:
    """Whether early termination waits for the time a batch of the starting network."""
    given = settings.termination.slower_than_start is not None
    return given and not _is_set(settings, said, "batch_seconds")


def require_guess(settings: RunSettings, said: Collection[str] = ()) -> None:
    """Refuse a loss whose threshold cannot be measured.

    Raises:
        SettingsError: it is not known what a guess gives.
    """
    loss = settings.training.loss
    if settings.termination.loss_of_guess is None or _is_set(settings, said, "loss") or loss in GUESSED:
        return
    raise SettingsError(
        f"termination.loss_of_guess: it is not known what a guess gives with training.loss={loss}. Set "
        "training.early.loss to a number, or termination.loss_of_guess=null."
    )


def with_termination(
    settings: RunSettings, task: Task, batch_seconds: float | None, said: Collection[str] = ()
) -> RunSettings:
    """The settings with ``training.early`` made of ``termination`` (Iranfar et al. 2022, Fig. 7); what is set there
    stays.

    ``batch_seconds``: of a training step of the starting network; None: not measured. ``said``: dotted names of
    settings that the user gave; in ``training.early`` they stay also where the value is None or the default.

    Raises:
        SettingsError: as `require_guess`.
    """
    given, early = settings.termination, settings.training.early or EarlyTermination()
    measured = given.slower_than_start is not None or given.loss_of_guess is not None
    if not measured or _is_off(settings, said):
        return settings
    require_guess(settings, said)
    made: dict[str, Any] = {"batches": given.batches, "loss_epochs": given.epochs}
    if given.slower_than_start is not None and batch_seconds is not None:
        threshold = max(given.slower_than_start * batch_seconds, LEAST_BATCH_SECONDS)
        made["batch_seconds"] = float(f"{threshold:.3g}")
    if given.loss_of_guess is not None and not _is_set(settings, said, "loss"):
        made["loss"] = float(f"{given.loss_of_guess * _guess(settings.training, task):.4g}")
    made |= {name: value for name, value in asdict(early).items() if _is_set(settings, said, name)}
    return _with(settings, {"training": {**settings.model_dump(mode="json")["training"], "early": made}})


def _is_off(settings: RunSettings, said: Collection[str]) -> bool:
    """Whether the user wants no early termination."""
    return settings.training.early is None and "training.early" in said


def _is_set(settings: RunSettings, said: Collection[str], name: str) -> bool:
    """Whether a setting of ``training.early`` is not to be measured."""
    early = settings.training.early or EarlyTermination()
    default = getattr(EarlyTermination(), name)
    return (
        _is_off(settings, said) or f"training.early.{name}" in said or bool(getattr(early, name) != default)
    )


def _guess(training: TrainingProtocol, task: Task) -> float:
    """The loss of a network that has learned nothing: every class alike, no overlap."""
    cross_entropy, dice = math.log(task.classes), 1.0
    if training.loss == "dice_cross_entropy":
        return training.loss_dice_weight * dice + training.loss_cross_entropy_weight * cross_entropy
    return cross_entropy if training.loss == CROSS_ENTROPY else dice


def _with_usual_loss(settings: RunSettings, task: Task, kind: str, said: Collection[str]) -> RunSettings:
    if "training.loss" in said:
        raise SettingsError(
            f"training.loss is {settings.training.loss}, but this dataset is for {kind}: take "
            f"{' or '.join(task.losses)}."
        )
    training = settings.model_dump(mode="json")["training"]
    return _with(settings, {"training": {**training, "loss": task.losses[0]}})


def _with_room_for_cutout(settings: RunSettings, side: int, said: Collection[str]) -> RunSettings:
    """The settings with a cutout of half the image's shorter side at most, as 16 pixels are of CIFAR's 32.

    Raises:
        SettingsError: one that hides whole images was asked for.
    """
    augmentation, name = settings.training.augmentation, "training.augmentation.cutout"
    if augmentation is None or 2 * augmentation.cutout <= side:
        return settings
    if name not in said:
        smaller = replace(augmentation, cutout=side // 2)
        return settings.model_copy(update={"training": replace(settings.training, augmentation=smaller)})
    if augmentation.cutout >= 2 * side:
        raise SettingsError(
            f"{name} is {augmentation.cutout}, which hides images of {side} pixels whole. Take {side // 2} or less."
        )
    return settings


def _with_masks(settings: RunSettings, kind: str) -> RunSettings:
    """With what is missing of pictures that are restored; these are normalised to what PSNR counts from."""
    if kind != INPAINTING:
        if settings.inpainting is not None:
            raise SettingsError(
                f"inpainting is for pictures to be restored; this dataset is for {kind}. Leave it out, or say "
                "--format images where it holds pictures."
            )
        return settings
    if settings.images.normalise != "unit":
        raise SettingsError(
            f"images.normalise is {settings.images.normalise}, but PSNR is that of pictures from 0 (black) to 1 "
            "(white): take unit."
        )
    return _with(settings, {"inpainting": (settings.inpainting or MaskSettings()).to_dict()})


def _shaped(part: Part, task: Task, said: Collection[str]) -> dict[str, Any]:
    """A space's name and options with what the task says of its networks; of a user's own also where it lies, and
    what it is now.
    """
    shape: dict[str, Any] = {"channels": task.channels, "classes": task.classes, "size": list(task.size)}
    shape["dense"] = not isinstance(task, ClassificationTask)
    for name, value in shape.items():
        if f"space.{name}" in said and part.options[name] != value:
            raise SettingsError(
                f"space.{name} is {part.options[name]}, but it is filled in from the data, where it is {value}. "
                "Leave it out."
            )
    options = {**part.model_dump(mode="json"), **shape}
    if "units" in options and options["units"] is None:
        options["units"] = usual_units(task.size)
    if "network" in options:
        options |= {"folder": folder_of(options["network"], options.get("folder")), "fingerprint": None}
        options["fingerprint"] = getattr(make_space(Part(**options)), "fingerprint", None)
    return options


def _require_suited(space: Space, task: Task) -> None:
    try:
        space.build(space.starting_choice(), task)
    except InfeasibleArchitecture as error:
        raise SettingsError(
            f"The space {space.name!r} is not for this dataset. {error} Take the space of another recipe: "
            "'netwright recipes' says what each is for."
        ) from None


def is_flat(dataset: Dataset | ImageSet) -> bool:
    """Whether a dataset to be segmented has pictures, not volumes."""
    return isinstance(dataset, Dataset) and dataset.format == PICTURES_WITH_MASKS


def _with(settings: RunSettings, changes: Mapping[str, Any]) -> RunSettings:
    return parse_settings({**settings.model_dump(mode="json"), **changes})
