"""Runs side by side: copies of a finished run whose results are made up."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from scipy import stats

from netwright.errors import RunError, SettingsError, StorageError
from netwright.report.collect.compared_page import write_compared
from netwright.report.collect.nnunet_summary import read_summary
from netwright.report.collect.runs import compare_runs
from netwright.report.collect.searches import key_of
from netwright.report.compared import ComparedRow, Spread
from netwright.report.draw.compared import device_words
from netwright.report.draw.compared_figures import bars_over_setting, boxes_of_runs, courses_of_runs, places
from netwright.runs.folder import RunFolder
from netwright.settings import RunSettings
from simulated_race import settings_of

Copy = Callable[..., RunFolder]
CASES = [f"case_{number:02d}" for number in range(12)]
SUMMARY = Path(__file__).resolve().parents[2] / "fixtures" / "nnunet_summary.json"
"""Written by nnUNetv2_evaluate_simple of nnunetv2 2.8.1: Dice 0.8 of label 1 in three cases; label 2 is found without a
mistake in two, and absent from the third."""


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


def test_what_a_race_measures_of_the_machine_makes_no_other_search(tmp_path: Path) -> None:
    def race(**more: object) -> RunSettings:
        return settings_of(tmp_path, race={"first_seconds": 30, **more})

    measured = race(first_seconds=12.5, validation_seconds=0.07, most_flops=2e9, used_seconds=8.1)
    assert key_of(race()) == key_of(measured)
    for other in (race(rule="freeze-thaw"), race(single=True), race(only_default=True)):
        assert key_of(race()) != key_of(other)


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


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_a_page_and_its_numbers_over_a_setting(copy: Copy, tmp_path: Path) -> None:
    """As Figs. 11 to 13 of the Q-learning paper: three runs for each of two decay rates."""
    rates, winners = (0.99, 0.9), {(n, r): drawn(10 * n + r, 0.8) for n in range(2) for r in range(3)}
    runs = [
        copy(
            f"rate-{n}-{r}",
            winners[n, r],
            drawn(50 + r, 0.7),
            seed=r,
            objective__metric="dice",
            strategy=spec(rate),
        )
        for n, rate in enumerate(rates)
        for r in range(3)
    ]
    failed = json.loads((runs[0].contestant("monai-unet") / "result.json").read_text())
    failed["outcome"] |= {"status": "out_of_memory", "reason": "16 GB"}
    (runs[0].contestant("monai-unet") / "result.json").write_text(json.dumps({**failed, "scores": {}}))

    compared = compare_runs(runs)
    assert compared.by == "strategy.rate"
    assert compared.settings == ("strategy.rate",)
    assert titled(compared.rows, "MONAI UNet").failed == "1 out of memory"
    assert len(titled(compared.rows, "MONAI UNet").runs) == 5
    assert places(compared)[:2] == ["0.9", "0.99"], "in order of number"
    bars, line = bars_over_setting(compared).data
    means = {n: [np.mean(list(winners[n, r].values())) for r in range(3)] for n in range(2)}
    assert list(bars.x) == ["0.9", "0.99"]
    assert list(bars.y) == pytest.approx([np.mean(means[1]), np.mean(means[0])])
    assert list(bars.error_y.array) == pytest.approx([np.std(means[n], ddof=1) for n in (1, 0)])
    assert list(line.y) == [1000 * (1 + len("rate-0-0"))] * 2
    boxes = [box for box in boxes_of_runs(compared).data if box.name == "segnas4" and box.xaxis == "x"]
    assert sorted(boxes[0].x) == pytest.approx(sorted([*means[0], *means[1]]))
    panels = courses_of_runs(compared)
    assert [note.text for note in panels.layout.annotations] == ["strategy.rate 0.9", "strategy.rate 0.99"]
    assert len(panels.data) == 6
    assert panels.layout.xaxis.dtick == 1, "there is no half a trial"
    exploring = tuple(
        replace(one, course=tuple(replace(trial, phase="exploration") for trial in one.course))
        for one in compared.networks
    )
    page = write_compared(replace(compared, networks=exploring), tmp_path / "exploring")
    assert "No search went on after its exploration phase" in page.read_text()

    page = write_compared(compared, tmp_path / "page", ["A note & more."])
    text = page.read_text()
    assert "A note &amp; more." in text
    assert "1 out of memory" in text
    rows, networks, trials = (
        table(page.with_name(f"compared-{name}.csv")) for name in ("table", "runs", "trials")
    )
    assert [row["network"] for row in rows] == [row.title for row in compared.rows]
    assert float(rows[0]["score"]) == compared.rows[0].score.mean
    mine = [row for row in networks if row["searched"] == "1"]
    assert [(row["run"], row["strategy.rate"]) for row in mine] == [
        (str(run.root), f"{rate:g}")
        for run, rate in zip(runs, (rates[0],) * 3 + (rates[1],) * 3, strict=True)
    ]
    assert len(trials) == 6 * 4, "each search had four trials"
    assert write_compared(compared, tmp_path / "page") == page, "its own files are replaced"
    page.with_name("compared-runs.csv").write_text("mine")
    with pytest.raises(StorageError, match=r"compared-runs\.csv already exists"):
        write_compared(compared, tmp_path / "page")


def spec(rate: float) -> dict[str, object]:
    return {"name": "random", "rate": rate}


def test_only_a_setting_that_differs_can_be_compared_by(copy: Copy) -> None:
    scores = drawn(0, 0.8)
    runs = [copy("a", scores, scores), copy("b", scores, scores, budget__trials=99)]
    with pytest.raises(SettingsError, match=r"which are budget\.trials"):
        compare_runs(runs, by="seed")
    runs.append(copy("c", scores, scores, training__learning_rate=0.5))
    assert compare_runs(runs).by is None, "they differ in two settings"
    compared = compare_runs(runs, by="budget.trials")
    groups = {one.group for one in compared.networks if one.searched}
    rate = f"{runs[0].settings().training.learning_rate:g}"
    assert groups == {f"segnas4, training.learning_rate={rate}", "segnas4, training.learning_rate=0.5"}
    assert len(bars_over_setting(compared).data) == 4


def test_costs_are_in_gpu_days_as_in_papers() -> None:
    assert device_words(Spread.of([86400 * 3 * 2.2, 86400 * 3 * 2.0]), "GPU") == "6.3 ± 0.42 GPU days"
    assert device_words(Spread.of([7200.0]), "core") == "2.0 core hours"
    assert device_words(Spread.of([]), "") == "–"


def labelled(run: RunFolder, scores: Mapping[str, float]) -> RunFolder:
    """The run, with these scores of two labels."""
    for path in run.root.glob("**/result.json"):
        result = json.loads(path.read_text())
        result["scores"] = {case: {"Core": score, "Rim": score} for case, score in scores.items()}
        path.write_text(json.dumps(result))
    return run


def test_a_summary_of_nnunet_stands_beside_the_runs(copy: Copy, tmp_path: Path) -> None:
    run = labelled(copy("run", {}, {}), dict.fromkeys(CASES, 0.7))
    folder = tmp_path / "Dataset001_A" / "nnUNetTrainer__nnUNetPlans__3d_fullres"
    folds = [folder / f"fold_{number}" / "validation" / "summary.json" for number in (0, 1)]
    for fold in folds:
        fold.parent.mkdir(parents=True)
        shutil.copy(SUMMARY, fold)
    compared = compare_runs([run], summaries=[read_summary(fold) for fold in folds])
    row = titled(compared.rows, "nnU-Net 3d_fullres (nnUNetTrainer, nnUNetPlans)")
    assert row.runs == tuple(map(str, folds))
    means = [0.9, 0.9, 0.8]  # of the labels that are defined
    assert row.score.mean == row.over_cases.mean == pytest.approx(np.mean(means))
    assert row.cases == 3
    assert np.isnan(row.search_seconds.mean)
    assert np.isnan(row.parameters.mean)
    assert row.against_first is not None
    assert row.against_first.n == 3
    assert row.against_first.mean_difference == pytest.approx(0.7 - np.mean(means))
    page = write_compared(compared, tmp_path / "page")
    assert "nnU-Net 3d_fullres" in page.read_text()
    assert "nnU-Net 3d_fullres" in page.with_name("compared-runs.csv").read_text()


def test_the_command_compares_with_a_summary(
    copy: Copy, netwright: Callable[..., object], tmp_path: Path
) -> None:
    run = labelled(copy("run", {}, {}), dict.fromkeys(CASES, 0.7))
    file = Path(shutil.copy(SUMMARY, tmp_path / "summary.json"))
    done = netwright("compare", run.root, file)
    assert done.returncode == 0, done.stderr
    (line,) = (line for line in done.stdout.splitlines() if line.startswith(f"nnU-Net ({tmp_path.name})"))
    assert "0.867" in line
    done = netwright("compare", file)
    assert done.returncode == 1
    assert "expected the folders of finished runs" in done.stderr


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "found no JSON"),
        ("[" * 200_000, "found no JSON"),
        ("[]", "found no metric_per_case"),
        ('{"metric_per_case": []}', "metric_per_case without cases"),
        ('{"metric_per_case": [{"metrics": {}}]}', "KeyError"),
        ('{"metric_per_case": [{"prediction_file": "a.nii.gz", "metrics": {"1": {"IoU": 1}}}]}', "Dice"),
        (
            '{"metric_per_case": [{"prediction_file": "a.nii.gz", "metrics": {"0": {"Dice": 1}}}]}',
            "without labels",
        ),
    ],
)
def test_files_that_are_no_summary_are_refused(tmp_path: Path, text: str, told: str) -> None:
    file = tmp_path / "summary.json"
    file.write_text(text)
    with pytest.raises(SettingsError, match=told):
        read_summary(file)


def test_summaries_of_other_cases_labels_or_metrics_are_refused(copy: Copy) -> None:
    summary = read_summary(SUMMARY)
    run = labelled(copy("other-cases", {}, {}), {"hippocampus_001": 0.7})
    with pytest.raises(SettingsError, match="expected cases such as hippocampus_001, found case_00"):
        compare_runs([run], summaries=[summary])
    scores = drawn(0, 0.8)
    with pytest.raises(
        SettingsError, match="has the labels 1, 2: expected as many as the runs, which have Core"
    ):
        compare_runs([copy("one-label", scores, scores)], summaries=[summary])
    run = copy("by-accuracy", scores, scores, objective__metric="accuracy")
    with pytest.raises(SettingsError, match="compared by accuracy: expected runs that are scored by Dice"):
        compare_runs([run], summaries=[summary])
