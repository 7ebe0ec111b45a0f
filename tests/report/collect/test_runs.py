"""Runs side by side: copies of a finished run whose results are made up."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import yaml
from scipy import stats

from netwright.errors import RunError, SettingsError
from netwright.report.collect.runs import ComparedRow, compare_runs
from netwright.runs.folder import RunFolder

Copy = Callable[..., RunFolder]
CASES = [f"case_{number:02d}" for number in range(12)]


@pytest.fixture
def copy(finished_run: Path, tmp_path: Path) -> Copy:
    """Makes a copy of a run with made-up Dice of two networks and other settings."""

    def make(
        name: str,
        winner: Mapping[str, float],
        standard: Mapping[str, float],
        **changes: object,
    ) -> RunFolder:
        root = shutil.copytree(finished_run, tmp_path / name)
        for file, scores in (("winner", winner), ("verdict/monai-unet", standard)):
            path = root / file / "result.json"
            result = json.loads(path.read_text())
            result["scores"] = {case: {"Core": score} for case, score in scores.items()}
            result["outcome"]["cost"]["parameters"] = 1000 * (1 + len(name))
            path.write_text(json.dumps(result))
        settings = yaml.safe_load((root / "run.yaml").read_text())
        for place, value in changes.items():
            table, _, key = place.partition("__")
            if key:
                settings[table][key] = value
            else:
                settings[table] = value
        (root / "run.yaml").write_text(yaml.safe_dump(settings))
        return RunFolder(root)

    return make


def drawn(seed: int, mean: float) -> dict[str, float]:
    values = np.random.default_rng(seed).normal(mean, 0.02, len(CASES))
    return dict(zip(CASES, values.tolist(), strict=True))


def titled(rows: tuple[ComparedRow, ...], title: str) -> ComparedRow:
    (row,) = (row for row in rows if row.title == title)
    return row


def test_means_and_deviations_are_over_runs_of_one_search(copy: Copy) -> None:
    winners, standards = [drawn(n, 0.8) for n in range(3)], [drawn(10 + n, 0.7) for n in range(3)]
    runs = [copy("run" + "x" * n, winners[n], standards[n], seed=n) for n in range(3)]
    found = compare_runs(runs)
    assert found.metric.name == "Dice"
    assert [row.title for row in found.rows][:2] == ["segnas4", "MONAI UNet"]
    searched, standard = found.rows[:2]
    assert searched.runs == tuple(str(run.root) for run in runs)
    for row, scores in ((searched, winners), (standard, standards)):
        means = [np.mean(list(one.values())) for one in scores]
        assert row.score.mean == pytest.approx(np.mean(means))
        assert row.score.deviation == pytest.approx(np.std(means, ddof=1))
    sizes = [4000, 5000, 6000]
    assert (searched.parameters.mean, searched.parameters.deviation) == (5000, np.std(sizes, ddof=1))
    assert searched.search_seconds.mean > 0
    assert np.isnan(standard.search_seconds.mean)
    assert searched.against_first is None


def test_differences_are_paired_over_the_cases_that_both_have(copy: Copy) -> None:
    standard = drawn(1, 0.7)
    better = {case: score + 0.05 + 0.001 * n for n, (case, score) in enumerate(standard.items())}
    runs = [copy("a", better, standard), copy("b", better, dict(list(standard.items())[:6]), seed=1)]
    row = titled(compare_runs(runs).rows, "MONAI UNet")
    assert row.against_first is not None
    assert row.against_first.n == len(CASES)
    expected = np.mean([0.05 + 0.001 * n for n in range(len(CASES))])
    assert row.against_first.mean_difference == pytest.approx(expected)
    test = stats.permutation_test(
        ([better[case] - standard[case] for case in CASES],),
        np.mean,
        permutation_type="samples",
        n_resamples=np.inf,
    )
    assert test.pvalue <= row.against_first.p_value <= 1.0, "it is adjusted for the other rows"


def test_other_searches_have_rows_of_their_own(copy: Copy) -> None:
    scores = drawn(0, 0.8)
    runs = [
        copy("a", scores, scores),
        copy("b", scores, scores, budget__trials=99),
        copy("c", scores, scores, training__learning_rate=0.5, machine__workers=7),
    ]
    rate = f"{runs[0].settings().training.learning_rate:g}"
    found = compare_runs(runs)
    titles = [row.title for row in found.rows if not np.isnan(row.search_seconds.mean)]
    assert titles == [
        f"segnas4, budget.trials=4, training.learning_rate={rate}",
        f"segnas4, budget.trials=99, training.learning_rate={rate}",
        "segnas4, budget.trials=4, training.learning_rate=0.5",
    ]
    standard = [row for row in found.rows if row.title.startswith("MONAI UNet")]
    assert [len(row.runs) for row in standard] == [2, 1], (
        "a standard network that is trained alike is the same"
    )


@pytest.mark.parametrize(
    "change",
    [
        {"preprocessing__normalise": "minmax"},
        {"training__batch_size": 5},
        {"training__epochs": 9},
        {"train__cases": "training+validation"},
        {"verdict__epochs": 7},
        {"space__n": [1, 9]},
    ],
)
def test_a_setting_that_differs_makes_another_search(copy: Copy, change: dict[str, object]) -> None:
    scores = drawn(0, 0.8)
    found = compare_runs([copy("a", scores, scores), copy("b", scores, scores, **change)])
    assert [len(row.runs) for row in found.rows if not np.isnan(row.search_seconds.mean)] == [1, 1]
    titles = [row.title for row in found.rows]
    assert len(set(titles)) == len(titles)


def test_runs_of_other_data_or_without_results_are_told(copy: Copy) -> None:
    scores = drawn(0, 0.8)
    run, other = copy("a", scores, scores), copy("b", scores, scores)
    settings = other.settings_file.read_text()
    values = yaml.safe_load(settings)
    values["dataset"]["path"] = "/elsewhere/Other"
    other.settings_file.write_text(yaml.safe_dump(values))
    with pytest.raises(SettingsError, match=r"found Sample of 8 cases and Other of 8 cases\. Leave one out"):
        compare_runs([run, other])
    other.settings_file.write_text(settings)
    shutil.rmtree(other.winner)
    shutil.rmtree(other.root / "verdict")
    found = compare_runs([run, other])
    assert found.untested == (str(other.root),)
    assert titled(found.rows, "segnas4").runs == (str(run.root),)
    with pytest.raises(RunError, match="netwright resume"):
        compare_runs([other])
