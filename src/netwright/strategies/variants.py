"""Strategies with several variants. Each variant is a dataclass whose fields are its settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from importlib import import_module
from typing import Any

from netwright.errors import SettingsError
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
    if variant not in variants:
        raise SettingsError(f"{name} has no variant {variant!r}: choose one of {', '.join(variants)}")
    module, kind = variants[variant]
    maker: Callable[..., Strategy[Any]] = getattr(import_module(module), kind)
    options = {option: value for option, value in given.items() if value is not None}
    known = {field.name for field in fields(maker)}  # type: ignore[arg-type]
    unknown = [option for option in options if option not in known]
    if unknown:
        raise SettingsError(
            f"the variant {variant!r} of {name} has no option {unknown[0]!r}; its options are: "
            f"{', '.join(sorted(known))}"
        )
    return maker(**options)
