"""Strategies with several variants. Each variant is a dataclass whose fields are its settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from importlib import import_module
from typing import Any

from netwright.docstrings import argument_descriptions
from netwright.errors import SettingsError
from netwright.spec import unknown_option
from netwright.strategies.base import Strategy

Variants = Mapping[str, tuple[str, str]]
"""Name to module and class. The module is imported when it is needed."""


def make_variant(name: str, variants: Variants, variant: str, given: Mapping[str, Any]) -> Strategy[Any]:
    """Make one variant of a strategy.

    Args:
        name: the strategy's name.
        variants: all its variants.
        variant: the variant to make.
        given: its options; None stands for the class's own default.

    Raises:
        SettingsError: there is no such variant, it has no such option, or a value is wrong.
    """
    maker = variant_class(name, variants, variant)
    options = {option: value for option, value in given.items() if value is not None}
    told = argument_descriptions(maker)
    known = {field.name: told.get(field.name, "") for field in fields(maker)}  # type: ignore[arg-type]
    unknown = [option for option in options if option not in known]
    if unknown:
        error = unknown_option(f"the variant {variant!r} of {name}", unknown[0], known)
        others = [
            repr(other)
            for other in variants
            if unknown[0] in argument_descriptions(variant_class(name, variants, other))
        ]
        raise SettingsError(f"{error} The variant {' or '.join(others)} has it.") if others else error
    return maker(**options)


def variant_class(name: str, variants: Variants, variant: str) -> Callable[..., Strategy[Any]]:
    """The class of a variant. Its docstring describes the variant's options.

    Args:
        name: the strategy's name.
        variants: all its variants.
        variant: the variant's name.

    Raises:
        SettingsError: there is no such variant.
    """
    if variant not in variants:
        raise SettingsError(f"{name} has no variant {variant!r}: choose one of {', '.join(variants)}")
    module, kind = variants[variant]
    made: Callable[..., Strategy[Any]] = getattr(import_module(module), kind)
    return made
