"""Units of length, as headers spell them."""

from __future__ import annotations

from typing import NamedTuple


class Unit(NamedTuple):
    """A unit of length: its ``name`` in messages, of several, and how many ``millimetres`` it has."""

    name: str
    millimetres: float


UNITS: dict[str, Unit] = {
    "pm": Unit("picometres", 1e-9),
    "å": Unit("angstroms", 1e-7),
    **dict.fromkeys(("nm", "nanometer", "nanometers"), Unit("nanometres", 1e-6)),
    **dict.fromkeys(
        ("um", "µm", "μm", "micron", "microns", "micrometer", "micrometers"), Unit("micrometres", 1e-3)
    ),
    **dict.fromkeys(("mm", "millimeter", "millimeters"), Unit("millimetres", 1.0)),
    **dict.fromkeys(("cm", "centimeter", "centimeters"), Unit("centimetres", 10.0)),
    **dict.fromkeys(("m", "meter", "meters"), Unit("metres", 1e3)),
    **dict.fromkeys(("in", "inch", "inches"), Unit("inches", 25.4)),
}
"""By their spelling in small letters. Pixels are no unit of length."""
