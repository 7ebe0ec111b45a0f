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
"""Of pictures that are restored. PDAS (Section 4.2) resizes them and divides by 255."""

_UNMOVED: dict[str, Any] = {"rotation_degrees": 0.0, "shift": 0.0, "scale": (1.0, 1.0)}
_FLIP = 0.5


def choose_preparation(draft: SettingsDraft, *, repeats: bool) -> None:
    """Bring pictures that are restored to 64 x 64 pixels, stretched, and to 0 to 1, as in PDAS.

    They are augmented by flips alone, as all else puts black beside what a network is to learn. What recipes for other
    tasks say of metrics between 0 and 1, of guesses and of label maps is left out.

    Raises:
        SettingsError: cutout was asked for, which would take pixels from what is to be learned.
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
    """The augmentation without what the user did not give."""
    table = "training.augmentation"
    given = {name.removeprefix(f"{table}.") for name in user_set if name.startswith(f"{table}.")}
    if table in user_set and not given:
        return augmentation
    usual = {**_UNMOVED, "crop": 0, "cutout": 0, "flip": _FLIP}
    if given.isdisjoint({"probability", *_UNMOVED}):
        usual["probability"] = 0.0
    return {**augmentation, **{name: value for name, value in usual.items() if name not in given}}


def choose_masks(draft: SettingsDraft) -> None:
    """What is missing of pictures that are restored; these are normalised to what PSNR counts from.

    Raises:
        SettingsError: another normalisation.
    """
    if draft.images.normalise != "unit":
        raise SettingsError(
            f"images.normalise is {draft.images.normalise}, but PSNR is that of pictures from 0 (black) to 1 "
            "(white): take unit."
        )
    draft.change({"inpainting": (draft.inpainting or MaskSettings()).to_dict()})
