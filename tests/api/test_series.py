"""Several runs of one search, each with another seed and division of the data."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from netwright.api.series import Series, create_series, open_series, runs_in
from netwright.errors import FolderTaken, RunError, SettingsError, SettingsWarning
from netwright.planning.user_settings import UserSettings
from netwright.report.summaries import SEARCHED
from netwright.runs.results import read_results
from netwright.runs.series import SeriesPlan
from netwright_tests import SMALL

Command = Callable[..., subprocess.CompletedProcess[str]]
FEW = UserSettings(
    trials=1,
    epochs=1,
    workers=1,
    seed=4,
    assignments={"space.n": [1, 4], "space.p": [1, 3], "verdict.epochs": 1, "verdict.references": []},
)


@pytest.mark.slow  # the series below is run and compared, too
@pytest.mark.usefixtures("shared_workers")
def test_what_was_left_off_goes_on_with_the_runs_that_are_missing(
    dataset: Path, netwright: Command, tmp_path: Path
) -> None:
    series = create_series(dataset, "segnas4", FEW, tmp_path / "series", 2)
    (first,) = series.runs
    first.resume()
    written = first.folder.report.stat().st_mtime_ns
    assert len(series.runs) == 1

    done = netwright("resume", series.root)
    assert done.returncode == 0, done.stderr
    series = open_series(series.root)
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
    assert f"report     {series.root / 'report.html'}" in done.stdout
    assert "2 runs on Sample" in (series.root / "report.html").read_text()
    status = json.loads(netwright("status", series.root, "--json").stdout)
    assert [one["phase"] for one in status] == ["finished", "finished"]

    refused = netwright("resume", series.root, "--hours", 1)
    assert refused.returncode == 2
    assert "split-1" in refused.stderr


NAMES = [f"phantom_{number:03d}" for number in range(8)]


@pytest.mark.filterwarnings("ignore::netwright.errors.SettingsWarning")
@pytest.mark.parametrize("fold", [None, 0])
def test_each_run_takes_the_next_fold(fold: int | None, dataset: Path, tmp_path: Path) -> None:
    folds = [{"train": NAMES[:4], "val": NAMES[4:6]}, {"train": NAMES[2:6], "val": NAMES[6:]}]
    file = tmp_path / "splits_final.json"
    file.write_text(json.dumps(folds))
    given = {**(FEW.assignments or {}), "dataset.split_file": file}
    given |= {} if fold is None else {"dataset.fold": fold}
    user = replace(FEW, assignments=given)
    series = create_series(dataset, "segnas4", user, tmp_path / "series", 2)
    reopened = open_series(series.root)
    runs = [series.runs[0], reopened._run(2, trust_code=False)]
    validation = [set(run.folder.splits().validation) for run in runs]
    assert validation == [set(one["val"]) for one in folds]
    with pytest.raises(SettingsError, match=r"has 2 folds: expected 3 .* at most --splits 2"):
        create_series(dataset, "segnas4", user, tmp_path / "more", 3)
    assert not (tmp_path / "more").exists()


@pytest.mark.filterwarnings("ignore::netwright.errors.SettingsWarning")
def test_what_a_file_leaves_open_is_drawn_for_each_run(dataset: Path, tmp_path: Path) -> None:
    file = tmp_path / "parts.csv"
    file.write_text("case,part\n" + "".join(f"{name},{'test' * (name == NAMES[3])}\n" for name in NAMES))
    user = replace(FEW, assignments={**(FEW.assignments or {}), "dataset.split_file": str(file)})
    series = create_series(dataset, "segnas4", user, tmp_path / "series", 4)
    runs = [series._run(number, trust_code=False) for number in range(1, 5)]
    assert all(run.folder.splits().test == (NAMES[3],) for run in runs)
    assert len({run.folder.splits().validation for run in runs}) > 1


def test_it_is_told_that_a_start_from_another_run_leaves_no_other_test_cases(
    dataset: Path, finished_run: Path, tmp_path: Path
) -> None:
    started = {**(FEW.assignments or {}), "start_from.path": str(finished_run)}
    with pytest.warns(SettingsWarning, match="All runs have the same test cases"):
        series = create_series(dataset, "segnas4", replace(FEW, assignments=started), tmp_path / "series", 2)
    splits = [series._run(number, trust_code=False).folder.splits() for number in (1, 2)]
    assert splits[0] == splits[1]


def test_a_series_without_a_comparison_ends_well_and_a_damaged_one_is_told(
    dataset: Path, netwright: Command, tmp_path: Path
) -> None:
    root = tmp_path / "series"
    words = ["--recipe", "segnas4", "--trials", 1, *SMALL, "--splits", 2, "--verdict-hours", 0, "--seed", 3]
    done = netwright("search", dataset, "-o", root, *words)
    assert done.returncode == 0, done.stderr
    assert f"report     {root / 'split-2' / 'report.html'}" in done.stdout
    assert [one.folder.root.name for one in runs_in([root, root / "split-1"])] == ["split-1", "split-2"]
    repeated = UserSettings(repeat=open_series(root).runs[0].settings)
    again = create_series(dataset, None, repeated, tmp_path / "again", 2)
    assert again.runs[0].settings.seed == 3
    shutil.rmtree(root / "split-1")
    with pytest.raises(RunError, match="split-1"):
        Series(root, SeriesPlan(1)).resume()
    (root / "series.json").write_text("[]")
    with pytest.raises(RunError, match="damaged"):
        open_series(root)


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
