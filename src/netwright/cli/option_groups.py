"""Options that belong together, stated once and given to several verbs."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from typing import Any, get_type_hints


def with_groups(verb: Callable[..., None]) -> Callable[..., None]:
    """A verb for typer whose groups of options are these options, one by one and in their place.

    A group is a parameter whose annotation is a dataclass. Its fields are the options: annotated as typer expects, with
    the defaults of the dataclass.
    """
    parameters: list[inspect.Parameter] = []
    groups: dict[str, type[Any]] = {}
    kinds = get_type_hints(verb, include_extras=True)
    for name, parameter in inspect.signature(verb).parameters.items():
        group = kinds[name]
        if not (isinstance(group, type) and is_dataclass(group)):
            parameters.append(parameter.replace(annotation=group))
            continue
        groups[name] = group
        own = get_type_hints(group, include_extras=True)
        parameters += [
            parameter.replace(name=option.name, default=option.default, annotation=own[option.name])
            for option in fields(group)
        ]

    @functools.wraps(verb)
    def expanded(**given: Any) -> None:
        for name, group in groups.items():
            given[name] = group(**{option.name: given.pop(option.name) for option in fields(group)})
        verb(**given)

    expanded.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    expanded.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return expanded


def values_of(*groups: Any) -> dict[str, Any]:
    """The options of some groups and what was given for them."""
    return {option.name: getattr(group, option.name) for group in groups for option in fields(group)}
