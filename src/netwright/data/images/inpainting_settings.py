"""The settings of the masks, apart from them so that reading settings needs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar, Literal, get_args

from netwright.errors import SettingsError
from netwright.setting_fields import setting

Mask = Literal["center", "pixel", "half"]


@dataclass(frozen=True)
class MaskSettings:
    """What is missing of a picture (PDAS, Section 4.2); survives a round trip through JSON.

    PDAS gives no size of the block; 0.5 is that of Yeh et al. ("Semantic Image Inpainting with Deep Generative
    Models", CVPR 2017), whose masks it takes. Both papers leave out 80 % of the pixels.

    Raises:
        SettingsError: an unknown mask, or a share that is not between 0 and 1.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid", "allow_inf_nan": False}

    mask: Mask = setting(
        "center",
        "what is missing: `center`: a central block; `pixel`: single pixels at random; `half`: the left, "
        "right, upper or lower half, at random",
    )
    center: float = setting(0.5, "height and width of the block, as shares of the picture's", over=0, under=1)
    pixel: float = setting(0.8, "share of the pixels that are missing", over=0, under=1)
    half: float = setting(0.5, "share of the height or width that is missing", over=0, under=1)

    def __post_init__(self) -> None:
        if self.mask not in get_args(Mask):
            raise SettingsError(
                f"inpainting.mask is {self.mask!r}: expected one of {', '.join(get_args(Mask))}."
            )
        for name in get_args(Mask):
            share = getattr(self, name)
            if not 0 < share < 1:
                raise SettingsError(f"inpainting.{name} must be a share over 0 and under 1, got {share}.")

    def words(self) -> str:
        """What is missing, for tables."""
        if self.mask == "pixel":
            return f"{100 * self.pixel:g} % of the pixels, at random"
        if self.mask == "half":
            return f"{100 * self.half:g} % at the left, right, top or bottom, at random"
        return f"a central block of {100 * self.center:g} % of height and width"

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> MaskSettings:
        """The inverse of `to_dict`; unknown keys of a newer version are ignored."""
        names = (field.name for field in fields(cls))
        return cls(**{name: values[name] for name in names if name in values})
