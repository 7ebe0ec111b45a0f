"""A named component with its options, and how it is made of them: a search space, a strategy."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Collection, Mapping
from typing import Any, Protocol, TypeVar

from netwright.docstrings import argument_descriptions
from netwright.errors import SettingsError
from netwright.setting_fields import LONGEST_QUOTED, brief, quoted

Entry = TypeVar("Entry")
Maker = Callable[..., Any]

NEAREST = 2
"""How many options are offered for one that does not exist."""


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


def entry_of(kind: str, registry: Mapping[str, Entry], name: str, own: str = "") -> Entry:
    """The entry with that name.

    Args:
        kind: what the entries are, in one word, for the message.
        registry: the entries by name.
        name: to look up.
        own: how one of the user's own is named instead, a sentence for the message.

    Raises:
        SettingsError: there is none; the message offers others.
    """
    if name not in registry:
        near = difflib.get_close_matches(name, registry, n=1)
        advice = f"Did you mean {near[0]}? " if near else ""
        there = f"There is no {kind} {name!r}. {advice}There are: {', '.join(registry)}."
        raise SettingsError(f"{there} {own}".rstrip())
    return registry[name]


def title_of(spec: Spec) -> str:
    """What a component is called in tables: one of the user's own by the name of its class."""
    code = spec.options.get("code")
    return code if isinstance(code, str) else spec.name


def require_options(
    kind: str,
    spec: Spec,
    maker: Maker,
    filled_in: Collection[str] = (),
    descriptions: Mapping[str, str] | None = None,
) -> None:
    """Refuse options that the maker does not take. One that takes any refuses what it does not know itself.

    Args:
        kind: as in `entry_of`.
        spec: the component.
        maker: its maker.
        filled_in: options that netwright sets itself and that the message therefore does not offer.
        descriptions: of the options; None: those in the maker's docstring.

    Raises:
        SettingsError: an option is unknown; the message describes those with a similar name, and names all.
    """
    known = inspect.signature(maker).parameters
    unknown = [name for name in spec.options if name not in known]
    if unknown and not any(parameter.kind is parameter.VAR_KEYWORD for parameter in known.values()):
        told = argument_descriptions(maker) if descriptions is None else descriptions
        free = {name: told.get(name, "") for name in known if name not in filled_in}
        raise unknown_option(f"{kind} {spec.name!r}", unknown[0], free)


def unknown_option(owner: str, name: str, descriptions: Mapping[str, str]) -> SettingsError:
    """The error for an option that does not exist.

    Args:
        owner: what was given the option, as the message names it.
        name: of the unknown option.
        descriptions: of the options that there are, by name.

    Example:
        >>> print(unknown_option("strategy 'x'", "rates", {"rate": "steps in a second", "size": "in mm"}))
        strategy 'x' has no option 'rates'. Did you mean rate (steps in a second)? It has: rate, size.
    """
    near = [known for known in descriptions if known.startswith(name) or name.startswith(known)]
    near += [known for known in difflib.get_close_matches(name, descriptions) if known not in near]
    described = [
        f"{known} ({brief(text, LONGEST_QUOTED)})" if (text := descriptions[known]) else known
        for known in near[:NEAREST]
    ]
    advice = f"Did you mean {' or '.join(described)}? " if described else ""
    return SettingsError(
        f"{owner} has no option {name!r}. {advice}It has: {', '.join(descriptions) or 'none'}."
    )


def make(
    kind: str,
    spec: Spec,
    maker: Maker,
    options: Mapping[str, Any] | None = None,
    descriptions: Mapping[str, str] | None = None,
) -> Any:
    """Make the component: its maker gets the options as keywords, lists as tuples.

    Args:
        kind: as in `entry_of`.
        spec: the component.
        maker: its maker.
        options: in place of those of ``spec``.
        descriptions: of the options; None: those in the maker's docstring.

    Raises:
        SettingsError: a value is wrong. The message tells what the option is, if it begins with its name and the
            description is short.
    """
    given = spec.options if options is None else dict(options)
    try:
        return maker(**{name: _tuples(value) for name, value in given.items()})
    except (TypeError, ValueError) as error:
        raise SettingsError(f"{kind} {spec.name!r} cannot be made of {given}: {error}") from None
    except SettingsError as error:
        name = str(error).partition(" ")[0].rstrip(":")
        told = argument_descriptions(maker) if descriptions is None else descriptions
        if name not in given:
            raise
        raise type(error)(f"{error}{quoted(name, told.get(name, ''))}") from error


def _tuples(value: Any) -> Any:
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value
