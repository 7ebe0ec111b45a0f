"""Whether the space suits the data, and whether networks get volumes whole or slice by slice."""

from __future__ import annotations

from netwright.data.volumes.slices import SliceSettings
from netwright.errors import SettingsError
from netwright.planning.context import Context
from netwright.planning.draft import Draft
from netwright.spaces.kinds import KINDS, spaces_for
from netwright.tasks import TASKS


def choose_slices(draft: Draft, context: Context) -> None:
    """Turn ``slices`` on for 2D networks on volumes, and off for 3D ones, unless the user set them.

    Raises:
        SettingsError: the space is for another task or number of dimensions; those that suit are named.
    """
    dataset = context.dataset
    kind, task, volumes = KINDS[draft.space.name], TASKS[dataset.task], dataset.dimensions == 3
    asked = "slices" in draft.user_set or any(name.startswith("slices.") for name in draft.user_set)
    if not asked and (kind.dimensions == (3,) if volumes else not dataset.sliceable):
        draft.change({"slices": None})
    elif not asked and volumes and kind.dimensions == (2,) and draft.slices is None:
        draft.change({"slices": SliceSettings().to_dict()})
    dimensions = 3 if volumes and draft.slices is None else 2
    if task.networks in kind.tasks and dimensions in kind.dimensions:
        return
    data = f"{task.name} of {'volumes' if volumes else 'pictures'}"
    if volumes and asked:
        data += ", whole (slices=null)" if draft.slices is None else ", slice by slice (slices)"
    # Unless the user set slices, they follow from the space, so spaces of 2D and of 3D suit volumes.
    reached = (3, 2) if volumes and not asked else (dimensions,)
    suitable = [name for count in reached for name in spaces_for(task.networks, count) if name != "own"]
    raise SettingsError(
        f"The space {draft.space.name!r} is for {kind.words()}, but {dataset.root} is for {data}. Spaces for it: "
        f"{', '.join(dict.fromkeys(suitable))}; and your own (--space package.module:Class)."
    )


def choose_slices_of_masks(draft: Draft, context: Context) -> None:
    """Pictures with masks are volumes of one slice. Other pictures have no slices.

    Raises:
        SettingsError: slices were asked for, of pictures.
    """
    dataset = context.dataset
    if dataset.sliceable and dataset.dimensions == 2 and draft.slices is None:
        draft.change({"slices": SliceSettings().to_dict()})
    if not dataset.sliceable and draft.slices is not None:
        raise SettingsError(f"slices are for volumes; this dataset has pictures for {dataset.task}.")
