"""Merges the traces of a module in training and in evaluation mode into one graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from netwright.spaces.layerwise.graph import (
    IN_EVALUATION,
    ByMode,
    Ref,
    Step,
    by_mode,
    needed_steps,
    with_sources,
)
from netwright.spaces.layerwise.tracing import Trace


@dataclass(frozen=True)
class Merged:
    """The steps of both modes, and the outputs of each (see `netwright.spaces.layerwise.graph`)."""

    steps: tuple[Step, ...]
    training: tuple[str, ...]
    evaluation: str


class _DifferentError(Exception):
    """Two arguments differ."""


def merge_modes(training: Trace, evaluation: Trace) -> Merged:
    """Merge two traces. Steps that both modes have are kept once; constants that differ, such as ``training=``, follow
    the mode.

    Values do so too. For example, a stochastic depth does not exist in evaluation: there a step `by_mode` takes the
    value of each mode, and the following steps are shared. A step of one mode only, for example a softmax, stays
    between the shared steps. Of the outputs in evaluation mode only the first is kept, the logits.
    """
    first = needed_steps(training.steps, training.outputs)
    steps: dict[str, Step] = {}
    names: dict[str, str] = {}
    choices: dict[tuple[str, str], str] = {}
    taken = 0  # steps of the first that were already taken
    for step in needed_steps(evaluation.steps, evaluation.outputs[:1]):
        own = with_sources(step, names)
        match = _match(first, taken, own, choices)
        if match is None:
            known = {*steps, *(other.name for other in first)}
            names[step.name] = step.name if step.name not in known else f"{step.name}{IN_EVALUATION}"
            added = [replace(own, name=names[step.name])]
        else:
            position, joined = match
            names[step.name] = first[position].name
            added = [*first[taken:position], *joined]
            taken = position + 1
        steps.update({new.name: new for new in added})
    steps.update({rest.name: rest for rest in first[taken:]})
    return Merged(tuple(steps.values()), training.outputs, names[evaluation.outputs[0]])


def _match(
    first: Sequence[Step], taken: int, own: Step, choices: dict[tuple[str, str], str]
) -> tuple[int, list[Step]] | None:
    """Index of the same step in training, and the steps that serve both modes.

    If there is no same step, it is a step that differs only in a value that it takes. ``choices``: names of the steps
    that choose between a value of training and one of evaluation.
    """
    places = range(taken, len(first))
    for position in places:
        joined = _joined(first[position], own)
        if joined is not None:
            return position, [joined]
    for position in places:
        other = first[position]
        sources = zip(other.sources(), own.sources(), strict=False)
        differing = [pair for pair in sources if pair[0] != pair[1]]
        new = [pair for pair in differing if pair not in choices]
        if _scope(other) != _scope(own) or len(new) > 1:
            continue
        added = dict.fromkeys(new, f"{other.name}_by_mode")
        chosen = [(one, another, (choices | added)[one, another]) for one, another in differing]
        joined = _joined(
            with_sources(other, {one: choice for one, _, choice in chosen}),
            with_sources(own, {another: choice for _, another, choice in chosen}),
        )
        if joined is not None:
            choices.update(added)
            made = [
                Step(name, "function", by_mode, (Ref(one), Ref(two))) for (one, two), name in added.items()
            ]
            return position, [*made, joined]
    return None


def _scope(step: Step) -> str:
    """The module that contains a step."""
    return step.name.rpartition(".")[0]


def _joined(first: Step, second: Step) -> Step | None:
    """The step that does ``first`` in training and ``second`` in evaluation; None if they differ."""
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
