"""The trained networks among which a search chooses at its end, and the cost of several as one network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netwright.comparison.ensemble import Rule
from netwright.models.store import Composition, Member, build_composition
from netwright.runs.candidates import TrainedCandidate
from netwright.runs.folder import RunFolder
from netwright.runs.trials import TrialRecord
from netwright.settings import RunSettings
from netwright.training.config import TrainingProtocol
from netwright.training.files import WEIGHTS
from netwright.training.outcome import Cost

if TYPE_CHECKING:
    import torch
    from torch import nn

    from netwright.training.problem import NetworkTask

MOST_FINALISTS, WITH_SNAPSHOTS = 6, 2
"""How many of the best candidates are compared in the end, and for how many of them an earlier snapshot, too."""

_ADDED = ("parameters", "size_mb")
_COMPUTED = ("flops", "inference_ms", "inference_ms_per_batch")
"""Costs of an ensemble that are sums over members, and those that are so for every view. Others are of the training:
the largest member's."""


@dataclass(frozen=True)
class Finalist:
    """A trained network that may be used: the end of a training, or an earlier snapshot of it.

    Args:
        name: for the report.
        folder: with its weights; its outputs on the validation cases are kept there.
        choice: of the run's space.
        reference: the name of a hand-made network in place of the choice.
        score: its reward on the validation cases, by which finalists are ordered.
        cost: as `netwright.training.outcome.Cost` has it; empty: it is measured.
        default: whether it is what is used unless something else is better beyond chance.
    """

    name: str
    folder: Path
    choice: dict[str, Any]
    reference: str | None
    score: float
    cost: dict[str, Any] = field(default_factory=dict)
    default: bool = False


def finalists_of(folder: RunFolder, candidates: Sequence[TrainedCandidate]) -> tuple[Finalist, ...]:
    """The best candidates as they are, the default, and earlier snapshots of the best few.

    Args:
        folder: of the run.
        candidates: each with a score.
    """
    ranked = sorted(candidates, key=lambda c: (-(c.reward or 0.0), c.number))
    taken = [c for index, c in enumerate(ranked) if index < MOST_FINALISTS or c.default]
    ends = [_finalist(folder, c, c.complete[-1]) for c in taken]
    snapshots = [
        _finalist(folder, c, part)
        for c in taken[:WITH_SNAPSHOTS]
        for part in c.complete[-2:-1]
        if (folder.trial(part.number) / WEIGHTS).exists()
    ]
    return (*ends, *snapshots)


def _finalist(folder: RunFolder, candidate: TrainedCandidate, part: TrialRecord) -> Finalist:
    cost = {} if part.outcome is None else asdict(part.outcome.cost)
    return Finalist(
        name=str(part.number),
        folder=folder.trial(part.number),
        choice=candidate.choice,
        reference=None,
        score=part.reward or 0.0,
        cost=cost,
        default=candidate.default and part is candidate.complete[-1],
    )


@dataclass(frozen=True)
class EnsembleJob:
    """What is to be decided, as plain values for a worker.

    Args:
        settings: of the run, with its limits (``settings.objective``).
        prepared: folder of the run's prepared data.
        validation: indices of the validation cases.
        finalists: from which to choose.
        protocol: how forward passes are computed. With its threads the costs of networks are measured, as those of
            all candidates.
        folder: gets the chosen network.
        seconds: within which it is chosen.
        mirror_axes: the spatial axes along which anatomy allows to mirror.
        single: whether only one network may be used. Its views may still be mirrored.
        groups: the patient of each case that shares it with others, by the case's name.
        rule: how members are selected.
        threads: with which everything else is computed.
    """

    settings: RunSettings
    prepared: Path
    validation: tuple[int, ...]
    finalists: tuple[Finalist, ...]
    protocol: TrainingProtocol
    folder: Path
    seconds: float
    mirror_axes: tuple[int, ...] = ()
    single: bool = False
    groups: dict[str, str] = field(default_factory=dict)
    rule: Rule = field(default_factory=Rule)
    threads: int = 1


def in_order(finalists: Sequence[Finalist], *, default_first: bool = False) -> list[Finalist]:
    """Finalists in the order in which they are tried: by score, but some come early, as time may be short.

    The default is the second at the latest, and the best of another choice the third: a snapshot of the same training
    adds less to an ensemble.

    Args:
        finalists: that may be tried.
        default_first: whether the default is the first, so that it is what is used where there is no time for others.
    """
    ordered = sorted(finalists, key=lambda one: -one.score)
    default, place = next((i for i, one in enumerate(ordered) if one.default), 0), 0 if default_first else 1
    if default > place:
        ordered.insert(place, ordered.pop(default))
    choices = [one.choice for one in ordered[:2]]
    other = next((index for index, one in enumerate(ordered) if one.choice not in choices), 0)
    if other > 2:
        ordered.insert(2, ordered.pop(other))
    return ordered


def with_views(words: str, mirror_axes: Sequence[int]) -> str:
    """A network in words, with whether it mirrors images when it predicts.

    >>> with_views("2 networks together", (0,))
    '2 networks together, mirrored views in prediction'
    """
    return f"{words}, mirrored views in prediction" if mirror_axes else words


def composition_of(used: Sequence[tuple[Finalist, float]], mirror_axes: tuple[int, ...]) -> Composition:
    """Finalists with their weights in the mean, as they are kept with a trained network."""
    members = tuple(Member(one.choice, one.reference, weight) for one, weight in used)
    return Composition(members, mirror_axes)


def network_of(
    used: Sequence[tuple[Finalist, float]],
    mirror_axes: tuple[int, ...],
    settings: RunSettings,
    task: NetworkTask,
) -> nn.Module:
    """Finalists as one network, with their weights.

    Args:
        used: with their weights in the mean.
        mirror_axes: the spatial axes along which views are mirrored.
        settings: of the run, whose space makes the networks.
        task: what they get and give.

    Raises:
        RunError: a file of weights is missing, damaged, or of another network.
    """
    from netwright.nn.ensemble import Ensemble
    from netwright.training.weights import load_weights

    network = build_composition(composition_of(used, mirror_axes), settings, task)
    members = network.members if isinstance(network, Ensemble) else [network]
    for member, (finalist, _) in zip(members, used, strict=True):
        load_weights(member, finalist.folder / WEIGHTS)
    return network.eval()


def combined_cost(costs: Sequence[Mapping[str, Any]], views: int = 1) -> dict[str, Any]:
    """What networks cost together, from what they cost alone. What is not known of one is not known of all.

    Args:
        costs: of each, by the fields of `netwright.training.outcome.Cost`.
        views: of each image, mirrored ones among them.
    """
    result: dict[str, Any] = {}
    for name in (one.name for one in fields(Cost)):
        known = [cost[name] for cost in costs if cost.get(name) is not None]
        if len(known) < len(costs):
            result[name] = None
        elif name in _ADDED:
            result[name] = sum(known)
        else:
            result[name] = views * sum(known) if name in _COMPUTED else max(known)
    return result


def measured_cost(
    network: nn.Module, task: NetworkTask, protocol: TrainingProtocol, device: torch.device
) -> dict[str, Any]:
    """What a trained network costs to use: parameters, size, FLOPs of an image, and the times of forward passes.

    Args:
        network: with its weights.
        task: its input and output.
        protocol: how forward passes are computed.
        device: where it is computed.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from netwright.training.cost import FLOAT_BYTES
    from netwright.training.inference_time import inference_ms
    from netwright.training.memory import BYTES_PER_MB

    image = torch.zeros((1, task.channels, *task.size), device=device)
    network.to(device).eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(image)
    parameters = sum(weight.numel() for weight in network.parameters())
    one, batch = (
        inference_ms(network, task, protocol, device, images) for images in (1, protocol.batch_size)
    )
    return {
        "parameters": parameters,
        "size_mb": FLOAT_BYTES * parameters / BYTES_PER_MB,
        "flops": float(counter.get_total_flops()),
        "inference_ms": one,
        "inference_ms_per_batch": batch,
    }
