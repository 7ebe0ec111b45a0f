"""Reports of networks that restore images: pictures, columns and words."""

from __future__ import annotations

import base64
import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from made_up_report import MadeUpReport, make_content, render_report
from netwright.api.evaluation import Evaluation
from netwright.cli.tables import evaluation_lines, metric_lines
from netwright.report.metrics import metric_named, reward_words
from netwright.report.results import Contestant
from netwright.report.sentences import verdict_sentences
from netwright.report.summaries import summarise
from netwright.tasks.inpainting.report import Restoration, restoration_rows

METRICS = ("psnr", "ssim")
PSNR = metric_named("PSNR")


def contestant(name: str, psnr: float, images: int = 40, **changes: float) -> Contestant:
    rng = np.random.default_rng(len(name))
    hardness = np.random.default_rng(0).normal(0, 3, images)
    scores = {
        f"test/{i}.png": {"psnr": psnr + hardness[i] + rng.normal(0, 0.1), "ssim": 0.7 + 0.005 * i}
        for i in range(images)
    }
    return Contestant(name, name, "", "complete", "", 50_000, 60.0, 10, 2.0, scores, **changes)  # type: ignore[arg-type]


SEARCHED, OTHER = contestant("searched", 24.0), contestant("the base", 23.4)


def restoration(role: str = "worst", shape: tuple[int, ...] = (3, 20, 30)) -> Restoration:
    rng = np.random.default_rng(0)
    truth = rng.random(shape, dtype=np.float32)
    given = truth * (rng.random(shape[1:]) < 0.5)
    return Restoration(role, "test/3.png", 21.26, given.astype(np.float32), truth / 2, truth)


@pytest.fixture(scope="module")
def content() -> MadeUpReport:
    return replace(
        make_content(), labels=METRICS, contestants=(SEARCHED, OTHER), metric="PSNR", overlays=(),
        restorations=(restoration(),), reward_name="validation PSNR", settings="", facts=(),
    )  # fmt: skip


def test_what_counts_of_an_image_is_its_psnr() -> None:
    summary = summarise([SEARCHED, OTHER], METRICS, PSNR)[0]
    values = [scores["psnr"] for scores in SEARCHED.scores.values()]
    assert summary.overall.mean == pytest.approx(np.mean(values))
    assert list(summary.case_scores.values()) == values
    assert summary.labels["ssim"].mean == pytest.approx(0.7 + 0.005 * 19.5)


def test_the_verdict_is_in_decibels() -> None:
    told = verdict_sentences([SEARCHED, OTHER], METRICS, "PSNR")
    summaries = summarise([SEARCHED, OTHER], METRICS, PSNR)
    mean, low, high = (getattr(summaries[0].overall, name) for name in ("mean", "low", "high"))
    assert told[0].startswith(
        f"Searched restores unseen images to {mean:.1f} dB PSNR (95 % interval {low:.1f}–{high:.1f} dB)"
    )
    gain = mean - summaries[1].overall.mean
    assert f"better by {gain:.2f} dB, p < 0.001 over 40 images" in told[1]
    lost = verdict_sentences([replace(OTHER, name="searched"), replace(SEARCHED, name="a")], METRICS, "PSNR")
    assert f"worse by {gain:.2f} dB" in lost[1]
    assert lost[-1] == "In PSNR the base is worse than searched."


def test_numbers_are_written_with_their_unit() -> None:
    nan = float("nan")
    assert (PSNR.value(24.26), PSNR.value(nan), PSNR.value(None)) == ("24.3 dB", "–", "–")
    assert PSNR.interval(23.94, 24.76) == "23.9–24.8 dB"
    assert PSNR.interval(-0.3, 1.2) == "-0.3 to 1.2 dB"
    assert PSNR.interval(nan, nan) == ""
    assert (PSNR.difference(-0.314), PSNR.difference_interval(-0.314, 0.2)) == ("−0.31 dB", "−0.31 to +0.20")
    assert (PSNR.amount(-0.31), PSNR.amount(0.004)) == ("0.31 dB", "under 0.01 dB")
    assert metric_named("ssim").value(0.8124) == "0.812"
    assert reward_words(22.41, "psnr", 22.41, plain=True) == "22.4 dB"
    assert reward_words(0.9, "accuracy", 0.9, plain=True) == "0.900", "others as before"
    assert metric_lines({"psnr": 22.41, "ssim": 0.8124}) == [f"{'psnr':<24} 22.4 dB", f"{'ssim':<24} 0.812"]
    lines = evaluation_lines(Evaluation("n", "d", {"psnr": 24.0, "ssim": 0.7}, dict(SEARCHED.scores), ""))  # type: ignore[arg-type]
    worst = min(SEARCHED.scores, key=lambda name: SEARCHED.scores[name]["psnr"])
    assert f"worst  {worst}   {SEARCHED.scores[worst]['psnr']:.1f} dB" in lines


@pytest.mark.parametrize(("shape", "times"), [((3, 20, 30), 7), ((1, 11, 12), 19), ((3, 232, 116), 1)])
def test_pictures_are_given_result_and_truth_side_by_side(shape: tuple[int, ...], times: int) -> None:
    one = restoration(shape=shape)
    (row,) = restoration_rows([one], summarise([SEARCHED, OTHER], METRICS, PSNR), METRICS)
    strip = np.asarray(Image.open(io.BytesIO(base64.b64decode(row["uri"].split(",")[1]))))
    _, height, width = shape
    assert strip.shape == (times * height, 3 * times * width + 8, 3) == (row["height"], row["width"], 3)
    for number, picture in enumerate((one.given, one.result, one.truth)):
        tile = strip[::times, number * (times * width + 4) :][:, : times * width : times]
        expected = np.rint(255 * np.moveaxis(picture, 0, -1)).repeat(3 // shape[0], -1)
        np.testing.assert_array_equal(tile, expected)
    assert row["value"] == "21.3 dB PSNR"
    assert [score["title"] for score in row["scores"]] == ["Searched", "The base"]
    assert row["scores"][0]["values"] == [f"{SEARCHED.scores['test/3.png']['psnr']:.1f} dB", "0.715"]


def test_large_pictures_are_made_smaller_and_odd_ones_refused() -> None:
    (row,) = restoration_rows([restoration(shape=(3, 300, 600))], [], METRICS)
    assert (row["height"], row["width"]) == (116, 3 * 232 + 8)
    with pytest.raises(ValueError, match="expected one"):
        restoration_rows([restoration(shape=(2, 20, 20))], [], METRICS)


def test_the_page_speaks_of_images(content: MadeUpReport) -> None:
    page = render_report(content)
    flat = " ".join(page[: page.index("plotly.js")].split())
    for words in (
        "Comparison on unseen images",
        "restores unseen images",
        "Worst, median and best image",
        "Worst: 21.3 dB PSNR",
        '<th class="number" scope="col">SSIM</th>',
        "PSNR [dB] of a test image",
        "sign-flip",
    ):
        assert words in flat, words
    for words in ("Dice", "segments", "mean of labels", "mean over the labels", "prediction is the truth"):
        assert words not in flat, words
    assert '<th class="number">psnr' not in flat
