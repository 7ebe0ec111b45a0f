"""Settings that follow from the prepared data: its preparation, the cutout, the shape of the space."""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING, Any

from netwright.data.open import KINDS
from netwright.errors import InfeasibleArchitecture, SettingsError
from netwright.objective import read_limit
from netwright.own_code.loading import folder_of
from netwright.planning.context import Context
from netwright.planning.draft import Draft
from netwright.settings import SpecSettings
from netwright.spaces import code_of, make_space, space_maker, takes_task
from netwright.spaces.base import SetsTraining, Space, is_dense
from netwright.spaces.layerwise.networks.vgg16 import usual_units
from netwright.tasks import TASKS

if TYPE_CHECKING:
    from netwright.training.problem import NetworkTask


def keep_preparation(draft: Draft, context: Context) -> None:
    """Keep the settings of the preparation, with the values that it chose."""
    prepared = context.prepared
    draft.change({KINDS[prepared.kind].setting: prepared.settings.to_dict()})


def choose_low_resolution(draft: Draft, _: Context) -> None:
    """Keep no volumes at low resolution where the space has no first stage for them.

    Raises:
        SettingsError: the user asked for them.
    """
    wanted = draft.preprocessing.low_resolution
    if wanted is None:
        return
    staged = (
        takes_task(draft.space) and "low_resolution" in inspect.signature(space_maker(draft.space)).parameters
    )
    if staged and draft.slices is None:
        return
    if "preprocessing.low_resolution" in draft.user_set:
        reason = (
            "networks see one slice at a time"
            if staged
            else f"the space {draft.space.name!r} has no first stage"
        )
        raise SettingsError(
            f"preprocessing.low_resolution is {wanted}, but {reason}. Leave it out, or take the space encoder-decoder "
            "for whole volumes."
        )
    draft.change({"preprocessing.low_resolution": None})


def limit_cutout(draft: Draft, context: Context) -> None:
    """Limit the cutout to half of the image's shorter side, which is the ratio for CIFAR (16 of 32 pixels).

    Raises:
        SettingsError: the user set one that hides whole images.
    """
    augmentation, side = draft.training.augmentation, min(context.task.size)
    name = "training.augmentation.cutout"
    if augmentation is None or 2 * augmentation.cutout <= side:
        return
    if name not in draft.user_set:
        draft.change({name: side // 2})
    elif augmentation.cutout >= 2 * side:
        raise SettingsError(
            f"{name} is {augmentation.cutout}, which hides images of {side} pixels whole. Take {side // 2} or less."
        )


def shape_space(draft: Draft, context: Context) -> None:
    """Fill in the space's options for channels, classes, size and spacing.

    For a user's network also its folder and fingerprint.

    Raises:
        SettingsError: the user set another shape, or the space is not for such data.
    """
    if not takes_task(draft.space):
        _require_buildable(make_space(draft.space), context.task)
        return
    draft.change({"space": _shaped(draft, context)})


def _shaped(draft: Draft, context: Context) -> dict[str, Any]:
    spec, task = draft.space, context.task
    shape: dict[str, Any] = {"channels": task.channels, "classes": task.classes, "size": list(task.size)}
    shape["dense"] = is_dense(task)
    parameters = inspect.signature(space_maker(spec)).parameters
    if "spacing" in parameters:
        shape["spacing"] = _spacing(context)
    if "low_resolution" in parameters:
        factors = draft.preprocessing.coarse_factors
        shape["low_resolution"] = None if factors is None else list(factors)
    for name, value in shape.items():
        if f"space.{name}" in draft.user_set and spec.options[name] != value:
            raise SettingsError(
                f"space.{name} is {spec.options[name]}, but it is filled in from the data, where it is {value}. "
                "Leave it out."
            )
    options = {**spec.model_dump(mode="json"), **shape}
    if "mirroring" in parameters and "space.mirroring" not in draft.user_set and _has_sides(task):
        options["mirroring"] = False
    if "units" in options and options["units"] is None:
        options["units"] = usual_units(task.size)
    code = code_of(spec)
    if code is not None:
        options["folder"] = folder_of(code)
    if code is not None and "fingerprint" in parameters:
        options["fingerprint"] = None
        options["fingerprint"] = getattr(make_space(SpecSettings(**options)), "fingerprint", None)
    return options


def _has_sides(task: NetworkTask) -> bool:
    """Whether a label, region or class is called left or right: a mirrored image would have it on the wrong side."""
    regions = [region.name for region in getattr(task, "regions", ())]
    names = (*getattr(task, "label_names", ()), *getattr(task, "class_names", ()), *regions)
    words = {word for name in names for word in re.findall("[a-z]+", name.lower())}
    return bool(words & {"left", "right"})


def _spacing(context: Context) -> list[float] | None:
    """Of the voxels of volumes in mm; None: pictures and slices, whose pixels are taken for squares."""
    spacing = getattr(context.prepared, "spacing", None)
    return list(spacing) if spacing is not None and len(spacing) == len(context.task.size) else None


def _require_buildable(space: Space, task: NetworkTask) -> None:
    try:
        space.build(space.starting_choice(), task)
    except InfeasibleArchitecture as error:
        raise SettingsError(
            f"The space {space.name!r} is not for this dataset. {error} Use the space of another recipe: "
            "'netwright recipes' lists what each is for."
        ) from None


def require_own_training(draft: Draft, _: Context) -> None:
    """Refuse settings of the training that the space chooses for each network.

    Raises:
        SettingsError: naming one.
    """
    space = make_space(draft.space)
    if not isinstance(space, SetsTraining):
        return
    for name in space.training(space.starting_choice()):
        given = sorted(known for known in draft.user_set if f"{known}.".startswith(f"training.{name}."))
        if given:
            raise SettingsError(
                f"{given[0]} was set, but the space {draft.space.name!r} chooses it for each network. Leave it out, or "
                "fix the dimension that it follows from with --set space.fixed={NAME: VALUE}: docs/settings.md."
            )


def require_validation_labels(draft: Draft, context: Context) -> None:
    """Refuse an objective for a label that no validation case has.

    Raises:
        SettingsError: it names the label.
    """
    objective = draft.objective
    asked = {objective.metric, *(read_limit(text).name for text in objective.limits)}
    _, validation = context.cases
    undefined = TASKS[context.prepared.task].undefined_metrics(context.prepared, validation)
    for metric, name in undefined.items():
        if metric in asked:
            raise SettingsError(
                f"The objective asks for {metric}, but none of the validation cases has the label {name}. Take "
                "another seed or split, which split the cases differently, or another objective."
            )
