"""Whether a space suits the data: slices are turned on or off for it, what it takes pictures for is told, and what
cannot be is refused early.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from netwright.data.images.dataset import ImageSet
from netwright.data.layouts.images import IMAGES
from netwright.data.volumes.dataset import Dataset
from netwright.data.volumes.slices import SliceSettings
from netwright.errors import SettingsError
from netwright.planning.data_settings import is_flat, kind_of
from netwright.settings import RunSettings, parse_settings
from netwright.spaces.kinds import INPAINTING, KINDS, spaces_for

_RESTORED: dict[str, Any] = {
    "images.size": (64, 64),
    "images.fit": "stretch",
    "images.normalise": "unit",
    "objective.percent": False,
    "termination.loss_of_guess": None,
    "postprocessing.crf": False,
}
"""Of pictures that are restored. PDAS (Section 4.2) resizes them and divides by 255."""

_UNMOVED: dict[str, Any] = {"rotation_degrees": 0.0, "shift": 0.0, "scale": (1.0, 1.0)}
_FLIP = 0.5


def suit_format(settings: RunSettings, *spaces: str) -> RunSettings:
    """The settings with pictures read without their classes where one of the ``spaces`` is for inpainting alone."""
    restores = any(KINDS[name].tasks == (INPAINTING,) for name in spaces if name in KINDS)
    if settings.dataset.format is not None or not restores:
        return settings
    return settings.model_copy(update={"dataset": settings.dataset.model_copy(update={"format": IMAGES})})


def suit_inpainting(
    settings: RunSettings, dataset: Dataset | ImageSet, said: Collection[str] = (), *, repeats: bool = False
) -> RunSettings:
    """The settings with pictures that are restored brought to 64 x 64 pixels, stretched, and to 0 to 1, as in PDAS;
    augmented by flips alone, as all else puts black beside what a network is to learn; and without what recipes for
    other tasks say of metrics between 0 and 1, of guesses and of label maps.

    ``said``: dotted names of settings that the user gave, which stay. ``repeats``: whether all are those of another
    run, and stay.

    Raises:
        SettingsError: cutout was asked for, which would take pixels from what is to be learned.
    """
    if kind_of(dataset) != INPAINTING:
        return settings
    suited = settings if repeats else _suited_to_inpainting(settings, said)
    augmentation = suited.training.augmentation
    if augmentation is not None and augmentation.cutout:
        raise SettingsError(
            f"training.augmentation.cutout is {augmentation.cutout}, but pictures are to be restored: expected 0, as "
            "what is cut out would be black in what the network is to learn. Leave it out: inpainting.mask says what "
            "is missing."
        )
    return suited


def _suited_to_inpainting(settings: RunSettings, said: Collection[str]) -> RunSettings:
    values = settings.model_dump(mode="json")
    for name, value in _RESTORED.items():
        table, _, key = name.partition(".")
        if name not in said:
            values[table][key] = value
    values["training"]["augmentation"] = _flips_alone(values["training"]["augmentation"], said)
    return parse_settings(values)


def _flips_alone(augmentation: dict[str, Any] | None, said: Collection[str]) -> dict[str, Any] | None:
    """The augmentation without what the user did not give."""
    table = "training.augmentation"
    given = {name.removeprefix(f"{table}.") for name in said if name.startswith(f"{table}.")}
    if augmentation is not None and (table not in said or given):
        usual = {**_UNMOVED, "crop": 0, "cutout": 0, "flip": _FLIP}
        if given.isdisjoint({"probability", *_UNMOVED}):
            usual["probability"] = 0.0
        augmentation |= {name: value for name, value in usual.items() if name not in given}
    return augmentation


def suit_space(settings: RunSettings, dataset: Dataset | ImageSet, said: Collection[str] = ()) -> RunSettings:
    """The settings with ``slices`` as the space needs them: on for 2D networks on volumes, off for 3D ones.

    ``said``: dotted names of settings that the user gave; slices given there stay.

    Raises:
        SettingsError: the space is for another task or number of dimensions; those that suit are named.
    """
    kind, task = KINDS[settings.space.name], kind_of(dataset)
    asked = any(name == "slices" or name.startswith("slices.") for name in said)
    volumes = isinstance(dataset, Dataset) and not is_flat(dataset)
    if not asked and (isinstance(dataset, ImageSet) or (volumes and kind.dimensions == (3,))):
        settings = settings.model_copy(update={"slices": None})
    elif not asked and volumes and kind.dimensions == (2,) and settings.slices is None:
        settings = settings.model_copy(update={"slices": SliceSettings()})
    dimensions = 3 if volumes and settings.slices is None else 2
    if task in kind.tasks and dimensions in kind.dimensions:
        return settings
    data = f"{task} of {'volumes' if volumes else 'pictures'}"
    if volumes and asked:
        data += ", whole (slices=null)" if settings.slices is None else ", slice by slice (slices)"
    # Slices that nobody asked for are turned on and off as the space wants them.
    reached = (3, 2) if volumes and not asked else (dimensions,)
    suited = [name for count in reached for name in spaces_for(task, count)]
    raise SettingsError(
        f"The space {settings.space.name!r} is for {kind.words()}, but {dataset.root} is for {data}. Spaces for it: "
        f"{', '.join(dict.fromkeys(suited))}."
    )
