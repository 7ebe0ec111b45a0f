"""Several runs of one search, each with another seed and division of the data."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from netwright.api.series import create_series, open_series
from netwright.errors import FolderTaken, SettingsError
from netwright.planning.user_settings import UserSettings
from netwright.report.summaries import SEARCHED
from netwright.runs.results import read_results

Command = Callable[..., subprocess.CompletedProcess[str]]
FEW = UserSettings(
    trials=1,
    epochs=1,
    workers=1,
    seed=4,
    assignments={"space.n": [1, 4], "space.p": [1, 3], "verdict.epochs": 1, "verdict.references": []},
)


@pytest.mark.usefixtures("shared_workers")
def test_what_was_left_off_goes_on_with_the_runs_that_are_missing(
    dataset: Path, netwright: Command, tmp_path: Path
) -> None:
    series = create_series(dataset, "segnas4", FEW, tmp_path / "series", 2)
    (first,) = series.runs
    first.resume()
    written = first.folder.report.stat().st_mtime_ns
    assert not series.finished

    done = netwright("resume", series.root)
    assert done.returncode == 0, done.stderr
    series = open_series(series.root)
    assert series.finished
    assert first.folder.report.stat().st_mtime_ns == written, "what was finished stays"
    runs = series.runs
    assert [run.settings.seed for run in runs] == [4, 5]
    assert runs[0].folder.splits() != runs[1].folder.splits()
    values = [run.settings.model_dump(exclude={"seed", "machine"}) for run in runs]
    assert values[0] == values[1]
    dice = [
        [score for case in result["scores"].values() for score in [sum(case.values()) / len(case)]]
        for run in runs
        for result in read_results(run.folder)
        if result["name"] == SEARCHED
    ]
    means = [sum(cases) / len(cases) for cases in dice]
    compared = json.loads(netwright("compare", series.root, "--json").stdout)
    assert compared["rows"][0]["score"]["mean"] == pytest.approx(sum(means) / 2)
    table = netwright("compare", *(run.folder.root for run in runs)).stdout
    assert table in done.stdout, "the same table ends the series"
    status = json.loads(netwright("status", series.root, "--json").stdout)
    assert [one["phase"] for one in status] == ["finished", "finished"]

    refused = netwright("resume", series.root, "--hours", 1)
    assert refused.returncode == 2
    assert "split-1" in refused.stderr


def test_each_run_takes_the_next_fold(dataset: Path, tmp_path: Path) -> None:
    names = [f"phantom_{number:03d}" for number in range(8)]
    folds = [{"train": names[:4], "val": names[4:6]}, {"train": names[2:6], "val": names[6:]}]
    file = tmp_path / "splits_final.json"
    file.write_text(json.dumps(folds))
    given = {**(FEW.assignments or {}), "dataset.split_file": file, "dataset.fold": 0}
    series = create_series(dataset, "segnas4", replace(FEW, assignments=given), tmp_path / "series", 2)
    reopened = open_series(series.root)
    runs = [series.runs[0], reopened._run(2, trust_code=False)]
    validation = [set(run.folder.splits().validation) for run in runs]
    assert validation == [set(fold["val"]) for fold in folds]


def test_what_cannot_be_is_refused_before_anything_is_written(dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="expected 2 or more"):
        create_series(dataset, "segnas4", FEW, tmp_path / "series", 1)
    wrong = UserSettings(assignments={"training.learning_rat": 1})
    with pytest.raises(SettingsError, match="learning_rat"):
        create_series(dataset, "segnas4", wrong, tmp_path / "series", 2)
    assert not (tmp_path / "series").exists()
    (tmp_path / "series").mkdir()
    (tmp_path / "series" / "mine.txt").write_text("mine")
    with pytest.raises(FolderTaken):
        create_series(dataset, "segnas4", FEW, tmp_path / "series", 2)
