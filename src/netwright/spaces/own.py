"""A user's own search space, by the name of its class: ``package.module:Class``."""

from __future__ import annotations

import inspect
from typing import Any

from optuna.distributions import BaseDistribution

from netwright.errors import SettingsError
from netwright.execution.interrupts import passes
from netwright.own_code.loading import OwnCode, load, told
from netwright.spaces.base import Space

REQUIRED = ("name", "distributions", "starting_choice", "canonical", "build", "describe", "diagrams")
"""What every space has; see `netwright.spaces.base.Space`."""


def own(
    code: str,
    channels: int,
    classes: int,
    size: tuple[int, ...],
    *,
    dense: bool | None = None,
    folder: str | None = None,
) -> Space:
    """A space that a class or function of the user makes.

    Args:
        code: your own space, ``package.module:Class``; ``--space``. The class or function makes a space, and takes any
            of channels, classes, size and dense as keywords. The current directory is importable.
        channels: channels of the image; a run fills it in.
        classes: classes of the output, with the background; a run fills it in.
        size: size of the image in voxels; a run fills it in.
        dense: whether every voxel gets a label, or the whole image one; a run fills it in.
        folder: absolute path of the module's folder when the run began; None: the module is installed, or in the
            current directory; a run fills it in.

    Raises:
        SettingsError: there is no such class, it cannot be called like this, or what it makes is no space.
    """
    maker = load(OwnCode("space", code, folder))
    known = {"channels": channels, "classes": classes, "size": tuple(size), "dense": dense}
    taken = inspect.signature(maker).parameters
    try:
        space: Any = maker(**{name: value for name, value in known.items() if name in taken})
    except TypeError as error:
        raise SettingsError(
            f"space: {code} cannot be made: {error}. It gets those of {', '.join(known)} that it takes; give its other "
            "parameters defaults."
        ) from error
    except BaseException as error:
        if passes(error):
            raise
        raise SettingsError(f"space: {code} cannot be made: {told(error)}.") from error
    lacking = [name for name in REQUIRED if not hasattr(space, name)]
    if lacking:
        raise SettingsError(
            f"space: {code} makes a {type(space).__name__} without {', '.join(lacking)}. Add it."
        )
    _require_dimensions(code, space)
    made: Space = space
    return made


def _require_dimensions(code: str, space: Space) -> None:
    try:
        dimensions, start = space.distributions(), space.starting_choice()
    except BaseException as error:
        if passes(error):
            raise
        raise SettingsError(
            f"space: distributions() or starting_choice() of {code} failed: {told(error)}."
        ) from error
    wrong = [name for name, one in dimensions.items() if not isinstance(one, BaseDistribution)]
    if wrong or not dimensions:
        raise SettingsError(
            f"space: distributions() of {code} has {repr(wrong[0]) + ' without one' if wrong else 'no dimension'}; "
            "expected Optuna's distributions by name, such as IntDistribution(1, 4)."
        )
    if set(start) != set(dimensions):
        raise SettingsError(
            f"space: starting_choice() of {code} has {', '.join(start) or 'nothing'}; expected a value for each of "
            f"{', '.join(dimensions)}."
        )
