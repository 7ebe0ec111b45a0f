"""Settings of pictures that are restored."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import asdict
from typing import Any

from netwright.data.images.inpainting_settings import MaskSettings
from netwright.errors import SettingsError
from netwright.tasks.base import SettingsDraft

_RESTORED: dict[str, Any] = {
    "images.size": (64, 64),
    "images.fit": "stretch",
    "images.normalise": "unit",
    "objective.percent": False,
    "termination.loss_of_guess": None,
    "postprocessing.crf": False,
}
"""The preparation for inpainting. PDAS (Section 4.2) resizes pictures and divides by 255."""

_UNMOVED: dict[str, Any] = {"rotation_degrees": 0.0, "shift": 0.0, "scale": (1.0, 1.0)}
_FLIP = 0.5


def choose_preparation(draft: SettingsDraft, *, repeats: bool) -> None:
    """Choose the preparation of PDAS: pictures are stretched to 64 x 64 pixels, with values from 0 to 1.

    The only augmentation is flips, because the others leave black areas, which a network would learn to restore.
    Settings in recipes for other tasks about percentages, the loss of a guess and label maps are undone.

    Raises:
        SettingsError: the user asked for cutout, which would put black into the pictures to be restored.
    """
    if not repeats:
        draft.choose(_RESTORED)
        if draft.training.augmentation is not None:
            flips = _flips_alone(asdict(draft.training.augmentation), draft.user_set)
            draft.change({"training.augmentation": flips})
    augmentation = draft.training.augmentation
    if augmentation is not None and augmentation.cutout:
        raise SettingsError(
            f"training.augmentation.cutout is {augmentation.cutout}, but pictures are to be restored: expected 0, as "
            "what is cut out would be black in what the network is to learn. Leave it out: inpainting.mask says what "
            "is missing."
        )


def _flips_alone(augmentation: dict[str, Any], user_set: Set[str]) -> dict[str, Any]:
    """The augmentation reduced to flips and to what the user gave."""
    table = "training.augmentation"
    given = {name.removeprefix(f"{table}.") for name in user_set if name.startswith(f"{table}.")}
    if table in user_set and not given:
        return augmentation
    usual = {**_UNMOVED, "crop": 0, "cutout": 0, "flip": _FLIP}
    if given.isdisjoint({"probability", *_UNMOVED}):
        usual["probability"] = 0.0
    return {**augmentation, **{name: value for name, value in usual.items() if name not in given}}


def choose_masks(draft: SettingsDraft) -> None:
    """Choose the masks. Pictures must have values from 0 to 1, because PSNR is defined for these.

    Raises:
        SettingsError: the user asked for another normalisation.
    """
    if draft.images.normalise != "unit":
        raise SettingsError(
            f"images.normalise is {draft.images.normalise}, but PSNR is that of pictures from 0 (black) to 1 "
            "(white): take unit."
        )
    draft.change({"inpainting": (draft.inpainting or MaskSettings()).to_dict()})
