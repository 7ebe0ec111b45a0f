"""Lists every setting with its description, its allowed values and its default, as declared by its class."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, Union, cast, get_args, get_origin, get_type_hints

import yaml
from pydantic import BaseModel
from pydantic_core import PydanticUndefined, to_jsonable_python

from netwright.setting_fields import range_words
from netwright.settings.tables import RunSettings

_PLAIN = {int: "whole number", float: "number", str: "text", Path: "path"}
_BOUNDS = {"ge": "at_least", "gt": "over", "le": "at_most", "lt": "under"}
"""pydantic's names of bounds, and those of `netwright.setting_fields.setting`."""


@dataclass(frozen=True)
class SettingField:
    """One setting, or one table of settings.

    Attributes:
        name: dotted.
        description: Markdown of one paragraph.
        annotation: its type.
        bounds: of its number, as in `netwright.setting_fields.range_words`.
        default: as YAML has it; None where it must be given.
        table: the class of the settings in it; None: it is a single setting.
        optional: whether it may be null.
        filled_in: whether every run sets it by itself, so that it is not offered.
    """

    name: str
    description: str
    annotation: Any
    bounds: Mapping[str, Any]
    default: Any
    table: type | None
    optional: bool
    filled_in: bool = False

    @property
    def values(self) -> str:
        """The allowed values in words, as Markdown."""
        words = _words(self.annotation, range_words(self.bounds))
        return f"{', '.join(words[:-1])} or {words[-1]}" if len(words) > 1 else words[0]

    @property
    def choices(self) -> tuple[str, ...]:
        """The values that can be listed, as YAML has them."""
        return tuple(word.strip("`") for word in _words(self.annotation, "") if word.startswith("`"))


@cache
def setting_fields() -> dict[str, SettingField]:
    """Every setting and table by its dotted name, without the options of spaces and strategies."""
    return {field.name: field for field in _fields_of(RunSettings, "")}


def _fields_of(table: type, prefix: str) -> Iterator[SettingField]:
    for name, annotation, description, bounds, default in _declared(table):
        inner = next((kind for kind in alternatives(annotation) if _is_table(kind)), None)
        yield SettingField(
            name=prefix + name,
            description=description,
            annotation=annotation,
            bounds=bounds,
            default=default,
            table=inner,
            optional=type(None) in alternatives(annotation),
        )
        if inner is not None:
            yield from _fields_of(inner, f"{prefix}{name}.")


def _declared(table: type) -> Iterator[tuple[str, Any, str, Mapping[str, Any], Any]]:
    """Name, type, description, bounds and default of each field of a pydantic model or a dataclass."""
    if issubclass(table, BaseModel):
        for name, info in table.model_fields.items():
            bounds = {
                ours: getattr(one, theirs)
                for one in info.metadata
                for theirs, ours in _BOUNDS.items()
                if hasattr(one, theirs)
            }
            default = info.get_default(call_default_factory=True, validated_data={})
            yield name, info.annotation, info.description or "", bounds, _plain(default)
        return
    hints = get_type_hints(table)
    for field in dataclasses.fields(cast(Any, table)):
        factory = field.default_factory
        default = field.default if factory is dataclasses.MISSING else factory()
        metadata = field.metadata
        yield field.name, hints[field.name], metadata.get("description", ""), metadata, _plain(default)


def _plain(default: Any) -> Any:
    return None if default is PydanticUndefined else to_jsonable_python(default)


def _is_table(kind: Any) -> bool:
    return isinstance(kind, type) and (issubclass(kind, BaseModel) or dataclasses.is_dataclass(kind))


def alternatives(annotation: Any) -> tuple[Any, ...]:
    """The types of a union, or the one type."""
    if get_origin(annotation) is Annotated:
        return alternatives(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return tuple(kind for one in get_args(annotation) for kind in alternatives(one))
    return (annotation,)


def _words(annotation: Any, bounds: str) -> list[str]:
    """The alternatives in words. Values are code, and null is last."""
    result: list[str] = []
    kinds = alternatives(annotation)
    for kind in sorted(kinds, key=lambda kind: kind is type(None)):
        if get_origin(kind) is Literal:
            result += [f"`{_yaml(value)}`" for value in get_args(kind)]
        elif kind is bool:
            result += ["`true`", "`false`"]
        elif kind is type(None):
            result.append("`null`")
        elif get_origin(kind) is tuple:
            lengths = get_args(kind)
            result.append("list" if Ellipsis in lengths else f"{len(lengths)} numbers")
        elif get_origin(kind) is Sequence:
            result.append("list")
        elif kind in (int, float):
            result.append(f"{_PLAIN[kind]} {bounds}".strip())
        else:
            result.append(_PLAIN.get(kind, "table"))
    return result


def _yaml(value: Any) -> str:
    return yaml.safe_dump(value, default_flow_style=True).split("\n")[0]
