"""Python expressions that make a network anew, from the arguments that it was made with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from inspect import isfunction
from typing import Any

from torch import nn

from netwright.errors import ExportError
from netwright.models.export.source.definitions import PACKAGE, Definitions
from netwright.models.export.source.made import made_with
from netwright.models.export.source.steps import STEP_NETWORKS, class_of_steps


def expression(value: Any, definitions: Definitions) -> str:
    """An expression for a value. What it refers to is added to the definitions.

    Raises:
        ExportError: there is none for such a value.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return repr(value)
    if isinstance(value, tuple | list):
        inner = [expression(one, definitions) for one in value]
        return _bracketed(inner, *("[]" if isinstance(value, list) else "()"))
    if isinstance(value, Mapping):
        pairs = (f"{expression(k, definitions)}: {expression(v, definitions)}" for k, v in value.items())
        return "{" + ", ".join(pairs) + "}"
    if isinstance(value, nn.Module):
        return _module(value, definitions)
    if hasattr(value, "loss_function"):  # a task, of which only the shape counts
        shape = {name: getattr(value, name) for name in ("channels", "classes", "size", "label_size")}
        return f"{definitions.shape()}({', '.join(f'{name}={one!r}' for name, one in shape.items())})"
    if is_dataclass(value) and not isinstance(value, type):
        given = {
            one.name: expression(getattr(value, one.name), definitions) for one in fields(value) if one.init
        }
        return f"{definitions.add(type(value))}({', '.join(f'{name}={one}' for name, one in given.items())})"
    if isinstance(value, tuple) or isfunction(value) or isinstance(value, type):
        return definitions.add(value)
    raise ExportError(
        f"The network is made with a {type(value).__name__}: expected plain values, whose source can be written. "
        "Nothing was written. Choose --format torch-export or onnx."
    )


def _module(module: nn.Module, definitions: Definitions) -> str:
    kind = type(module)
    if kind.__module__.startswith("torch.nn.modules"):
        return _of_torch(module, definitions)
    if isinstance(module, STEP_NETWORKS):
        return class_of_steps(module, definitions, lambda one: expression(one, definitions))
    made = made_with(module)
    if kind.__module__.partition(".")[0] != PACKAGE or made is None:
        definitions.add(kind)  # tells what is wrong with one of another package
        raise ExportError(
            f"How a {kind.__name__} is made is not known. Choose --format torch-export or onnx."
        )
    args, kwargs = made
    given = [expression(one, definitions) for one in args]
    given += [f"{name}={expression(one, definitions)}" for name, one in kwargs.items()]
    return f"{definitions.add(kind)}({', '.join(given)})"


def _of_torch(module: nn.Module, definitions: Definitions) -> str:
    definitions.imports.setdefault("torch", set()).add("nn")
    if isinstance(module, nn.Sequential | nn.ModuleList):
        inner = [expression(child, definitions) for child in module.children()]
        brackets = "()" if isinstance(module, nn.Sequential) else ("([", "])")
        return f"nn.{type(module).__name__}{_bracketed(inner, *brackets, single=True)}"
    if isinstance(module, nn.ModuleDict):
        return f"nn.ModuleDict({expression(dict(module.items()), definitions)})"
    return f"nn.{module!r}"


def _bracketed(inner: list[str], begin: str, end: str, *, single: bool = False) -> str:
    comma = "," if len(inner) == 1 and begin == "(" and not single else ""
    return f"{begin}{', '.join(inner)}{comma}{end}"
