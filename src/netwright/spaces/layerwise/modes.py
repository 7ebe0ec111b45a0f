"""One graph from the traces of a module in training and in evaluation mode."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from netwright.spaces.layerwise.graph import IN_EVALUATION, ByMode, Ref, Step, map_arguments, needed_steps
from netwright.spaces.layerwise.tracing import Trace


@dataclass(frozen=True)
class Merged:
    """The steps of both modes, and the outputs of each (see `netwright.spaces.layerwise.graph`)."""

    steps: tuple[Step, ...]
    training: tuple[str, ...]
    evaluation: str


class _DifferentError(Exception):
    """Two arguments are not the same."""


def merge_modes(training: Trace, evaluation: Trace) -> Merged:
    """Steps that both modes do are kept once; constants that differ, such as ``training=``, follow the mode.

    What only evaluation does, a softmax for example, comes after what training does. Of the outputs in
    evaluation mode the first is kept, the logits.
    """
    steps = {step.name: step for step in needed_steps(training.steps, training.outputs)}
    unmatched = dict(steps)
    names: dict[str, str] = {}
    for step in needed_steps(evaluation.steps, evaluation.outputs[:1]):
        args, kwargs = map_arguments(
            (step.args, dict(step.kwargs)),
            lambda item: Ref(names[item.step]) if isinstance(item, Ref) else item,
        )
        own = replace(step, args=args, kwargs=kwargs)
        for other in unmatched.values():
            joined = _joined(other, own)
            if joined is not None:
                steps[other.name] = joined
                names[step.name] = other.name
                del unmatched[other.name]
                break
        else:
            name = step.name if step.name not in steps else f"{step.name}{IN_EVALUATION}"
            names[step.name] = name
            steps[name] = replace(own, name=name)
    return Merged(tuple(steps.values()), training.outputs, names[evaluation.outputs[0]])


def _joined(first: Step, second: Step) -> Step | None:
    """The step that does ``first`` in training and ``second`` in evaluation; None where they differ."""
    if first.kind != second.kind or first.target != second.target:
        return None
    try:
        args, kwargs = _join((first.args, dict(first.kwargs)), (second.args, dict(second.kwargs)))
    except _DifferentError:
        return None
    return replace(first, args=args, kwargs=kwargs)


def _join(first: Any, second: Any) -> Any:
    if type(first) is not type(second):
        raise _DifferentError
    if isinstance(first, (tuple, list)) and not hasattr(first, "_fields"):
        if len(first) != len(second):
            raise _DifferentError
        return type(first)(_join(one, other) for one, other in zip(first, second, strict=True))
    if isinstance(first, Mapping):
        if first.keys() != second.keys():
            raise _DifferentError
        return {key: _join(item, second[key]) for key, item in first.items()}
    if first == second or first is second:
        return first
    if isinstance(first, (bool, float)):
        return ByMode(first, second)
    raise _DifferentError
