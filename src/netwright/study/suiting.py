"""Whether a space suits the data: slices are turned on or off for it, and what cannot be is refused early."""

from __future__ import annotations

from collections.abc import Collection

from netwright.data.classification.dataset import ImageSet
from netwright.data.dataset import Dataset
from netwright.data.slices import SliceSettings
from netwright.errors import SettingsError
from netwright.settings import RunSettings
from netwright.spaces.kinds import KINDS, spaces_for
from netwright.study.fitting import is_flat, kind_of


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
