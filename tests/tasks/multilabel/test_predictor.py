"""A trained network that tells labels, against a linear model in plain numpy and scikit-learn."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, f1_score
from torch import nn

from netwright.data.images.prepared import PreparedImages
from netwright.data.images.settings import ImageSettings
from netwright.data.open import open_any, prepare_any
from netwright.errors import DatasetError
from netwright.report.metrics import METRICS, metric_named
from netwright.report.results import Contestant
from netwright.report.run import ReportedRun
from netwright.report.summaries import Comparison
from netwright.tasks.classification.task import Classification
from netwright.tasks.images import PREDICTIONS, pictures_of
from netwright.tasks.multilabel import report
from netwright.tasks.multilabel.metrics.average_precision import mean_average_precision
from netwright.tasks.multilabel.predictor import LabelPredictor, Table, read_table
from netwright.tasks.multilabel.task import Multilabel, MultilabelTask
from netwright.tasks.multilabel.thresholds import Thresholds, best_threshold, read_thresholds

TRAINED_ON_TRAINING: Any = SimpleNamespace(train=SimpleNamespace(cases="training"))
TRAINED_ON_ALL: Any = SimpleNamespace(train=SimpleNamespace(cases="training+validation"))
VALIDATION = tuple(range(20))


@pytest.fixture(scope="module")
def prepared(several_shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> PreparedImages:
    made = prepare_any(open_any(several_shapes), ImageSettings(), tmp_path_factory.mktemp("cache"))
    assert isinstance(made, PreparedImages)
    return made


@pytest.fixture(scope="module")
def untuned(prepared: PreparedImages) -> LabelPredictor:
    torch.manual_seed(1)
    network = nn.Sequential(nn.Flatten(), nn.Linear(256, 4)).eval()
    task = MultilabelTask(1, prepared.class_names, prepared.size)
    return LabelPredictor(network, task, prepared.preparation, "cpu", Thresholds.usual(4))


def expected_of(
    predictor: LabelPredictor, prepared: PreparedImages, cases: list[int]
) -> tuple[np.ndarray, np.ndarray]:
    layer = predictor.network[1]  # type: ignore[index]
    weights, bias = layer.weight.detach().numpy(), layer.bias.detach().numpy()
    logits = prepared.images(cases).reshape(len(cases), -1).astype(np.float64) @ weights.T + bias
    return 1 / (1 + np.exp(-logits)), np.array([prepared.labels[case] for case in cases])


def test_thresholds_are_chosen_on_the_validation_pictures_and_applied_to_others(
    prepared: PreparedImages, untuned: LabelPredictor, tmp_path: Path
) -> None:
    tuned = Multilabel().finish(untuned, tmp_path, TRAINED_ON_TRAINING, prepared, VALIDATION)
    probabilities, truths = expected_of(untuned, prepared, list(VALIDATION))
    expected = [best_threshold(p, t) for p, t in zip(probabilities.T, truths.T, strict=True)]
    kept = read_thresholds(tmp_path, 4)
    np.testing.assert_allclose(kept.values, expected, rtol=1e-5)
    assert kept.chosen

    test = list(range(20, 40))
    cases = pictures_of(prepared, [prepared.names[case] for case in test])
    results = tuned.results(cases, tmp_path / "predictions")
    probabilities, truths = expected_of(untuned, prepared, test)
    means = tuned.means(results)
    decided = probabilities >= np.array(kept.values)
    assert means["mean_average_precision"] == pytest.approx(average_precision_score(truths, probabilities))
    assert means["macro_f1"] == pytest.approx(f1_score(truths, decided, average="macro"))
    each = average_precision_score(truths, probabilities, average=None)
    assert means["mean_average_precision.ring"] == pytest.approx(each[1])
    table = read_table(tmp_path / "predictions" / PREDICTIONS, prepared.class_names)
    again = mean_average_precision(table.probabilities, truths)
    assert again == pytest.approx(means["mean_average_precision"], rel=1e-12), "ranks are not rounded away"
    assert table.names == tuple(case.name for case in cases)
    np.testing.assert_allclose(table.probabilities, probabilities, atol=1e-5)
    np.testing.assert_array_equal(table.decided, decided)
    assert table.truths is not None
    np.testing.assert_array_equal(table.truths, truths)


def test_validation_pictures_that_were_trained_on_choose_nothing(
    prepared: PreparedImages, untuned: LabelPredictor, tmp_path: Path
) -> None:
    Multilabel().finish(untuned, tmp_path, TRAINED_ON_ALL, prepared, VALIDATION)
    assert read_thresholds(tmp_path, 4) == Thresholds((0.5,) * 4, chosen=False)


def test_a_network_for_classes_says_that_pictures_have_several_labels(several_shapes: Path) -> None:
    with pytest.raises(DatasetError, match="pictures with several labels each; the network tells classes"):
        Classification().require_testable(open_any(several_shapes))


def test_prediction_is_a_table_of_probabilities_and_decisions(
    several_shapes: Path, prepared: PreparedImages, untuned: LabelPredictor, tmp_path: Path
) -> None:
    predictor = replace(untuned, thresholds=Thresholds((0.1, 0.4, 0.6, 0.9), chosen=True))
    (path,) = predictor.predict(several_shapes / "pictures", tmp_path / "out")
    rows = list(csv.DictReader(path.read_text().splitlines()))
    probabilities, _ = expected_of(untuned, prepared, list(range(40)))
    assert [f"pictures/{row['file']}" for row in rows] == list(prepared.names)
    for row, values in zip(rows, probabilities, strict=True):
        for name, value, threshold in zip(prepared.class_names, values, (0.1, 0.4, 0.6, 0.9), strict=True):
            assert float(row[f"probability.{name}"]) == pytest.approx(value, abs=1e-5)
            assert row[f"decision.{name}"] == str(int(value >= threshold))


def test_labels_are_matched_by_their_names(
    prepared: PreparedImages, untuned: LabelPredictor, tmp_path: Path
) -> None:
    cases = pictures_of(prepared, prepared.names)
    other = MultilabelTask(1, prepared.class_names[::-1], prepared.size)
    backward = replace(untuned, task=other)
    truths = backward._truths(cases)
    np.testing.assert_array_equal(truths[:, ::-1], np.array(prepared.labels))
    unknown = replace(untuned, task=MultilabelTask(1, ("disc", "ring", "square", "star"), prepared.size))
    with pytest.raises(
        DatasetError, match=r"has the labels disc, ring, square, triangle; the network knows .*star"
    ):
        unknown.results(cases)


def test_the_report_has_each_label_and_the_pictures_told_worst(
    prepared: PreparedImages, untuned: LabelPredictor, tmp_path: Path
) -> None:
    cases = pictures_of(prepared, prepared.names)
    scores = untuned.results(cases, tmp_path / "predictions")["scores"]
    nothing = Comparison((), prepared.class_names, METRICS["mean_average_precision"])
    run = ReportedRun(None, nothing, tmp_path / "predictions", prepared, cases)  # type: ignore[arg-type]
    before, _ = report.report_sections(run)
    assert before.blocks == (), "the table is of a network before the space was changed"
    searched = Contestant("searched", "it", "", "complete", "", 10, 1.0, 1, None, scores)
    run = replace(run, comparison=replace(nothing, contestants=(searched,)))
    labels, f1 = report.report_sections(run)
    table = labels.blocks[0]
    rows = {row.cells[0].text: [cell.text for cell in row.cells[1:]] for row in table.rows}  # type: ignore[union-attr]
    probabilities, truths = expected_of(untuned, prepared, list(range(40)))
    decided = probabilities >= 0.5
    assert rows["square"] == [
        "12 (30 %)",
        "0.500",
        f"{average_precision_score(truths[:, 2], probabilities[:, 2]):.3f}",
        f"{f1_score(truths[:, 2], decided[:, 2]):.3f}",
        str(int((truths[:, 2] > decided[:, 2]).sum())),
        str(int((truths[:, 2] < decided[:, 2]).sum())),
    ]
    assert f1.blocks == ()
    read = read_table(tmp_path / "predictions" / PREDICTIONS, prepared.class_names)
    pictures = report.worst(run, read, prepared.class_names)
    wrong = [picture for picture in range(40) if (decided[picture] != truths[picture]).any()]
    losses = -np.log(np.where(truths == 1, probabilities, 1 - probabilities)).mean(axis=1)
    expected = sorted(wrong, key=lambda picture: -losses[picture])[: report.WORST]
    assert [picture.name for picture in pictures] == [prepared.names[picture] for picture in expected]
    at = expected[0]
    assert set(pictures[0].missed) == {
        name
        for name, has, got in zip(prepared.class_names, truths[at], decided[at], strict=True)
        if has and not got
    }
    right = Table(read.names, truths.astype(float), truths.astype(bool), truths)
    assert report.worst(run, right, prepared.class_names) == ()


def test_a_case_alone_is_no_better_or_worse() -> None:
    assert not METRICS["mean_average_precision"].of_single_cases
    assert METRICS["dice"].of_single_cases


def test_an_interval_lies_where_the_metric_can_be() -> None:
    assert METRICS["macro_f1"].interval(-0.002, 1.003) == METRICS["macro_f1"].interval(0, 1)
    assert METRICS["macro_f1"].interval(0.25, 0.75) == METRICS["dice"].interval(0.25, 0.75)
    assert METRICS["macro_f1"].interval(float("nan"), float("nan")) == ""


def test_a_sentence_speaks_of_pictures() -> None:
    known = metric_named(METRICS["mean_average_precision"].name)
    assert known.reached_words(0.5) == "reaches 0.500 mean average precision on unseen pictures"
