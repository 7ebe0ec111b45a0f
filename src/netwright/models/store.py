"""A trained network on disk: a folder that is enough to use it, whatever its task."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netwright.data.base import AnyPrepared
from netwright.errors import RunError
from netwright.files import read_json, write_json
from netwright.settings import RunSettings
from netwright.spaces import network_builder
from netwright.tasks import TASKS, task_of_network
from netwright.tasks.base import Predictor, SavedNetwork, Task
from netwright.training.files import WEIGHTS

if TYPE_CHECKING:
    from netwright.training.problem import NetworkTask

ARCHITECTURE = "architecture.json"
PREPROCESSING = "preprocessing.json"


def describe_trained(
    folder: Path,
    settings: RunSettings,
    prepared: AnyPrepared,
    choice: dict[str, Any],
    reference: str | None,
) -> None:
    """Write, beside the weights, what `load_trained` needs to know of them.

    Args:
        folder: of the network.
        settings: of the run.
        prepared: the data that it is trained on.
        choice: of the run's space.
        reference: the name of a hand-made network in place of the choice.
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
        },
    )
    write_json(folder / PREPROCESSING, prepared.preprocessing())


def saved_task(folder: Path) -> Task:
    """The task of the trained network in a folder.

    Raises:
        RunError: there is none, a file of it is damaged, or its task is not known.
    """
    return _task_of(folder, read_json(folder / ARCHITECTURE))


def load_trained(folder: Path, settings: RunSettings, device: str = "auto") -> Predictor:
    """The trained network in a folder.

    Args:
        folder: of the network.
        settings: of the run, whose space makes the network.
        device: where it is to lie.

    Raises:
        RunError: as `saved_task`.
    """
    from netwright.training.device import resolve_device
    from netwright.training.weights import load_weights

    if not (folder / WEIGHTS).exists():
        raise RunError(f"{folder} has no trained network ({WEIGHTS} is missing).")
    architecture = read_json(folder / ARCHITECTURE)
    task = _task_of(folder, architecture)
    build = network_builder(settings.space, architecture["choice"], architecture["reference"])
    network = build(task.network_task(architecture))
    load_weights(network, folder / WEIGHTS)
    chosen = resolve_device(device)
    saved = SavedNetwork(folder, architecture, read_json(folder / PREPROCESSING))
    return task.predictor(network.to(chosen).eval(), saved, chosen)


def _task_of(folder: Path, architecture: Mapping[str, Any]) -> Task:
    try:
        return task_of_network(architecture)
    except KeyError as error:
        raise RunError(
            f"{folder / ARCHITECTURE} names the task {error}: expected one of {', '.join(TASKS)}. It was made by a "
            "newer version, or is damaged."
        ) from None
