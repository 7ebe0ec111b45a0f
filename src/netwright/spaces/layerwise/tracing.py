"""A module's forward pass as steps, by torch.fx or torch.export."""

from __future__ import annotations

import inspect
import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from typing import Any

import torch
from torch import Tensor, fx, nn

from netwright.errors import SettingsError
from netwright.spaces.layerwise.graph import (
    INPUT,
    ImageDevice,
    Ref,
    Step,
    StepKind,
    TorchOperation,
    map_arguments,
    operation_name,
)

# Subclasses of these layers are also taken as a whole, if their parameters are the usual ones.
LAYER_CLASSES = (
    nn.modules.conv._ConvNd,
    nn.Linear,
    nn.modules.batchnorm._NormBase,
    nn.GroupNorm,
    nn.LayerNorm,
    nn.PReLU,
    nn.modules.pooling._MaxPoolNd,
    nn.modules.pooling._AvgPoolNd,
)
CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)


@dataclass(frozen=True)
class Trace:
    """The steps of one forward pass, and its outputs: the logits first."""

    steps: tuple[Step, ...]
    outputs: tuple[str, ...]


def is_layer(module: nn.Module) -> bool:
    """Whether a module is one operation of the graph, rather than made of several."""
    if isinstance(module, CONTAINERS):
        return False
    own = type(module).__module__
    if own == "torch.nn" or own.startswith("torch.nn.modules"):
        return True
    names = {name for name, _ in module.named_parameters()}
    return isinstance(module, LAYER_CLASSES) and names <= {"weight", "bias"}


def trace_symbolically(module: nn.Module) -> Trace:
    """The forward pass in the module's current mode, by torch.fx, which follows proxies of tensors.

    It can trace wrongly without an error if the forward pass looks at its values, so the result has to be checked.
    """
    tracer = _Tracer()
    graph = tracer.trace(module, concrete_args=other_arguments(module))
    writer = _Writer(module)
    for node in graph.nodes:
        arguments = map_arguments((tuple(node.args), dict(node.kwargs)), writer.reference)
        scope = str(node.meta.get("scope", ""))
        if node.op == "placeholder":
            if not writer.steps:
                writer.add(node, Step(INPUT, "input", INPUT))
        elif node.op == "call_module":
            writer.add(node, Step(writer.module_name(node.target), "module", node.target, *arguments))
        elif node.op == "get_attr":
            writer.attribute(node, node.target)
        elif node.op == "output":
            return Trace(tuple(writer.steps.values()), flat_outputs(arguments[0][0]))
        else:
            kind: StepKind = "method" if node.op == "call_method" else "function"
            writer.add(node, Step(writer.name(scope, node.target), kind, node.target, *arguments))
    raise AssertionError("A graph of torch.fx ends with its output.")


def trace_by_export(module: nn.Module, example: Tensor, *, strict: bool) -> Trace:
    """The same by torch.export, which runs the forward pass on the example without computing.

    It splits layers into operations; these are put together again by the names of their modules.

    Args:
        module: to trace.
        example: its input.
        strict: torch.export's option of this name.
    """
    with _quiet():
        program = torch.export.export(module, (example,), strict=strict)
    signature = program.graph_signature
    held: dict[str, str] = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
    held.update(signature.inputs_to_lifted_tensor_constants)
    held = {name: target.removeprefix("L__self__").lstrip(".") for name, target in held.items()}
    for name, target in signature.inputs_to_lifted_tensor_constants.items():
        if not hasattr(module, target):
            module.register_buffer(target, program.constants[target], persistent=False)
        held[name] = target
    graph = program.graph_module.graph
    groups = _layer_calls(graph, module)
    writer = _Writer(module)
    outputs: tuple[str, ...] = ()
    done: set[int] = set()
    for node in graph.nodes:
        if node.op == "placeholder":
            if node.name in held:
                writer.lifted[node] = held[node.name]
            elif not writer.steps:
                writer.add(node, Step(INPUT, "input", INPUT))
        elif node.op == "output":
            returned = program.call_spec.out_spec
            flat = map_arguments(list(node.args[0]), writer.reference)
            outputs = flat_outputs(torch.utils._pytree.tree_unflatten(flat, returned))
        elif (call := groups.get(node)) is not None:
            if id(call) in done:
                continue
            done.add(id(call))
            writer.add(call.result, _module_step(call, writer))
        else:
            _write_operation(node, writer)
    return Trace(tuple(writer.steps.values()), outputs)


def flat_outputs(value: Any) -> tuple[str, ...]:
    """Step names of what a module returns: a tensor, or a tuple, list or dictionary of tensors."""
    if isinstance(value, Ref):
        return (value.step,)
    items = list(value.values()) if isinstance(value, Mapping) else value
    if isinstance(items, (tuple, list)):
        kept = [item for item in items if item is not None]
        if kept and all(isinstance(item, Ref) for item in kept):
            return tuple(item.step for item in kept)
    raise SettingsError(
        "The network must return its logits, or a tuple of the logits and those of auxiliary heads; "
        f"it returns {type(value).__name__}."
    )


class _Tracer(fx.Tracer):
    """Stops at layers, and notes which module contains an operation."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return is_layer(m)

    def create_node(self, *args: Any, **kwargs: Any) -> fx.Node:
        node = super().create_node(*args, **kwargs)
        node.meta["scope"] = self.scope.module_path
        return node


class _Writer:
    """Turns nodes into steps with readable names."""

    def __init__(self, module: nn.Module) -> None:
        self.steps: dict[str, Step] = {}
        named = (module.named_modules(), module.named_parameters(), module.named_buffers())
        self._taken = {name for names in named for name, _ in names}  # operations must not use these
        self.lifted: dict[fx.Node, str] = {}  # parameters and buffers, which become steps when they are used
        self._names: dict[fx.Node, str] = {}
        self._uses: Counter[str] = Counter()

    def add(self, node: fx.Node, step: Step) -> None:
        self.steps[step.name] = step
        self._names[node] = step.name

    def attribute(self, node: fx.Node, target: str) -> None:
        self.add(node, Step(target, "attribute", target))

    def reference(self, value: Any) -> Any:
        if isinstance(value, torch.device):
            return ImageDevice()
        if not isinstance(value, fx.Node):
            return value
        if value not in self._names and value in self.lifted:
            self.attribute(value, self.lifted[value])
        # Further inputs have their defaults and get no names: their nodes reach no output.
        return Ref(self._names.get(value, value.name))

    def module_name(self, path: str) -> str:
        self._uses[path] += 1
        return path if self._uses[path] == 1 else f"{path}@{self._uses[path]}"

    def name(self, scope: str, target: Any) -> str:
        stem = f"{scope}.{operation_name(target)}".lstrip(".")
        while stem in self._taken:
            stem = f"{stem}_"
        self._uses[stem] += 1
        return stem if self._uses[stem] == 1 else f"{stem}_{self._uses[stem]}"


@dataclass(eq=False)
class _LayerCall:
    """The operations of one call of a layer."""

    path: str
    nodes: list[fx.Node]

    @property
    def result(self) -> fx.Node:
        inside = set(self.nodes)
        return next(node for node in self.nodes if any(user not in inside for user in node.users))

    def is_plain(self, parameters: Iterable[str]) -> bool:
        """Whether there is one input tensor and one output tensor."""
        inside = set(self.nodes)
        given = {node for inner in self.nodes for node in inner.all_input_nodes if node not in inside}
        lifted = set(parameters)
        tensors = [node for node in given if node.name not in lifted]
        results = [node for node in self.nodes if any(user not in inside for user in node.users)]
        return len(tensors) == 1 and len(results) == 1


def _layer_calls(graph: fx.Graph, module: nn.Module) -> dict[fx.Node, _LayerCall]:
    calls: dict[tuple[str, ...], _LayerCall] = {}
    for node in graph.nodes:
        stack: Mapping[str, tuple[str, Any]] = node.meta.get("nn_module_stack") or {}
        keys: tuple[str, ...] = ()
        for key, (path, _) in stack.items():
            keys = (*keys, key)
            if node.op == "call_function" and path and is_layer(module.get_submodule(path)):
                calls.setdefault(keys, _LayerCall(path, [])).nodes.append(node)
                break
    lifted = [node.name for node in graph.nodes if node.op == "placeholder" and node.name[:2] in ("p_", "b_")]
    plain = [call for call in calls.values() if call.is_plain(lifted)]
    return {node: call for call in plain for node in call.nodes}


def _module_step(call: _LayerCall, writer: _Writer) -> Step:
    inside = set(call.nodes)
    given = [node for inner in call.nodes for node in inner.all_input_nodes if node not in inside]
    source = next(node for node in given if node not in writer.lifted)
    return Step(writer.module_name(call.path), "module", call.path, (writer.reference(source),))


def _write_operation(node: fx.Node, writer: _Writer) -> None:
    stack: Mapping[str, tuple[str, Any]] = node.meta.get("nn_module_stack") or {}
    scope = list(stack.values())[-1][0] if stack else ""
    arguments = map_arguments((tuple(node.args), dict(node.kwargs)), writer.reference)
    if node.op == "get_attr":
        writer.attribute(node, str(node.target))
    else:
        target = _by_name(node.target)
        writer.add(node, Step(writer.name(scope, target), "function", target, *arguments))


def _by_name(target: Any) -> Any:
    if not isinstance(target, torch._ops.OpOverload):
        return target
    namespace, name = target._schema.name.split("::")
    return TorchOperation(namespace, name, target._overloadname)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence torch.export, which logs and prints whole graphs when it fails; the error is enough."""
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            yield
    finally:
        logging.disable(disabled)


def other_arguments(module: nn.Module) -> dict[str, Any]:
    """Default values of the forward pass's arguments besides the images.

    Raises:
        SettingsError: an argument besides the images has no default.
    """
    parameters = list(inspect.signature(module.forward).parameters.values())
    named = [p for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    missing = [p.name for p in named[1:] if p.default is p.empty]
    if missing:
        raise SettingsError(
            f"{type(module).__name__}.forward must take one tensor, the images, but also asks for "
            f"{', '.join(missing)}. Give them defaults, or wrap the network in a module that fills them in."
        )
    return {p.name: p.default for p in named[1:]}
