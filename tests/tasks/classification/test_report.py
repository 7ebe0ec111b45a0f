"""The report of a classification: shares, mistakes, McNemar's test and words that fit images."""

from __future__ import annotations

import base64
import io
import math
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from scipy import stats

from made_up_marl_report import CLASSES, make_classification, make_recognised
from made_up_report import MadeUpReport, render_report
from netwright.report.results import Contestant
from netwright.report.sentences import verdict_sentences
from netwright.report.statistics import bootstrap_interval, paired_comparison
from netwright.report.summaries import summarise
from netwright.tasks.classification.report import ConfusionMatrix, ImageExample, confusions, mistakes
from report_pages import array, plot


@pytest.fixture(scope="module")
def images() -> MadeUpReport:
    return make_classification()


@pytest.fixture(scope="module")
def images_page(images: MadeUpReport) -> str:
    return render_report(images)


def test_confusion_matrix_is_in_the_page_as_it_was(images_page: str, images: MadeUpReport) -> None:
    assert images.confusion is not None
    figure = plot(images_page, "confusion")
    (trace,) = figure["data"]
    counts = images.confusion.counts
    np.testing.assert_array_equal(array(trace["customdata"]), counts)
    np.testing.assert_allclose(array(trace["z"]), counts / counts.sum(axis=1, keepdims=True), rtol=1e-6)
    assert figure["layout"]["yaxis"]["ticktext"] == list(CLASSES)
    assert figure["layout"]["yaxis"]["title"]["text"] == "truth"
    assert trace["text"][0][0] == str(counts[0, 0])


def test_class_without_an_image_divides_nothing_by_zero(images: MadeUpReport) -> None:
    confusion = ConfusionMatrix(("a", "b"), np.array([[3, 1], [0, 0]]))
    (trace,) = plot(render_report(replace(images, confusion=confusion)), "confusion")["data"]
    np.testing.assert_array_equal(array(trace["z"]), [[0.75, 0.25], [np.nan, np.nan]])


def test_a_hundred_classes_show_no_numbers(images: MadeUpReport) -> None:
    names = tuple(f"class {i}" for i in range(100))
    confusion = ConfusionMatrix(names, np.full((100, 100), 2))
    (trace,) = plot(render_report(replace(images, confusion=confusion)), "confusion")["data"]
    assert trace["texttemplate"] == ""
    assert "text" not in trace


def test_most_frequent_confusions_leave_out_what_is_right() -> None:
    counts = np.array([[90, 7, 3], [0, 50, 0], [2, 0, 8]])
    rows = confusions(ConfusionMatrix(("cat", "dog", "ship"), counts))
    assert [(r["truth"], r["prediction"], r["count"], r["share"]) for r in rows] == [
        ("cat", "dog", "7 of 100", "7.0 %"),
        ("cat", "ship", "3 of 100", "3.0 %"),
        ("ship", "cat", "2 of 10", "20.0 %"),
    ]
    assert confusions(ConfusionMatrix(("a", "b"), np.diag([3, 4]))) == []


def test_mistakes_show_the_image_itself_surest_first(images_page: str) -> None:
    image = np.zeros((3, 4, 6), np.float32)
    image[0, 0, 5] = 1.0
    grey = np.linspace(0, 1, 24, dtype=np.float32).reshape(4, 6)
    rows = mistakes(
        [ImageExample(image, "cat", "dog", 0.41, "a"), ImageExample(grey, "ship", "cat", 0.98, "b")]
    )
    assert [(r["truth"], r["prediction"], r["probability"]) for r in rows] == [
        ("ship", "cat", "98 %"),
        ("cat", "dog", "41 %"),
    ]
    shown = [np.asarray(Image.open(io.BytesIO(base64.b64decode(r["uri"].split(",")[1])))) for r in rows]
    np.testing.assert_array_equal(shown[1], np.rint(255 * image).transpose(1, 2, 0))
    np.testing.assert_array_equal(shown[0][..., 2], np.rint(255 * grey))
    assert "6 more are not shown" in " ".join(images_page.split())


def test_an_image_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'a' has shape \(3,\), expected \(height, width\)"):
        mistakes([ImageExample(np.zeros(3, np.float32), "cat", "dog", 0.5, "a")])


def test_words_and_numbers_fit_images(images_page: str, images: MadeUpReport) -> None:
    flat = " ".join(images_page.split())
    right = [score for case in images.contestants[0].scores.values() for score in case.values()]
    assert f"classifies {100 * np.mean(right):.1f} % of unseen images correctly" in flat
    for words in (
        "Comparison on unseen images",
        "Accuracy per class",
        "McNemar",
        "Images taken for another class",
    ):
        assert words in flat
    shown = flat[: flat.index("plotly.js")]
    for words in ("Dice", "sign-flip", "Worst, median", "segments"):
        assert words not in shown
    assert 'data-plot="cases"' not in images_page


def test_accuracy_per_class_is_of_the_images_of_that_class() -> None:
    scores = {"1": {"cat": 1.0}, "2": {"cat": 0.0}, "3": {"dog": 1.0}}
    one = Contestant("searched", "it", "", "complete", "", 10, 1.0, 1, None, scores)
    (summary,) = summarise([one], ("cat", "dog", "ship"))
    assert summary.overall.mean == pytest.approx(2 / 3)
    assert (summary.labels["cat"].mean, summary.labels["dog"].mean) == (0.5, 1.0)
    assert math.isnan(summary.labels["ship"].mean)


@pytest.mark.parametrize(("better", "worse"), [(3, 1), (40, 22), (400, 310), (5, 5), (900, 0)])
def test_paired_test_of_right_and_wrong_is_mcnemars_exact_test(better: int, worse: int) -> None:
    same = 500
    a = np.r_[np.ones(better), np.zeros(worse), np.ones(same)]
    b = np.r_[np.zeros(better), np.ones(worse), np.ones(same)]
    expected = stats.binomtest(better, better + worse, 0.5).pvalue
    assert paired_comparison(a, b).p_value == pytest.approx(expected, rel=1e-9)


def test_interval_of_right_and_wrong_is_that_of_resampled_images() -> None:
    sample = np.r_[np.ones(870), np.zeros(130)]
    low, high = bootstrap_interval(sample)
    reference = stats.bootstrap((sample,), np.mean, method="BCa", n_resamples=5000, rng=1, batch=500)
    assert low == pytest.approx(reference.confidence_interval.low, abs=0.003)
    assert high == pytest.approx(reference.confidence_interval.high, abs=0.003)


def contestant(name: str, accuracy: float, role: str, **costs: float) -> Contestant:
    scores = make_recognised(accuracy, 2000, 0)
    return Contestant(name, name, "", "complete", "", 1_000_000, 60.0, 10, 20.0, scores, role=role, **costs)


def test_verdict_in_points_of_accuracy() -> None:
    mine = contestant("searched", 0.9, "searched")
    other = contestant("the original VGG-16", 0.8, "original")
    told = verdict_sentences([mine, other], CLASSES, "accuracy")
    gain = np.mean([c[k] for c in mine.scores.values() for k in c]) - np.mean(
        [c[k] for c in other.scores.values() for k in c]
    )
    assert f"better by {100 * gain:.1f} points of accuracy, p < 0.001 over 2,000 images" in told[1]
    assert "is above the original's 95 % interval" in told[1]
    told = verdict_sentences(
        [replace(other, name="searched"), replace(mine, name="original", role="original")],
        CLASSES,
        "accuracy",
    )
    assert "worse by" in told[1]
    assert "is below the original's 95 % interval" in told[1]
    assert told[-1] == "In accuracy the original VGG-16 is worse than searched."


def test_one_image_decides_nothing() -> None:
    one = [
        Contestant(n, n, "", "complete", "", 10, 1.0, 1, None, {"a": {"cat": 1.0}})
        for n in ("searched", "other")
    ]
    told = verdict_sentences(one, ("cat",), "accuracy")
    assert "classifies 100.0 % of unseen images correctly (one image only" in told[0]
    assert "1 image is too few to tell a difference" in told[1]
