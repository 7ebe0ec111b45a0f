"""What the values of masks mean across files: a colour is one label in all of them, and blur is no label."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from netwright.data.io.bounds import room_for
from netwright.data.io.masks import mask_size, read_coloured_mask, read_mask
from netwright.data.io.whole_labels import value_text, whole_labels
from netwright.data.issues import Problem, UnusableFile
from netwright.data.volumes.labels import count_values, mapped
from netwright.errors import DatasetError

Colour = tuple[int, int, int]

_BLACK = (0, 0, 0)
_FEWEST_BETWEEN = 3
"""Fewer values than this that lie at edges alone may be labels, such as that of an outline."""

_RIPPLE = 3
"""Values this near to blurred ones are what JPEG of high quality makes of a label."""

_LOOKED_AT = 20
"""At most this many masks are searched for blur."""


@dataclass(frozen=True)
class MaskFacts:
    """What a mask holds: its values, and the colours that its palette, or black and white, gives them; or why it
    cannot be read."""

    path: Path
    values: frozenset[int] = frozenset()
    colours: Mapping[int, Colour] = field(default_factory=dict)
    problem: Problem | None = None


def mask_facts(path: Path) -> MaskFacts:
    """The facts of one mask. Never raises for what the file holds."""
    try:
        with room_for(prod(mask_size(path))):
            mask = read_coloured_mask(path)
            values = count_values(whole_labels(path, mask.labels))[0].tolist()
    except UnusableFile as error:
        return MaskFacts(path, problem=error.problem)
    colours = {value: mask.colours[value] for value in values if value in mask.colours}
    return MaskFacts(path, frozenset(values), colours)


def require_some_read(root: Path, masks: Sequence[MaskFacts]) -> None:
    """Refuse masks of which none can be read, with the reason that most of them have.

    Raises:
        DatasetError: that reason.
    """
    problems = [mask.problem for mask in masks if mask.problem is not None]
    if not problems or len(problems) < len(masks):
        return
    kinds = [problem.kind for problem in problems]
    commonest = max(dict.fromkeys(kinds), key=kinds.count)
    same = [problem for problem in problems if problem.kind == commonest]
    others = len(same) - 1
    more = f"\n{others} more mask{'s have' if others > 1 else ' has'} the same problem." if others else ""
    raise DatasetError(f"{root} has no mask that can be read. {same[0]}{more}")


def palette_problems(masks: Iterable[MaskFacts], named: bool) -> dict[Path, Problem]:
    """Masks whose colours contradict those of the masks before them: one value in two colours, or one colour with two
    values; and, where the labels are not ``named``, those whose palette has black elsewhere than at the background."""
    first_of_value: dict[int, tuple[Colour, Path]] = {}
    first_of_colour: dict[Colour, tuple[int, Path]] = {}
    problems: dict[Path, Problem] = {}
    for mask in masks:
        repeated = len(set(mask.colours.values())) < len(mask.colours)
        for value, colour in mask.colours.items():
            known, where = first_of_value.setdefault(value, (colour, mask.path))
            if known != colour:
                problems.setdefault(mask.path, _two_colours(mask.path, value, colour, known, where))
            other, where = first_of_colour.setdefault(colour, (value, mask.path))
            if other != value and not repeated:
                problems.setdefault(mask.path, _two_values(mask.path, colour, value, other, where))
            if colour == _BLACK and value != 0 and mask.colours.get(0, _BLACK) != _BLACK and not named:
                problems.setdefault(mask.path, _black_label(mask.path, value, mask.colours[0]))
    return problems


def unmapped_greys(masks: Iterable[MaskFacts], map_label: Mapping[int, int]) -> dict[Path, Problem]:
    """Masks in which a palette, or black and white, shows a grey that ``map_label`` names, by a number that it does not
    bring to the same label."""
    problems: dict[Path, Problem] = {}
    for mask in masks:
        for value, (red, green, blue) in mask.colours.items():
            if not value or not red == green == blue or red not in map_label or value in map_label:
                continue
            if mapped(value, map_label) != map_label[red]:
                problems.setdefault(mask.path, _unmapped(mask.path, value, red, map_label[red]))
    return problems


def levels(masks: Iterable[MaskFacts]) -> dict[int, int]:
    """Values of palettes, and of black and white, that mean a grey which other masks hold as a number: value -> grey.

    The 1 of a bilevel mask is the 255 of an 8-bit one: both are white. It is so only where no mask has the value as a
    number, which would be a label of its own.
    """
    numbers: set[int] = set()
    greys: dict[int, int] = {}
    for mask in masks:
        numbers |= mask.values - mask.colours.keys()
        for value, (red, green, blue) in mask.colours.items():
            if value and red == green == blue:
                greys[value] = red
    if 65535 in numbers and numbers <= {0, 255, 65535}:  # white of 8 and of 16 bits
        white = min(numbers - {0})
        return {65535: white, **{value: white for value, grey in greys.items() if grey == 255}}
    return {value: grey for value, grey in greys.items() if grey in numbers and value not in numbers}


def refuse_blur(folder: Path, masks: Sequence[MaskFacts], values: Collection[int]) -> None:
    """Refuse masks whose edges are blurred: between two values lie pixels of many others, in no area of their own.

    Args:
        folder: of the masks.
        masks: their files.
        values: that occur in them.

    Raises:
        DatasetError: they are.
    """
    if len(values) < 4:
        return
    counts = {value: np.zeros(3, np.int64) for value in values}
    for mask in [mask for mask in masks if len(mask.values) > 2][:_LOOKED_AT]:
        for value, of_mask in _between(whole_labels(mask.path, read_mask(mask.path))).items():
            counts[value] += of_mask
    blurred = sorted(value for value, (pixels, between, _) in counts.items() if between > 0.5 * pixels)
    solid = sorted(value for value, (*_, inner) in counts.items() if inner and value not in blurred)
    rippled = {value for value in solid if any(abs(value - other) <= _RIPPLE for other in blurred)}
    if len(blurred) < _FEWEST_BETWEEN and len(rippled) < 2:
        return
    raise DatasetError(
        f"{folder} holds masks with blurred edges: expected few values, one for each label, found {len(values)}, "
        f"of which {value_text(np.array(blurred))} lie between others at edges, and in no area of their own. Resizing "
        "with interpolation and JPEG leave such values, which are no labels. Export the masks again without "
        f"(nearest neighbour, PNG), or bring each pixel to the nearest of the values that are meant "
        f"({value_text(np.array(solid))}?). "
        "If they are labels, name each in `labels` of a dataset.json."
    )


def _between(labels: NDArray[np.int64]) -> dict[int, NDArray[np.int64]]:
    """Three counts of pixels for each value of a mask (H, W).

    All pixels; those between other values (the 3 x 3 pixels around are not all equal, and the 5 x 5 pixels have both a
    lower and a higher value); and those within an area of their own value.
    """
    from scipy import ndimage  # takes long to import, and is needed for few datasets

    inner = (ndimage.minimum_filter(labels, 3) == labels) & (ndimage.maximum_filter(labels, 3) == labels)
    edge = (
        (ndimage.minimum_filter(labels, 5) < labels) & (ndimage.maximum_filter(labels, 5) > labels) & ~inner
    )
    result = {}
    for value in np.unique(labels):
        here = labels == value
        result[int(value)] = np.array([np.count_nonzero(which & here) for which in (here, edge, inner)])
    return result


def _two_colours(path: Path, value: int, colour: Colour, known: Colour, where: Path) -> Problem:
    return _other_palette(
        path,
        f"{value} in the colour {_words(known)}, as in {where.name}",
        f"{value} in the colour {_words(colour)}",
    )


def _two_values(path: Path, colour: Colour, value: int, other: int, where: Path) -> Problem:
    return _other_palette(
        path,
        f"the colour {_words(colour)} as {other}, as in {where.name}",
        f"that colour as {value}",
    )


def _other_palette(path: Path, expected: str, actual: str) -> Problem:
    return Problem(
        "error",
        str(path),
        "is a mask with another palette than others",
        expected=expected,
        found=actual,
        advice="One number would mean two things. Programs that choose a palette for each file (quantize, ADAPTIVE) "
        "leave such masks: save all with one palette, or as 8-bit grey with the numbers of the labels.",
        kind="palette",
    )


def _unmapped(path: Path, value: int, grey: int, label: int) -> Problem:
    return Problem(
        "error",
        str(path),
        f"is a mask that shows the grey {grey} by the number {value}",
        expected=f"the label {label}, as which --map-label reads {grey}",
        found=f"{value} in a palette, or in black and white",
        advice=f"Say what {value} means: --map-label {grey}={label},{value}={label} where it is the same.",
        kind="palette",
    )


def _black_label(path: Path, value: int, background: Colour) -> Problem:
    return Problem(
        "error",
        str(path),
        f"is a mask whose palette has black as {value}",
        expected="background as 0, and black as 0 where it is in the palette",
        found=f"the colour {_words(background)} as 0",
        advice="Background and a label may have changed places. Save the masks with the background as 0; or, where 0 "
        "is the background, say so by naming all labels in `labels` of a dataset.json.",
        kind="palette-order",
    )


def _words(colour: Colour) -> str:
    return {_BLACK: "black", (255, 255, 255): "white"}.get(colour, str(colour))
