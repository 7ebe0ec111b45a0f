"""What the data tells the spaces of `auto`."""

from __future__ import annotations

from collections.abc import Sequence

from netwright.errors import SettingsError


def require_shape(
    space: str, channels: int, classes: int, size: Sequence[int], dimensions: Sequence[int]
) -> None:
    """Refuse data without channels or classes, or of another number of dimensions than one of ``dimensions``.

    Args:
        space: its name, for the error.
        channels: of the images.
        classes: of the output.
        size: of the images.
        dimensions: the numbers of dimensions that are possible.

    Raises:
        SettingsError: naming the value.
    """
    for name, value in (("channels", channels), ("classes", classes)):
        if type(value) is not int or value < 1:
            raise SettingsError(f"{name}: expected a whole number of at least 1, got {value!r}.")
    if (
        not isinstance(size, list | tuple)
        or len(size) not in dimensions
        or any(type(length) is not int or length < 1 for length in size)
    ):
        raise SettingsError(
            f"size: the space {space!r} is for images of {' or '.join(map(str, dimensions))} dimensions, each at least "
            f"one pixel long, got {size!r}."
        )
