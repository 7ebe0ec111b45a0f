"""Label maps that number objects, as GlaS and cell tracking have them, and name no classes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from netwright.data.issues import Problem
from netwright.data.volumes.labels import mapped

_FEWEST_NUMBERS = 4
_FEWEST_COUNTS = 3
_MOST = 0.9


def numbered_objects(
    folder: Path, values_of_each: Sequence[Collection[int]], map_label: Mapping[int, int]
) -> list[Problem]:
    """A warning where the values of label maps look like numbers of objects: 1, 2, ... without a gap in almost each of
    them, and not as many in all: fewer than half hold the most. Of labels for organs, most maps hold all.

    Args:
        folder: of the label maps.
        values_of_each: the values that each holds.
        map_label: value -> value to take instead.
    """
    held = [{mapped(value, map_label) for value in values} - {0} for values in values_of_each]
    held = [values for values in held if values and min(values) > 0]
    in_order = [len(values) for values in held if max(values) == len(values)]
    counts = set(in_order)
    most = max(counts, default=0)
    if most < _FEWEST_NUMBERS or len(counts) < _FEWEST_COUNTS or len(in_order) < _MOST * len(held):
        return []
    if 2 * in_order.count(most) >= len(held):
        return []
    joined = ",".join(f"{value}=1" for value in range(2, most + 1))
    return [
        Problem(
            "warning",
            str(folder),
            "holds label maps whose values may be the numbers of objects",
            expected="a value for each label, the same in all of them",
            found=f"1, 2, ... without gaps, as in numbered objects, up to {most}",
            advice=f"They are read as {most} labels. If each is an object, join them into one: --map-label {joined}.",
            kind="numbered-objects",
        )
    ]
