"""Reads a module as a graph of layers."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from netwright.errors import InfeasibleArchitecture, NetworkFailed, SettingsError
from netwright.spaces.layerwise.error_location import first_line, location_of
from netwright.spaces.layerwise.graph import Held, Layer, LayerNetwork, Step, calls_module, layer_name
from netwright.spaces.layerwise.layers import CONVOLUTIONS, FITTED, TRANSPOSED, tunable
from netwright.spaces.layerwise.modes import Merged, merge_modes
from netwright.spaces.layerwise.network import LayeredNetwork, copy_weights
from netwright.spaces.layerwise.rebuild import rebuild
from netwright.spaces.layerwise.refusal import lacks_package, refusal
from netwright.spaces.layerwise.tracing import (
    Trace,
    is_layer,
    other_arguments,
    trace_by_export,
    trace_symbolically,
)

TOLERANCE = 1e-5

Outputs = tuple[Tensor, ...]


LARGER_BATCH, EVALUATION, TRAINING = "evaluation of a larger batch", "evaluation", "training"


class _UnreadError(Exception):
    """A reader could not read the module, or read it wrongly."""


def read_module(module: nn.Module, example_input: Tensor) -> LayerNetwork:
    """The module's forward pass as a graph of layers.

    torch.fx is tried first. The graph must give the module's own output, in evaluation and in training mode
    and for another batch size. This is checked because torch.fx can trace wrongly without an error (if a forward pass
    asks whether its values are tensors, the answer is no). If that fails torch.export is tried, with the same checks.

    Args:
        module: takes one tensor of images, and gives logits, or a tuple of logits and those of auxiliary
            heads. It is not changed.
        example_input: images (batch, channels, *spatial) as the network will get them.

    Raises:
        SettingsError: the module does not run on the example, or no reader can follow it; the message contains the
            line of the module's source.
    """
    if not isinstance(example_input, Tensor) or example_input.ndim < 2:
        raise SettingsError("example_input must be one tensor of images (batch, channels, *spatial).")
    if isinstance(module, torch.jit.ScriptModule):
        raise SettingsError(
            "A TorchScript module cannot be read: its layers are compiled. Give the module it was made of."
        )
    other_arguments(module)
    own = _copy_of(module)
    _refuse_bound_weights(own)
    example = example_input.detach().to("cpu")
    if example.shape[0] == 1:  # with one image the batch axis is not recognised, and normalisation fails
        example = torch.cat([example, example.flip(-1)])
    with _seeded():
        expected = _expected_outputs(own, example)
        failures: list[str] = []
        readers: dict[str, Callable[[nn.Module], Trace]] = {
            "torch.fx": trace_symbolically,
            "torch.export": lambda m: trace_by_export(m, example, strict=False),
            "torch.export, strict": lambda m: trace_by_export(m, example, strict=True),
        }
        for reader, trace in readers.items():
            try:
                merged = _read(own, trace)
                return _checked_network(own, merged, example, expected, reader)
            except _UnreadError as error:
                failures.append(f"{reader}: {error}")
    raise SettingsError(refusal(module, failures))


def _read(module: nn.Module, trace: Callable[[nn.Module], Trace]) -> Merged:
    try:
        traces = [trace(copy.deepcopy(module).train(mode)) for mode in (True, False)]
        return merge_modes(*traces)
    except SettingsError:
        raise
    except Exception as error:  # a tracer may fail with anything; the next one may succeed
        raise _UnreadError(f"{first_line(error)}{location_of(error, module)}") from error


def _checked_network(
    module: nn.Module, merged: Merged, example: Tensor, expected: Mapping[str, Outputs], reader: str
) -> LayerNetwork:
    """The network of the steps, if it and its rebuilt form give the module's outputs."""
    network = _network_of(copy.deepcopy(module), merged, example, reader)
    try:
        rebuilt = rebuild(network, {}, example.shape[1], example.shape[2:])
    except InfeasibleArchitecture as error:
        raise _UnreadError(f"what it read cannot be rebuilt. {error}") from error
    copy_weights(module, rebuilt)
    with _unread("what it read does not run"):
        for mode, outputs in expected.items():
            got = _outputs(copy.deepcopy(rebuilt), _images(example, mode), mode)
            if mode == TRAINING or len(outputs) == 1:
                _compare(got, outputs, mode)
            else:
                _compare(got, outputs[:1], mode)
    return network


def _network_of(module: nn.Module, merged: Merged, example: Tensor, reader: str) -> LayerNetwork:
    paths = [str(step.target) for step in merged.steps if calls_module(step)]
    modules = {path: module.get_submodule(path) for path in paths}
    tensors = _held_tensors(module, merged.steps)
    shapes: dict[str, tuple[int, ...] | None] = {}

    def observe(step: Step, value: Any) -> None:
        shapes[step.name] = tuple(value.shape) if isinstance(value, Tensor) else None

    network = LayeredNetwork(merged.steps, merged.training, merged.evaluation, modules, tensors)
    with _unread("what it read does not run"):
        for mode in (EVALUATION, TRAINING):
            _outputs(network, example, mode, observe=observe)
    prototypes = {path: copy.deepcopy(layer).to("meta") for path, layer in modules.items()}
    return LayerNetwork(
        title=type(module).__name__,
        steps=merged.steps,
        training=merged.training,
        evaluation=merged.evaluation,
        modules=prototypes,
        tensors=tensors,
        example=tuple(example.shape),
        shapes=shapes,
        layers=_tunable_layers(merged, prototypes),
        reader=reader,
    )


def _expected_outputs(module: nn.Module, example: Tensor) -> dict[str, Outputs]:
    """The module's own outputs, by mode: for a larger batch if it takes one, in training if they are repeatable."""
    expected: dict[str, Outputs] = {}
    for mode in (LARGER_BATCH, EVALUATION, TRAINING):
        try:
            expected[mode] = _outputs(copy.deepcopy(module), _images(example, mode), mode)
        except SettingsError:
            raise
        except Exception as error:
            if mode == LARGER_BATCH:
                continue
            if isinstance(error, ImportError):
                raise SettingsError(lacks_package(module, error)) from error
            size = " x ".join(map(str, example.shape))
            raise NetworkFailed(
                f"{type(module).__name__} does not run on the example of shape {size} in {mode}: "
                f"{first_line(error)}{location_of(error, module)} Give an example_input of the shape (batch, "
                f"channels, *spatial) that the network takes."
            ) from error
    for outputs in (expected[EVALUATION][:1], expected[TRAINING]):
        for logits in outputs:
            if logits.ndim not in (2, example.ndim):
                raise SettingsError(
                    f"{type(module).__name__} gives logits of shape {tuple(logits.shape)}; expected (batch, "
                    f"classes), or (batch, classes, *spatial) for images of shape {tuple(example.shape)}, those "
                    f"of each auxiliary head apart."
                )
            if logits.shape[1] != outputs[0].shape[1]:
                raise SettingsError(
                    f"{type(module).__name__} gives logits of {outputs[0].shape[1]} classes and another output of "
                    f"shape {tuple(logits.shape)}; what it returns besides must be logits of auxiliary heads, of "
                    f"as many classes. Wrap the network in a module that leaves the rest out."
                )
    again = _outputs(copy.deepcopy(module), example, TRAINING)
    if not all(torch.equal(one, other) for one, other in zip(again, expected[TRAINING], strict=True)):
        del expected[TRAINING]
    return expected


def _outputs(module: nn.Module, images: Tensor, mode: str, **options: Any) -> Outputs:
    torch.manual_seed(0)
    module.train(mode == TRAINING)
    with torch.no_grad():
        value = module.run(images, **options) if isinstance(module, LayeredNetwork) else module(images)
    items = list(value.values()) if isinstance(value, dict) else value
    items = [items] if isinstance(items, Tensor) else items
    if not isinstance(items, (tuple, list)):
        raise SettingsError(
            f"{type(module).__name__} must return its logits, or a tuple of the logits and those of auxiliary "
            f"heads, but returns {type(value).__name__}."
        )
    kept = tuple(item for item in items if item is not None)
    if not kept or not all(isinstance(item, Tensor) for item in kept):
        raise SettingsError(
            f"{type(module).__name__} must return tensors: the logits first, then those of auxiliary heads."
        )
    return kept


def _compare(got: Outputs, expected: Outputs, mode: str) -> None:
    if [item.shape for item in got] != [item.shape for item in expected]:
        raise _UnreadError(
            f"what it read gives shapes {[tuple(item.shape) for item in got]} instead of "
            f"{[tuple(item.shape) for item in expected]} ({mode})."
        )
    for one, other in zip(got, expected, strict=True):
        scale = max(1.0, float(other.abs().max())) if other.numel() else 1.0
        if not torch.allclose(one, other, rtol=0.0, atol=TOLERANCE * scale, equal_nan=True):
            difference = float((one - other).abs().max())
            raise _UnreadError(f"what it read gives another output, by up to {difference:.3g} ({mode}).")


def _tunable_layers(merged: Merged, modules: dict[str, nn.Module]) -> tuple[Layer, ...]:
    """The tunable layers in topological order."""
    giving = _output_layers(merged, modules)
    layers: dict[str, Layer] = {}
    for step in merged.steps:
        if not calls_module(step):
            continue
        name = layer_name(step, modules)
        layer = tunable(name, modules[str(step.target)], gives_output=step.target in giving)
        if layer is not None and layer.original:
            layers.setdefault(name, layer)
    return tuple(layers.values())


def _output_layers(merged: Merged, modules: dict[str, nn.Module]) -> set[str]:
    """The layers whose channels are the output of the network or of an auxiliary head."""
    steps = {step.name: step for step in merged.steps}
    waiting, seen, names = [*merged.training, merged.evaluation], set[str](), set[str]()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        step = steps[name]
        makes = calls_module(step) and isinstance(
            modules[str(step.target)], (*CONVOLUTIONS, *TRANSPOSED, nn.Linear)
        )
        if makes:
            names.add(str(step.target))
        if not makes or getattr(modules[str(step.target)], "groups", 1) > 1:
            waiting.extend(step.sources())
    return names


def _held_tensors(module: nn.Module, steps: Iterable[Step]) -> dict[str, Held]:
    persistent = set(module.state_dict())
    held: dict[str, Held] = {}
    for step in steps:
        if step.kind == "attribute":
            path = str(step.target)
            value: Any = module
            for part in path.split("."):
                value = getattr(value, part)
            numbers = value.detach().double()
            held[path] = Held(
                value.detach().requires_grad_(value.requires_grad),
                isinstance(value, nn.Parameter),
                path in persistent,
                float(numbers.mean()),
                float(numbers.std(correction=0)),
            )
    return held


def _images(example: Tensor, mode: str) -> Tensor:
    return torch.cat([example, example[:1]]) if mode == LARGER_BATCH else example


def _copy_of(module: nn.Module) -> nn.Module:
    try:
        return copy.deepcopy(module).to("cpu")
    except Exception as error:
        raise SettingsError(f"{type(module).__name__} cannot be copied: {first_line(error)}") from error


def _refuse_bound_weights(module: nn.Module) -> None:
    """Refuse weights that are computed from others, or that two layers share: they cannot follow a change."""
    for path, part in module.named_modules():
        names = {name for name, _ in part.named_parameters(recurse=False)}
        own_kind = isinstance(part, FITTED) and not names <= {"weight", "bias"} and is_layer(part)
        if own_kind or torch.nn.utils.parametrize.is_parametrized(part):
            raise SettingsError(
                f"Layer {path or type(part).__name__} has weights that are made of others (weight or spectral "
                f"normalisation), which cannot follow a change. Remove that from the network first, see "
                f"torch.nn.utils.parametrize.remove_parametrizations and torch.nn.utils.remove_weight_norm."
            )
    owners: dict[int, str] = {}
    for path, parameter in module.named_parameters(remove_duplicate=False):
        first = owners.setdefault(id(parameter), path)
        same_module = module.get_submodule(first.rpartition(".")[0]) is module.get_submodule(
            path.rpartition(".")[0]
        )
        if first != path and not same_module:
            raise SettingsError(
                f"Parameters {first} and {path} are one tensor in two layers. Layers that change apart cannot "
                f"share weights: use one layer twice, or give each its own."
            )


@contextmanager
def _unread(what: str) -> Iterator[None]:
    """Turn any error of a wrong graph into the statement that it was read wrongly."""
    try:
        yield
    except (_UnreadError, SettingsError):
        raise
    except Exception as error:
        raise _UnreadError(f"{what} ({first_line(error)})") from error


@contextmanager
def _seeded() -> Iterator[None]:
    with torch.random.fork_rng(devices=[]):
        yield
