"""The results of the final comparison in the run folder: a ``result.json`` for each training."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from netwright.files import number, read_json
from netwright.runs.folder import RunFolder
from netwright.runs.marks import COMPARING, is_of_earlier_study
from netwright.settings import RunSettings
from netwright.tasks import RESULT_NAMES

RESULT = "result.json"
OPENINGS = "test_openings.json"
"""Each time that the test cases were opened, in a run whose trainings go on."""


def openings_file(folder: RunFolder) -> Path:
    """Where it is kept how often the test cases were opened: where the trainings are that several processes share."""
    return (folder.shared_trials or folder.root) / OPENINGS


def read_results(folder: RunFolder) -> list[dict[str, Any]]:
    """The results so far; the winner's comes first. An undefined score is NaN. Version 0.1 called the scores "dice".

    Those of the time before the space was changed are not among them.
    """
    if is_of_earlier_study(folder, COMPARING):
        return []
    files = [folder.winner / RESULT, *sorted((folder.root / "verdict").glob(f"*/{RESULT}"))]
    results = [read_json(file) for file in files if file.exists()]
    return [_with_numbers({"scores": result.get("dice", {}), **result}) for result in results]


def forget_results(folder: RunFolder) -> None:
    """Removes the networks of a final comparison, which is to be made anew."""
    for compared in (folder.winner, folder.root / "verdict"):
        if compared.exists():
            shutil.rmtree(compared)


def training_name(name: str, seed: int) -> str:
    """What one of several trainings of a network is called. ``seed`` counts from 1.

    >>> training_name("searched", 1), training_name("searched", 3)
    ('searched', 'searched/seed-3')
    """
    return name if seed == 1 else f"{name}/seed-{seed}"


def trainings_of(folder: RunFolder, result: Mapping[str, Any]) -> list[tuple[int, dict[str, Any]]]:
    """The number of the seed, from 1, and the result of each training of a network that has one.

    Args:
        folder: of the run.
        result: of the first training.
    """
    files = folder.contestant(result["name"]).glob(f"seed-*/{RESULT}")
    seeds = sorted((int(file.parent.name.removeprefix("seed-")), file) for file in files)
    return [(1, dict(result)), *((seed, _with_numbers(read_json(file))) for seed, file in seeds)]


def used_training(trainings: Sequence[tuple[int, Mapping[str, Any]]], settings: RunSettings) -> int:
    """Which of several trainings of a network is used, by the number of its seed: the best on the validation cases.

    Where these were trained on, it is the first that was trained to the end.

    Args:
        trainings: as `trainings_of`.
        settings: of the run.
    """
    whole = [
        (seed, result["outcome"]) for seed, result in trainings if result["outcome"]["status"] == "complete"
    ]
    if not whole or settings.train.cases == "training+validation":
        return whole[0][0] if whole else 1
    metric = str(settings.objective.metric)
    scores = {seed: number(outcome["metrics"].get(metric)) for seed, outcome in whole}
    return max(scores, key=lambda seed: (scores[seed] == scores[seed], scores[seed], -seed))


def winner_folder(folder: RunFolder) -> Path:
    """The folder of the network that is used: the winner's, or that of its training with the best seed."""
    first = folder.winner / RESULT
    if not first.exists() or not any(folder.winner.glob(f"seed-*/{RESULT}")):
        return folder.winner
    seed = used_training(trainings_of(folder, read_json(first)), folder.settings())
    return folder.contestant(training_name("searched", seed))


def _with_numbers(result: dict[str, Any]) -> dict[str, Any]:
    scores = {
        name: {case: {label: number(value) for label, value in row.items()} for case, row in cases.items()}
        for name, cases in result.items()
        if name in RESULT_NAMES
    }
    return {**result, **scores}
