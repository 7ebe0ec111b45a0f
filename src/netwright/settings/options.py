"""The options of spaces and strategies as settings: ``space.NAME`` and ``strategy.NAME``."""

from __future__ import annotations

import inspect
from collections.abc import Collection
from typing import get_type_hints

from pydantic_core import to_jsonable_python

from netwright.docstrings import argument_descriptions
from netwright.settings.fields import SettingField, alternatives
from netwright.spec import Maker, entry_of
from netwright.strategies.makers import strategy_options
from netwright.strategies.own import FILLED_IN, OWN


def option_fields(component: str, name: str, variant: str | None = None) -> dict[str, SettingField]:
    """The settings that are options of a space or a strategy, by their dotted names.

    Args:
        component: "space" or "strategy".
        name: of the space or the strategy.
        variant: of the strategy; None: its default one.

    Raises:
        SettingsError: there is no such space, strategy or variant.
    """
    filled_in: Collection[str] = ()
    if component == "strategy":
        makers = strategy_options(name, variant)
        filled_in = FILLED_IN if name == OWN else ()
    else:
        from netwright.spaces import SPACES, filled_in_options  # torch takes a second to import

        maker = entry_of("space", SPACES, name)
        makers = dict.fromkeys(inspect.signature(maker).parameters, maker)
        filled_in = filled_in_options(name)
    fields = [_field(component, option, maker, option in filled_in) for option, maker in makers.items()]
    return {field.name: field for field in fields}


def _field(component: str, option: str, maker: Maker, filled_in: bool) -> SettingField:
    default = inspect.signature(maker).parameters[option].default
    annotation = get_type_hints(maker)[option]
    return SettingField(
        name=f"{component}.{option}",
        description=argument_descriptions(maker).get(option, ""),
        annotation=annotation,
        bounds={},
        default=None if default is inspect.Parameter.empty else to_jsonable_python(default),
        table=None,
        optional=type(None) in alternatives(annotation),
        filled_in=filled_in,
    )
