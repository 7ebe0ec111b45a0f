"""Networks that are lists of steps, written as a class whose forward pass has a line for each step."""

from __future__ import annotations

import keyword
import re
from collections import Counter
from collections.abc import Callable, Mapping
from inspect import isbuiltin, isfunction
from itertools import pairwise
from typing import Any

import torch
from torch import nn

from netwright.errors import ExportError
from netwright.models.export.source.definitions import Definitions
from netwright.nn.steps import IMAGE, StepNetwork
from netwright.spaces.layerwise.graph import ByMode, ImageDevice, Ref, TorchOperation
from netwright.spaces.layerwise.network import LayeredNetwork

STEP_NETWORKS = (StepNetwork, LayeredNetwork)
_CLASS = '''class {name}(nn.Module):
    """{title}"""

    def __init__(self) -> None:
        super().__init__()
{parts}

    def forward(self, images: Tensor) -> Tensor:
        """Images (batch, channels, *size) to logits, or to a restored image."""
{steps}
'''


def class_of_steps(network: nn.Module, definitions: Definitions, expression: Callable[[Any], str]) -> str:
    """Adds a class for the network to the definitions. Returns an expression that makes it.

    Args:
        network: one of `STEP_NETWORKS`.
        definitions: of the file.
        expression: gives one for a module.

    Raises:
        ExportError: a step cannot be written.
    """
    definitions.imports.setdefault("torch", set()).update(("Tensor", "nn"))
    parts, steps, title = (
        _operations(network, expression)
        if isinstance(network, StepNetwork)
        else _graph(network, definitions, expression)
    )
    if any("OrderedDict(" in part for part in parts):
        definitions.imports.setdefault("collections", set()).add("OrderedDict")
    count = sum(text.startswith("class Network") for text in definitions.texts)
    name = f"Network{count + 1 if count else ''}"
    definitions.texts.append(
        _CLASS.format(name=name, title=title, parts=_indented(parts), steps=_indented(steps)).rstrip()
    )
    return f"{name}()"


def _operations(network: StepNetwork, expression: Callable[[Any], str]) -> tuple[list[str], list[str], str]:
    """Of a network of cells, or of an autoencoder; each value has the name of its step's operation."""
    parts = ["self.operations = nn.ModuleDict()"]
    parts += [
        f"self.operations[{key!r}] = {expression(module)}" for key, module in network.operations.items()
    ]
    names, lines, taken = {IMAGE: "images"}, [], set[str]()
    for index, step in enumerate(network._plain):
        names[index] = _unused(_identifier(step.key), taken)
        given = [names[source] for source in step.inputs] + [expression(option) for option in step.options]
        lines.append(f"{names[index]} = self.operations[{step.key!r}]({', '.join(given)})")
    return parts, [*lines, f"return {names[len(network._plain) - 1]}"], "A line for each operation."


def _graph(
    network: nn.Module, definitions: Definitions, expression: Callable[[Any], str]
) -> tuple[list[str], list[str], str]:
    """Of a network whose layers were searched: its layers have the names that they had in the original."""
    assert isinstance(network, LayeredNetwork)
    parts, made, chains = [], set[str](), _chains(network)
    for path, module in network.named_modules():
        if not path or any(path.startswith(f"{one}.") for one in made):
            continue
        if path in chains:
            parts += _sequence(network, path, expression)
            made.add(path)
            continue
        plain = type(module) is nn.Module
        container = "nn.ModuleList()" if _is_list(module) else "nn.Module()"
        parts.append(_attached(network, path, container if plain else expression(module)))
        if not plain:
            made.add(path)
    owned = {name for name, _ in (*network.named_parameters(), *network.named_buffers())}
    for path in sorted(name for name in owned if not any(name.startswith(f"{one}.") for one in made)):
        raise ExportError(
            f"The network uses the weights {path} outside a layer: expected layers of torch. Nothing was written. "
            "Choose --format torch-export or onnx."
        )
    names, lines, taken = dict[str, str](), [], set[str]()
    for step, _ in network._evaluation_steps:
        if step.kind == "input":
            names[step.name] = "images"
            continue
        given = [_argument(one, names, expression) for one in step.args]
        given += [f"{key}={_argument(one, names, expression)}" for key, one in step.kwargs.items()]
        parent = str(step.target).rpartition(".")[0] if step.kind == "module" else ""
        if parent in chains:  # one line for all of its layers
            if step.name == chains[parent][0]:
                lines.append(f"{_identifier(parent)} = {_reached(network, parent)}({given[0]})")
                taken.add(_identifier(parent))
            names[step.name] = _identifier(parent)
            continue
        if step.kind == "module":
            called = _reached(network, str(step.target))
        elif isinstance(step.target, str):
            called, given = f"{given[0]}.{step.target}", given[1:]
        else:
            called = _function(step.target, definitions)
        names[step.name] = _unused(_identifier(step.name), taken)
        lines.append(f"{names[step.name]} = {called}({', '.join(given)})")
    title = network.title.replace('"', "'").replace("\\", "/")
    return (
        parts,
        [*lines, f"return {names[network._evaluation_output]}"],
        f"{title}, with the layers that were found.",
    )


def _chains(network: LayeredNetwork) -> dict[str, list[str]]:
    """Modules whose parts run one after the other, each on what the one before gives alone; the names of the steps."""
    steps = [step for step, _ in network._evaluation_steps]
    uses = Counter(source for step in steps for source in step.sources())
    chains: dict[str, list[str]] = {}
    for path, module in network.named_modules():
        targets = [f"{path}.{name}" for name, _ in module.named_children()]
        first = next((at for at, step in enumerate(steps) if path and step.target in targets), None)
        if type(module) is not nn.Module or first is None or len(targets) < 2:
            continue
        run = steps[first : first + len(targets)]
        following = all(
            step.args == (Ref(before.name),) and not step.kwargs and uses[before.name] == 1
            for before, step in pairwise(run)
        )
        once = sum(step.target in targets for step in steps) == len(targets)
        if following and once and [step.target for step in run] == targets and len(run[0].args) == 1:
            chains[path] = [step.name for step in run]
    return chains


def _sequence(network: nn.Module, path: str, expression: Callable[[Any], str]) -> list[str]:
    """Lines that make a module whose parts run one after the other."""
    parts = dict(network.get_submodule(path).named_children())
    if all(name == str(at) for at, name in enumerate(parts)):
        inner = [f"    {expression(part)}," for part in parts.values()]
    else:
        pairs = [f"        ({name!r}, {expression(part)})," for name, part in parts.items()]
        if all(map(_is_name, parts)):
            pairs = [f"        {name}={expression(part)}," for name, part in parts.items()]
        brackets = ("(", ")") if all(map(_is_name, parts)) else ("([", "])")
        inner = [f"    OrderedDict{brackets[0]}", *pairs, f"    {brackets[1]}"]
    return _attached(network, path, "\n".join(["nn.Sequential(", *inner, ")"])).split("\n")


def _is_list(module: nn.Module) -> bool:
    names = [name for name, _ in module.named_children()]
    return type(module) is nn.Module and names == [str(at) for at in range(len(names))]


def _argument(value: Any, names: Mapping[str, str], expression: Callable[[Any], str]) -> str:
    if isinstance(value, Ref):
        return names[value.step]
    if isinstance(value, ByMode):
        return _argument(value.evaluation, names, expression)
    if isinstance(value, ImageDevice):
        return "images.device"
    if isinstance(value, tuple | list):
        inner = ", ".join(_argument(one, names, expression) for one in value)
        return f"[{inner}]" if isinstance(value, list) else f"({inner}{',' * (len(value) == 1)})"
    if isinstance(value, slice):
        inner = ", ".join(_argument(one, names, expression) for one in (value.start, value.stop, value.step))
        return f"slice({inner})"
    if isinstance(value, torch.dtype | torch.memory_format):
        return str(value)
    return "..." if value is Ellipsis else expression(value)


def _function(function: Any, definitions: Definitions) -> str:
    """How a function is called; its module is imported, or its source added."""
    if isinstance(function, TorchOperation):
        definitions.imports.setdefault("torch", set()).add("")
        return f"torch.ops.{function.namespace}.{function.name}.{function.overload}"
    name, module = str(getattr(function, "__name__", "")), str(getattr(function, "__module__", None) or "")
    if module == "_operator":
        definitions.imports.setdefault("operator", set()).add("")
        return f"operator.{name}"
    if getattr(torch, name, None) is function:
        definitions.imports.setdefault("torch", set()).add("")
        return f"torch.{name}"
    if getattr(nn.functional, name, None) is function:
        definitions.imports.setdefault("torch.nn", set()).add("functional as F")
        return f"F.{name}"
    if isfunction(function) and not isbuiltin(function):
        return definitions.add(function)
    raise ExportError(
        f"The network calls {function!r}: expected functions of torch. Nothing was written. Choose --format "
        "torch-export or onnx."
    )


def _attached(network: nn.Module, path: str, made: str) -> str:
    owner, _, name = path.rpartition(".")
    if _is_name(name):
        return f"{_reached(network, path)} = {made}"
    within = _reached(network, owner) if owner else "self"
    if _is_list(network.get_submodule(owner)):
        return f"{within}.append({made})"
    return f'{within}.add_module("{name}", {made})'


def _reached(network: nn.Module, path: str) -> str:
    """How a module is written: ``self.encoder[2].first``."""
    written, module = "self", network
    for name in path.split("."):
        if _is_name(name):
            written += f".{name}"
        elif _is_list(module):
            written += f"[{name}]"
        else:
            return f'self.get_submodule("{path}")'
        module = module.get_submodule(name)
    return written


def _is_name(text: str) -> bool:
    return text.isidentifier() and not keyword.iskeyword(text)


def _identifier(text: str) -> str:
    plain = re.sub(r"\W+", "_", text).strip("_")
    return plain if plain and not plain[0].isdigit() and not keyword.iskeyword(plain) else f"value_{plain}"


def _unused(name: str, taken: set[str]) -> str:
    chosen, count = name, 1
    while chosen in taken or chosen in ("images", "self", "torch", "nn", "operator"):
        count += 1
        chosen = f"{name}_{count}"
    taken.add(chosen)
    return chosen


def _indented(lines: list[str]) -> str:
    return "\n".join(f"        {line}" for line in lines)
