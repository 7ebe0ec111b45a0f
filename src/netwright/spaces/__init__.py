"""Search spaces: distributions of choices, and a network for every choice. `SPACES` lists them by name."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, cast

from netwright.errors import SettingsError
from netwright.own_code.loading import OwnCode
from netwright.spaces.base import Choice, Diagram, Edge, Node, SetsTraining, Space, TaskShape, Value
from netwright.spaces.kinds import KINDS
from netwright.spaces.layerwise.makers import FILLED_IN
from netwright.spec import Maker, Spec, entry_of, make, require_options

SPACES: dict[str, Callable[..., Space]] = {name: kind.maker for name, kind in KINDS.items()}
"""Name to maker. A maker takes the space's settings as keyword arguments."""


def make_space(spec: Spec) -> Space:
    """Make the search space with the given name and options.

    Raises:
        SettingsError: the name or an option is unknown, or a value is wrong.
    """
    maker = space_maker(spec)
    space: Space = make("space", spec, maker)
    return space


def space_maker(spec: Spec) -> Maker:
    """The function that makes the space; its keywords are the space's options.

    Raises:
        SettingsError: the name or an option is unknown.
    """
    maker = entry_of("space", SPACES, spec.name, "One of your own is named package.module:Class.")
    known = inspect.signature(maker).parameters
    if [name for name in spec.options if name not in known] == ["network"]:
        raise SettingsError(
            f"The space {spec.name!r} takes no network of yours. Give --network with the recipe marl, or without "
            "--recipe."
        )
    require_options("space", spec, maker, filled_in_options(spec.name))
    return maker


def filled_in_options(name: str) -> tuple[str, ...]:
    """The options that a run fills in for the space of that name. They are offered to nobody."""
    return FILLED_IN if "classes" in inspect.signature(SPACES[name]).parameters else ()


def code_of(spec: Spec) -> OwnCode | None:
    """The user's code that a space names; None where its networks are netwright's own."""
    option, options = code_option(spec), spec.options
    named = None if option is None else options.get(option)
    if not isinstance(named, str):
        return None
    return OwnCode("network" if option == "network" else "space", named, options.get("folder"))


def code_option(spec: Spec) -> str | None:
    """The option of a space that names a user's code; None: it has none."""
    maker = SPACES.get(spec.name)
    taken = () if maker is None else inspect.signature(maker).parameters
    return next((name for name in ("network", "code") if name in taken), None)


def takes_task(spec: Spec) -> bool:
    """Whether a space needs channels, classes and size before it can be made."""
    return spec.name in SPACES and bool(filled_in_options(spec.name))


def same_space(one: Spec, other: Spec) -> bool:
    """Whether two runs search the same networks.

    A user's own network may be in another folder, and runs of old versions have no fingerprint.
    """
    left_out = {"folder"}
    if None in (one.options.get("fingerprint"), other.options.get("fingerprint")):
        left_out.add("fingerprint")
    first, second = (
        {name: value for name, value in spec.options.items() if name not in left_out} for spec in (one, other)
    )
    return (one.name, first) == (other.name, second)


def network_builder(
    spec: Spec, choice: Mapping[str, Any], reference: str | None = None
) -> Callable[[TaskShape], Any]:
    """A function that makes the network for a task.

    Args:
        spec: the space.
        choice: one of its choices.
        reference: the name of a hand-made network to use instead of the choice.
    """
    return _Builder(spec, choice, reference)


class _Builder:
    """Makes a network for a task; see `network_builder`. Another process that reads it makes the space anew."""

    def __init__(self, spec: Spec, choice: Mapping[str, Any], reference: str | None) -> None:
        self._given = (spec, dict(choice), reference)
        self._build = _build_of(*self._given)

    def __call__(self, task: TaskShape) -> Any:
        return self._build(task)

    def __reduce__(self) -> tuple[Any, ...]:
        return _Builder, self._given


def _build_of(spec: Spec, choice: Mapping[str, Any], reference: str | None) -> Callable[[TaskShape], Any]:
    if reference is not None:
        from netwright.spaces.references import REFERENCES

        build = REFERENCES[reference].build
        return build if spec.options.get("low_resolution") is None else functools.partial(_of_images, build)
    return functools.partial(make_space(spec).build, choice)


def _of_images(build: Callable[[TaskShape], Any], task: TaskShape) -> Any:
    """A hand-made network for images alone, where half of the task's channels are their surroundings."""
    from netwright.spaces.auto.two_stages import WithoutSurroundings

    channels = task.channels // 2
    return WithoutSurroundings(build(cast(TaskShape, replace(cast(Any, task), channels=channels))))


__all__ = [
    "SPACES",
    "Choice",
    "Diagram",
    "Edge",
    "Node",
    "SetsTraining",
    "Space",
    "TaskShape",
    "Value",
    "code_of",
    "code_option",
    "filled_in_options",
    "make_space",
    "network_builder",
    "same_space",
    "space_maker",
    "takes_task",
]
