"""A trained network on disk: a folder that is enough to use it, whatever its task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netwright.data.base import AnyPrepared
from netwright.errors import RunError
from netwright.files import read_json, write_json
from netwright.settings import RunSettings, SpecSettings
from netwright.spaces import code_of, network_builder
from netwright.tasks import TASKS, task_of_network
from netwright.tasks.base import SavedNetwork, Task
from netwright.tasks.predictor import Predictor
from netwright.training.files import WEIGHTS

if TYPE_CHECKING:
    from torch import nn

    from netwright.training.problem import NetworkTask

ARCHITECTURE = "architecture.json"
PREPROCESSING = "preprocessing.json"
ENSEMBLE = "ensemble"
FOLDS = "folds"
"""The networks of a cross-validation, which are used as one."""
_OF_FOLD = ("choice", "reference", ENSEMBLE)
"""What of a description may differ between the folds."""


@dataclass(frozen=True)
class Member:
    """A network of an ensemble: a choice of the run's space, or the name of a hand-made network in its place, and its
    weight in the mean.
    """

    choice: dict[str, Any]
    reference: str | None
    weight: float


@dataclass(frozen=True)
class Composition:
    """What an ensemble is made of: see `netwright.nn.ensemble.Ensemble`."""

    members: tuple[Member, ...]
    mirror_axes: tuple[int, ...] = ()

    @property
    def is_plain(self) -> bool:
        """Whether it is one network as it was trained."""
        return len(self.members) == 1 and not self.mirror_axes


def describe_trained(
    folder: Path,
    settings: RunSettings,
    prepared: AnyPrepared,
    choice: dict[str, Any],
    reference: str | None,
    composition: Composition | None = None,
) -> None:
    """Write, beside the weights, what `load_trained` needs to know of them.

    The weights of an ensemble lie in one file, like those of any network.

    Args:
        folder: of the network.
        settings: of the run.
        prepared: the data that it is trained on.
        choice: of the run's space.
        reference: the name of a hand-made network in place of the choice.
        composition: of an ensemble, whose first member ``choice`` and ``reference`` are then; None: a network alone.
    """
    folder.mkdir(parents=True, exist_ok=True)
    task = TASKS[prepared.task]
    for name in task.fitted_files:  # of an earlier training, whose weights are replaced
        (folder / name).unlink(missing_ok=True)
    network_task: NetworkTask = task.problem(prepared, settings).task
    write_json(
        folder / ARCHITECTURE,
        {
            "task": task.name,
            "metric": network_task.metric,
            "reference": reference,
            "space": settings.space.model_dump(mode="json"),
            "choice": choice,
            "channels": network_task.channels,
            "size": list(network_task.size),
            **task.describe(prepared, settings),
            **({} if composition is None or composition.is_plain else {ENSEMBLE: asdict(composition)}),
        },
    )
    write_json(folder / PREPROCESSING, prepared.preprocessing())


def saved_task(folder: Path) -> Task:
    """The task of the trained network in a folder.

    Raises:
        RunError: there is none, a file of it is damaged, or its task is not known.
    """
    return _task_of(folder, read_json(folder / ARCHITECTURE))


def saved_network(folder: Path) -> SavedNetwork:
    """The files of the trained network in a folder.

    Raises:
        RunError: one is missing or damaged.
    """
    return SavedNetwork(folder, read_json(folder / ARCHITECTURE), read_json(folder / PREPROCESSING))


def load_trained(folder: Path, settings: RunSettings, device: str = "auto") -> Predictor:
    """The trained network in a folder.

    Args:
        folder: of the network.
        settings: of the run, whose space makes the network.
        device: where it is to lie.

    Raises:
        RunError: as `saved_task`, or what is kept of an ensemble is damaged.
    """
    from netwright.training.device import resolve_device
    from netwright.training.weights import load_weights

    if not (folder / WEIGHTS).exists():
        raise RunError(f"{folder} has no trained network ({WEIGHTS} is missing).")
    architecture = read_json(folder / ARCHITECTURE)
    task = _task_of(folder, architecture)
    network = _built(folder, architecture, _as_saved(settings, architecture), task.network_task(architecture))
    load_weights(network, folder / WEIGHTS)
    chosen = resolve_device(device)
    saved = SavedNetwork(folder, architecture, read_json(folder / PREPROCESSING))
    return task.predictor(network.to(chosen).eval(), saved, chosen)


def _as_saved(settings: RunSettings, architecture: Mapping[str, Any]) -> RunSettings:
    """The settings with the space that a network was chosen in, if the run's was changed since.

    A user's code is always what the run names, which was trusted.
    """
    saved = architecture.get("space")
    if not isinstance(saved, dict) or settings.storage.url is not None or settings.storage.study is None:
        return settings
    own = settings.space
    if (saved.get("name"), code_of(SpecSettings(**saved))) != (own.name, code_of(own)):
        return settings
    kept = {name: own.options[name] for name in ("folder", "fingerprint") if name in own.options}
    return settings.model_copy(update={"space": SpecSettings(**{**saved, **kept})})


def _built(
    folder: Path, architecture: Mapping[str, Any], settings: RunSettings, task: NetworkTask
) -> nn.Module:
    """The network in a folder, without its weights."""
    if FOLDS not in architecture:
        return build_composition(_composition_of(folder, architecture), settings, task)
    from netwright.nn.ensemble import Ensemble
    from netwright.nn.renormalised import Renormalised

    folds = architecture[FOLDS]
    if not isinstance(folds, list) or not folds or not all(isinstance(one, dict) for one in folds):
        raise RunError(
            f"{folder / ARCHITECTURE} is damaged ({FOLDS}): expected the networks of the folds. Restore it from a copy."
        )
    networks = [
        build_composition(_composition_of(folder, {**architecture, **one}), settings, task) for one in folds
    ]
    return Ensemble([Renormalised(network, task.channels) for network in networks], output=task.output)


def join_folds(folders: Sequence[Path], folder: Path, settings: RunSettings) -> None:
    """Writes the ensemble of trained networks into a folder, from where `load_trained` has it as one network.

    All count alike. Each may itself be an ensemble. They were trained on different parts of one dataset.

    Args:
        folders: of the networks.
        folder: to write to; made where it does not exist.
        settings: of their runs, whose space makes the networks.

    Raises:
        RunError: a file is missing or damaged, or the networks are not for the same input and output.
        StorageError: the folder cannot be written to.
    """
    from netwright.nn.ensemble import Ensemble
    from netwright.nn.renormalised import Renormalised
    from netwright.training.weights import save_weights

    saved = [saved_network(one) for one in folders]
    task = saved_task(folders[0])
    common, *others = ({k: v for k, v in one.architecture.items() if k not in _OF_FOLD} for one in saved)
    for one, other in zip(folders[1:], others, strict=True):
        if other != common:
            apart = sorted(k for k in {*common, *other} if common.get(k) != other.get(k))
            raise RunError(
                f"{folders[0]} and {one} cannot be used as one network: expected networks for the same data, but they "
                f"differ in {', '.join(apart)}."
            )
    folder.mkdir(parents=True, exist_ok=True)
    # Weights are never with the description of others.
    (folder / WEIGHTS).unlink(missing_ok=True)
    joined = task.join(saved, folder)
    networks = [
        Renormalised(load_trained(one, settings, "cpu").network, len(joined.images)).between(
            joined.images, own
        )
        for one, own in zip(folders, joined.members, strict=True)
    ]
    folds = [{k: v for k, v in one.architecture.items() if k in _OF_FOLD} for one in saved]
    write_json(folder / ARCHITECTURE, {**common, "choice": {}, "reference": None, FOLDS: folds})
    write_json(folder / PREPROCESSING, joined.preprocessing)
    save_weights(Ensemble(networks, output=task.network_task(common).output), folder / WEIGHTS)


def build_composition(composition: Composition, settings: RunSettings, task: NetworkTask) -> nn.Module:
    """The network, or the ensemble of networks, without its weights.

    Args:
        composition: what it is made of.
        settings: of the run, whose space makes the networks.
        task: what it gets and gives.
    """
    from netwright.nn.ensemble import Ensemble

    networks = [
        network_builder(settings.space, member.choice, member.reference)(task)
        for member in composition.members
    ]
    if composition.is_plain:
        network: nn.Module = networks[0]
        return network
    weights = [member.weight for member in composition.members]
    return Ensemble(networks, weights, composition.mirror_axes, task.output)


def _composition_of(folder: Path, architecture: Mapping[str, Any]) -> Composition:
    if ENSEMBLE not in architecture:
        return Composition((Member(architecture["choice"], architecture["reference"], 1.0),))
    try:
        kept = architecture[ENSEMBLE]
        members = tuple(
            Member(dict(member["choice"]), member["reference"], float(member["weight"]))
            for member in kept["members"]
        )
        axes = tuple(int(axis) for axis in kept["mirror_axes"])
        dimensions = len(architecture["size"])
        if not members or not all(member.weight > 0 for member in members):
            raise ValueError("expected members with positive weights")
        if len(set(axes)) != len(axes) or not all(0 <= axis < dimensions for axis in axes):
            raise ValueError(f"the axes to mirror must be different and from 0 to {dimensions - 1}")
        return Composition(members, axes)
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(
            f"{folder / ARCHITECTURE} is damaged ({ENSEMBLE}: {error!r}): expected members with choice, reference and "
            "weight, and axes to mirror. Restore it from a copy."
        ) from None


def _task_of(folder: Path, architecture: Mapping[str, Any]) -> Task:
    try:
        return task_of_network(architecture)
    except KeyError as error:
        raise RunError(
            f"{folder / ARCHITECTURE} names the task {error}: expected one of {', '.join(TASKS)}. It was made by a "
            "newer version, or is damaged."
        ) from None
