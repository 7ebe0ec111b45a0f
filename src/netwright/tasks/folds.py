"""Networks that were trained on different parts of one dataset, as one: what they have in common, and what not."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from netwright.data.images.settings import PicturePreparation
from netwright.data.volumes.preprocessing import Intensities, PreprocessingSettings
from netwright.errors import RunError
from netwright.tasks.base import SavedNetwork

Channels = tuple[Intensities | None, ...]
"""By what each channel is normalised; None: case by case."""


@dataclass(frozen=True)
class Joined:
    """How images are prepared for all networks, and how each network has them.

    Args:
        preprocessing: every step from a file to the input of them all.
        images: by what the channels of this input are normalised.
        members: by what those of each network were.
    """

    preprocessing: dict[str, Any]
    images: Channels
    members: tuple[Channels, ...]


def join_volumes(members: Sequence[SavedNetwork]) -> Joined:
    """Volumes: CT is cut off at the outermost bounds, and normalised by the first network's numbers.

    Raises:
        RunError: the networks prepare volumes differently otherwise.
    """
    _require_alike(members, [_without(one.preprocessing, "ct_intensities") for one in members])
    settings = [PreprocessingSettings.from_dict(one.preprocessing) for one in members]
    stages = 1 if settings[0].coarse_factors is None else 2  # surroundings are normalised as the image is
    channels = range(members[0].architecture["channels"] // stages)
    measured = [tuple(map(one.intensities_of, channels)) for one in settings]
    images = tuple(map(_outermost, zip(*measured, strict=True)))
    common = replace(settings[0], ct_intensities=images if any(images) else None)
    return Joined(common.to_dict(), images * stages, tuple(own * stages for own in measured))


def _outermost(of_members: Sequence[Intensities | None]) -> Intensities | None:
    known = [one for one in of_members if one is not None]
    if not known:
        return None
    _, _, mean, deviation = known[0]
    return min(low for low, *_ in known), max(high for _, high, *_ in known), mean, deviation


def join_pictures(members: Sequence[SavedNetwork]) -> Joined:
    """Pictures: normalised by the first network's numbers.

    Raises:
        RunError: the networks prepare pictures differently otherwise.
    """
    _require_alike(members, [_without(one.preprocessing, "means", "stds") for one in members])
    channels = [_of_pictures(PicturePreparation.from_dict(one.preprocessing)) for one in members]
    return Joined(dict(members[0].preprocessing), channels[0], tuple(channels))


def _of_pictures(preparation: PicturePreparation) -> Channels:
    pairs = zip(preparation.means, preparation.stds, strict=True)
    return tuple((-math.inf, math.inf, mean, deviation) for mean, deviation in pairs)


def _without(values: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in names}


def _require_alike(members: Sequence[SavedNetwork], prepared: Iterable[Mapping[str, Any]]) -> None:
    first, *others = prepared
    for member, other in zip(members[1:], others, strict=True):
        apart = sorted(name for name in {*first, *other} if first.get(name) != other.get(name))
        if apart:
            raise RunError(
                f"{members[0].folder} and {member.folder} cannot be used as one network: expected images that are "
                f"prepared alike, but {apart[0]} is {first.get(apart[0])!r} and {other.get(apart[0])!r}."
            )
