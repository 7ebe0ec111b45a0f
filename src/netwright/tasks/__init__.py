"""What networks are trained for: a folder for each task, and an entry in `TASKS`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from netwright.tasks.base import Task
from netwright.tasks.classification.task import Classification
from netwright.tasks.inpainting.task import Inpainting
from netwright.tasks.multilabel.task import Multilabel
from netwright.tasks.segmentation.task import Segmentation

TASKS: dict[str, Task] = {
    task.name: task for task in (Segmentation(), Classification(), Multilabel(), Inpainting())
}
"""By the name that datasets, prepared data and saved networks give as their ``task``."""

RESULT_NAMES = tuple(dict.fromkeys(name for task in TASKS.values() for name in task.result_names))
"""The keys of ``result.json`` under which there is case -> label, class or metric -> score."""


def task_of_metric(name: str) -> Task:
    """The task that a metric is of, ``psnr`` or ``dice.heart``; segmentation for one that none has."""
    metric = name.partition(".")[0]
    return next((task for task in TASKS.values() if metric in task.metrics), TASKS["segmentation"])


def task_of_network(architecture: Mapping[str, Any]) -> Task:
    """The task of a saved network, from what is kept of it: its name, in older ones its metric; those of version 0.1
    have neither, and segment.

    Raises:
        KeyError: it is none of `TASKS`.
    """
    if "task" in architecture:
        return TASKS[architecture["task"]]
    by_metric = {task.metric: task for task in TASKS.values()}
    return by_metric[architecture.get("metric", TASKS["segmentation"].metric)]
