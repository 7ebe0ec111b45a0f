"""Writes the page of several runs side by side, and its numbers as tables."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from netwright.errors import StorageError
from netwright.files import write_text
from netwright.report.collect.output import page_path
from netwright.report.compared import ComparedNetwork, ComparedRow, ComparedRuns
from netwright.report.draw.compared import compared_page
from netwright.report.sections import render_page

PAGE = "compared.html"
"""The name of the page in a folder."""

_ROWS = (
    *("network", "runs", "failed", "score", "score_deviation", "cases", "over_cases", "low", "high"),
    *("parameters", "parameters_deviation", "search_seconds", "search_seconds_deviation", "device"),
    *("device_seconds", "device_seconds_deviation", "training_seconds", "training_seconds_deviation"),
)
_RUNS = (
    *("run", "network", "searched", "seed", "status", "score", "low", "high", "parameters"),
    *("search_seconds", "device", "device_seconds", "training_seconds", "description"),
)
_TRIALS = ("run", "network", "trial", "phase", "status", "reward", "parameters", "epochs", "seconds")


def write_compared(compared: ComparedRuns, path: Path, notes: Sequence[str] = ()) -> Path:
    """Writes the page, and beside it three CSV files: ``...-table.csv`` with its table, ``...-runs.csv`` with the
    networks of each run, ``...-trials.csv`` with the trials of their searches.

    Args:
        compared: the runs.
        path: of the page, or the folder for ``compared.html`` (a name without an ending is a folder).
        notes: sentences that stand first in the page.

    Returns:
        The path of the page.

    Raises:
        StorageError: it cannot be written, or another file would be lost.
    """
    path = page_path(path, PAGE)
    tables = {
        "table": (_ROWS, [_of_row(row) for row in compared.rows]),
        "runs": ((*_RUNS, *compared.settings), [_of_run(one, compared) for one in compared.networks]),
        "trials": (_TRIALS, list(_of_trials(compared.networks))),
    }
    files = {name: path.with_name(f"{path.stem}-{name}.csv") for name in tables}
    for name, file in files.items():
        _require_own(file, tables[name][0][:3])
    write_text(path, render_page(compared_page(compared, notes)))
    for name, (head, rows) in tables.items():
        write_text(files[name], _csv(head, rows))
    return path


def _require_own(file: Path, head: Sequence[str]) -> None:
    """Refuses a table that is not one of ours."""
    if not file.exists():
        return
    with file.open("rb") as opened:
        if opened.read(200).startswith(",".join(head).encode()):
            return
    raise StorageError(
        f"{file} already exists and is not a table of netwright, so it is kept. Give another path with -o."
    )


def _of_row(row: ComparedRow) -> list[Any]:
    cases = row.over_cases
    return [
        *(row.title, len(row.runs), row.failed, row.score.mean, row.score.deviation, row.cases),
        *(cases.mean, cases.low, cases.high, row.parameters.mean, row.parameters.deviation),
        *(row.search_seconds.mean, row.search_seconds.deviation, row.device),
        *(row.device_seconds.mean, row.device_seconds.deviation),
        *(row.train_seconds.mean, row.train_seconds.deviation),
    ]


def _of_run(one: ComparedNetwork, compared: ComparedRuns) -> list[Any]:
    return [
        *(one.run, one.row, int(one.searched), one.seed, one.status, one.score.mean, one.score.low),
        *(one.score.high, one.parameters, one.search_seconds, one.device, one.device_seconds),
        *(one.train_seconds, one.description, *(one.settings.get(name, "") for name in compared.settings)),
    ]


def _of_trials(networks: Sequence[ComparedNetwork]) -> Iterator[list[Any]]:
    for one in networks:
        for t in one.course:
            yield [
                *(one.run, one.row, t.number, t.phase, t.status, t.reward, t.parameters, t.epochs),
                t.seconds,
            ]


def _csv(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Numbers are whole; what is not known is empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(head)
    for row in rows:
        writer.writerow(["" if isinstance(v, float) and math.isnan(v) else v for v in row])
    return text.getvalue()
