"""The results of the final comparison in the run folder: a ``result.json`` for each network."""

from __future__ import annotations

from typing import Any

from netwright.files import number, read_json
from netwright.runs.folder import RunFolder
from netwright.tasks import RESULT_NAMES

RESULT = "result.json"
OPENINGS = "test_openings.json"
"""Each time that the test cases were opened, in a run whose trainings go on."""


def read_results(folder: RunFolder) -> list[dict[str, Any]]:
    """The results so far; the winner's comes first. An undefined score is NaN. Version 0.1 called the scores "dice"."""
    files = [folder.winner / RESULT, *sorted((folder.root / "verdict").glob(f"*/{RESULT}"))]
    results = [read_json(file) for file in files if file.exists()]
    return [_with_numbers({"scores": result.get("dice", {}), **result}) for result in results]


def _with_numbers(result: dict[str, Any]) -> dict[str, Any]:
    scores = {
        name: {case: {label: number(value) for label, value in row.items()} for case, row in cases.items()}
        for name, cases in result.items()
        if name in RESULT_NAMES
    }
    return {**result, **scores}
