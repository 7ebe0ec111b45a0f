"""A named component with its options, and how it is made of them: a search space, a strategy."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Collection, Mapping
from typing import Any, Protocol, TypeVar

from netwright.errors import SettingsError

Entry = TypeVar("Entry")
Maker = Callable[..., Any]


class Spec(Protocol):
    """A component as settings name it.

    A protocol, as strategies know no pydantic: in a run it is a `netwright.settings.SpecSettings`.
    """

    @property
    def name(self) -> str:
        """Its key in the registry."""

    @property
    def options(self) -> dict[str, Any]:
        """The keyword arguments of its maker."""


def entry_of(kind: str, registry: Mapping[str, Entry], name: str) -> Entry:
    """The entry with that name.

    Args:
        kind: what the entries are, in one word, for the message.
        registry: the entries by name.
        name: to look up.

    Raises:
        SettingsError: there is none; the message offers others.
    """
    if name not in registry:
        near = difflib.get_close_matches(name, registry, n=1)
        advice = f"Did you mean {near[0]}? " if near else ""
        raise SettingsError(f"There is no {kind} {name!r}. {advice}There are: {', '.join(registry)}.")
    return registry[name]


def require_options(kind: str, spec: Spec, maker: Maker, filled_in: Collection[str] = ()) -> None:
    """Refuse options that the maker does not take.

    Args:
        kind: as in `entry_of`.
        spec: the component.
        maker: its maker.
        filled_in: options that netwright sets itself and that the message therefore does not offer.

    Raises:
        SettingsError: an option is unknown; the message names those that there are.
    """
    known = inspect.signature(maker).parameters
    unknown = [name for name in spec.options if name not in known]
    if unknown:
        free = ", ".join(name for name in known if name not in filled_in)
        raise SettingsError(f"{kind} {spec.name!r} has no option {unknown[0]!r}. It has: {free or 'none'}.")


def make(kind: str, spec: Spec, maker: Maker, options: Mapping[str, Any] | None = None) -> Any:
    """Make the component: its maker gets the options as keywords, lists as tuples.

    Args:
        kind: as in `entry_of`.
        spec: the component.
        maker: its maker.
        options: in place of those of ``spec``.

    Raises:
        SettingsError: a value is wrong.
    """
    given = spec.options if options is None else dict(options)
    try:
        return maker(**{name: _tuples(value) for name, value in given.items()})
    except (TypeError, ValueError) as error:
        raise SettingsError(f"{kind} {spec.name!r} cannot be made of {given}: {error}") from None


def _tuples(value: Any) -> Any:
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value
