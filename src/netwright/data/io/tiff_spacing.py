"""The size of the voxels in a stack of TIFF pages: by a JSON file beside it, by OME-XML, or by ImageJ's description."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from netwright.data.files import is_file, read_json
from netwright.data.io.units import UNITS
from netwright.data.issues import Problem, UnusableFile, enumerate_words

Edges = tuple[float, float, float]
"""Along X, Y and Z, in mm."""

_MOST_JSON_BYTES = 1 << 22
"""A larger file beside a stack is no list of three numbers: it is not looked at."""

_CHANNEL = re.compile(r"_\d{4}$")
_ESCAPED = re.compile(r"\\u([0-9a-fA-F]{4})")


def spacing_of(path: Path, file: Any) -> Edges | None:
    """The edges of the voxels; None where nothing says all three of them in a unit of length.

    Args:
        path: of the stack.
        file: the same, opened with tifffile.

    Raises:
        UnusableFile: the JSON file beside it cannot be read, or gives no three lengths.
    """
    beside = _beside(path)
    if beside is not None:
        return _of_json(*beside)
    if file.is_ome:
        return _of_ome(file.ome_metadata)
    if file.is_imagej:
        return _of_imagej(file.imagej_metadata or {}, file.pages[0])
    return None


def spacing_file(path: Path) -> Path | None:
    """The JSON file that gives a stack's ``spacing``, as nnU-Net has it: ``a.json`` for ``a.tif`` or ``a_0000.tif``.

    None where there is none, or it holds something else.

    Raises:
        UnusableFile: it is no JSON file.
    """
    beside = _beside(path)
    return None if beside is None else beside[0]


def _beside(path: Path) -> tuple[Path, Any] | None:
    """The JSON file beside a stack, and its ``spacing``."""
    for name in dict.fromkeys((path.stem, _CHANNEL.sub("", path.stem))):
        beside = path.with_name(f"{name}.json")
        if not is_file(beside) or beside.stat().st_size > _MOST_JSON_BYTES:
            continue
        contents = read_json(
            beside, "a JSON file, as it lies beside a TIFF of the same name", "Correct or remove it."
        )
        if isinstance(contents, dict) and "spacing" in contents:
            return beside, contents["spacing"]
    return None


def _of_json(path: Path, given: Any) -> Edges:
    """nnU-Net gives the edges in the order of the array, which is Z, Y, X, without a unit: they are taken for mm."""
    lengths = given if isinstance(given, list) and len(given) == 3 else []
    if not lengths or not all(isinstance(edge, int | float) and _is_length(edge) for edge in lengths):
        raise UnusableFile(
            Problem(
                "error",
                str(path),
                "gives no size of voxels",
                expected='three edges above 0 mm along Z, Y and X, for example {"spacing": [2, 0.5, 0.5]}',
                found=repr(given)[:100],
                advice="Correct the file, or remove it if the TIFF itself has the size of its voxels.",
                kind="spacing-file",
            )
        )
    z, y, x = (float(edge) for edge in lengths)
    return x, y, z


def _of_ome(xml: str) -> Edges | None:
    pixels = next(
        (one for one in ElementTree.fromstring(xml).iter() if one.tag.rpartition("}")[2] == "Pixels"), None
    )
    if pixels is None:
        return None
    sizes = [
        (pixels.get(f"PhysicalSize{axis}", ""), pixels.get(f"PhysicalSize{axis}Unit", "µm")) for axis in "XYZ"
    ]
    return _edges([(_number(length), unit) for length, unit in sizes])


def _of_imagej(description: Mapping[str, Any], page: Any) -> Edges | None:
    """ImageJ gives the pixels a unit in two tags. It leaves out the distance of slices where that is 1,
    and the units of Y and Z where they are that of X.
    """
    unit = description.get("unit", "")
    units = [unit, description.get("yunit", unit), description.get("zunit", unit)]
    distance = _number(description.get("spacing", 1))
    return _edges(list(zip([_pixel(page, 282), _pixel(page, 283), distance], units, strict=True)))


def _pixel(page: Any, tag: int) -> float:
    """The width of a pixel by the number of pixels a unit, which is a fraction; 0 where there is none."""
    value = page.tags[tag].value if tag in page.tags else (0, 1)
    numerator, denominator = value if isinstance(value, tuple) and len(value) == 2 else (0, 1)
    return denominator / numerator if numerator else 0.0


def _edges(lengths: Sequence[tuple[float, object]]) -> Edges | None:
    """In mm; None unless all three lengths and units are known."""
    units = [UNITS.get(_plain(unit)) for _, unit in lengths]
    edges = [
        length * unit.millimetres if unit else 0.0 for (length, _), unit in zip(lengths, units, strict=True)
    ]
    return (edges[0], edges[1], edges[2]) if all(map(_is_length, edges)) else None


def _plain(unit: object) -> str:
    """A unit in small letters; ImageJ writes letters that are not ASCII as ``\\u00B5``."""
    return _ESCAPED.sub(lambda match: chr(int(match[1], 16)), str(unit)).strip().lower()


def _number(value: object) -> float:
    """A number in metadata; 0 where it is none."""
    try:
        return float(str(value))
    except ValueError:
        return 0.0


def _is_length(edge: float) -> bool:
    return isfinite(edge) and 1e-9 <= edge <= 1e6


def unknown_spacing(path: Path) -> Problem:
    """A warning: nothing says how large the voxels of a stack are."""
    return Problem(
        "warning",
        str(path),
        "does not say how large its voxels are",
        expected=f"{enumerate_words(['PhysicalSizeX, Y and Z of OME-TIFF', 'spacing and unit of ImageJ'])}; or "
        f'{_CHANNEL.sub("", path.stem)}.json beside it with {{"spacing": [z, y, x]}} in mm, as nnU-Net has it',
        found="none that is complete",
        advice="They are taken for cubes of 1 mm. If slices are farther apart than pixels are wide, give the size: "
        "it decides how volumes are resampled and how networks treat the axes.",
        kind="unknown-spacing",
    )
