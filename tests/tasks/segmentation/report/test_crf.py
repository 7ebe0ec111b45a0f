"""The sections on the CRF and on distances: figures as they were measured, in plain words, or nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from made_up_report import MadeUpReport, make_content, render_report
from netwright.report.results import Contestant
from netwright.tasks.segmentation.crf_fitting import FittedCRF
from netwright.tasks.segmentation.dense_crf import DenseCRF
from netwright.tasks.segmentation.metrics.surface_distance import HAUSDORFF
from netwright.tasks.segmentation.report.crf import CRF as FITTED
from netwright.tasks.segmentation.report.crf import (
    WITH_UNKEPT_CRF,
    WITHOUT_CRF,
    crf_rows,
    crf_sentence,
)
from netwright.tasks.segmentation.report.distances import distance_table

LABELS = ("anterior", "posterior")
CRF = DenseCRF(0.0, 1.0, 3.0, 2.0, 0.1)
KEPT = FittedCRF(True, "it helps", CRF, 20, 20, 0.859, 0.8619, 0.0022, 0.0009, 33, 60.0, False)
NOT_KEPT = replace(KEPT, kept=False, reason="no weights raised it", crf=None)


def network(name: str, fitted: FittedCRF | None, gain: float = 0.0, cases: int = 20) -> Contestant:
    rng = np.random.default_rng(0)
    rows = {f"case {i:02d}": dict(zip(LABELS, rng.uniform(0.7, 0.9, 2), strict=True)) for i in range(cases)}
    better = {case: {k: v + gain for k, v in row.items()} for case, row in rows.items()}
    without = rows if fitted is not None and fitted.kept else {}
    distances = {case: {"anterior": 1.0 + i % 3, "posterior": 2.0} for i, case in enumerate(rows)}
    return Contestant(
        name, f"the {name} <network>", "", "complete", "", 1000, 1.0, 3, 1.0,
        scores=better, details={HAUSDORFF: distances, WITHOUT_CRF: without, FITTED: fitted},
    )  # fmt: skip


@pytest.fixture(scope="module")
def content() -> MadeUpReport:
    return make_content()


def test_effect_on_the_test_cases_is_the_paired_difference() -> None:
    contestant = network("searched", KEPT, 0.01)
    (row,) = crf_rows([contestant], LABELS)
    assert [effect["label"] for effect in row["effects"]] == ["mean of labels", *LABELS]
    assert {effect["difference"] for effect in row["effects"]} == {"+0.0100"}
    assert {effect["interval"] for effect in row["effects"]} == {"+0.0100 to +0.0100"}
    anterior = [case["anterior"] for case in contestant.details[WITHOUT_CRF].values()]
    assert row["effects"][1]["without"] == f"{np.mean(anterior):.3f}"
    assert row["effects"][1]["with"] == f"{np.mean(anterior) + 0.01:.3f}"
    assert row["weights"] == ["appearance 3, 2 mm, intensity 0.1"]
    assert (row["without"], row["with"], row["gain"], row["error"]) == (
        "0.859",
        "0.862",
        "+0.0022",
        "± 0.0009",
    )


@pytest.mark.parametrize(
    ("gain", "words"), [(0.01, "(better"), (-0.01, "(worse"), (0.0, "(no measurable difference")]
)
def test_the_sentence_says_whether_it_helped(gain: float, words: str) -> None:
    assert words in crf_sentence([network("searched", KEPT, gain)], LABELS)


def of_patients(contestant: Contestant, frames: int = 2) -> Contestant:
    """Each case so many times, as frames of one patient."""

    def repeated(rows: Mapping[str, Any]) -> dict[str, Any]:
        return {f"{case} frame {i}": row for case, row in rows.items() for i in range(frames)}

    details = {
        name: repeated(value) if name in (WITHOUT_CRF, HAUSDORFF) else value
        for name, value in contestant.details.items()
    }
    groups = {f"{case} frame {i}": case for case in contestant.scores for i in range(frames)}
    return replace(contestant, scores=repeated(contestant.scores), details=details, groups=groups)


def uneven(contestant: Contestant) -> Contestant:
    """The same with gains and distances that differ from case to case."""
    rng = np.random.default_rng(1)
    scores = {
        case: {k: v + rng.normal(0, 0.01) for k, v in row.items()} for case, row in contestant.scores.items()
    }
    distances = {case: {label: rng.uniform(1, 4) for label in LABELS} for case in scores}
    return replace(contestant, scores=scores, details={**contestant.details, HAUSDORFF: distances})


def test_patients_are_counted_not_their_frames() -> None:
    """Each case twice, as frames of one patient: that adds no knowledge, and must change no figure."""
    once = uneven(network("searched", KEPT, 0.005))
    twice = of_patients(once)
    assert crf_rows([twice], LABELS) == crf_rows([once], LABELS)
    assert crf_sentence([twice], LABELS) == crf_sentence([once], LABELS)
    assert distance_table([twice], LABELS) == distance_table([once], LABELS)


@pytest.mark.parametrize(("cases", "few"), [(1, True), (5, True), (6, False)])
def test_few_pairs_are_called_so(cases: int, few: bool) -> None:
    contestant = network("searched", KEPT, 0.01, cases=cases)
    assert ("too few to tell a difference" in crf_sentence([contestant], LABELS)) == few
    (row,) = crf_rows([contestant], LABELS)
    assert [effect["p"].endswith("too few") for effect in row["effects"]] == [few] * 3
    patients = of_patients(contestant, 3)
    assert ("patients are too few" in crf_sentence([patients], LABELS)) == (few and cases > 1)


def unkept_of(kept: Contestant) -> Contestant:
    """The same network had its CRF not been kept."""
    details = {
        HAUSDORFF: kept.details[HAUSDORFF],
        FITTED: replace(KEPT, kept=False, reason="it was chance"),
        WITH_UNKEPT_CRF: kept.scores,
    }
    return replace(kept, scores=kept.details[WITHOUT_CRF], details=details)


def test_one_that_was_not_kept_is_told_as_what_would_have_been(content: MadeUpReport) -> None:
    kept = network("searched", KEPT, 0.01)
    unkept = unkept_of(kept)
    assert crf_rows([unkept], LABELS)[0]["effects"] == crf_rows([kept], LABELS)[0]["effects"]
    told = crf_sentence([unkept], LABELS)
    assert told.startswith(
        "No CRF was kept for the searched <network>: it was chance. It would change the network from"
    )
    assert told.endswith("(better, 95 % interval of the difference 0.010–0.010); it is not used.")
    pages = [
        render_report(replace(content, contestants=(who,), labels=LABELS, overlays=()))
        for who in (unkept, kept)
    ]
    assert [page.count("<small>would have been</small>") for page in pages] == [3, 0]


def test_the_captions_count_patients(content: MadeUpReport) -> None:
    for who, words in (
        (network("searched", KEPT), "case by case"),
        (of_patients(network("searched", KEPT)), "patient by patient"),
    ):
        page = render_report(replace(content, contestants=(who,), labels=LABELS, overlays=()))
        assert words in page
    assert "intervals over patients" in page


def test_one_that_was_not_kept_says_why() -> None:
    contestants = [network("searched", NOT_KEPT), network("random", None)]
    assert crf_sentence(contestants, LABELS).endswith("<network>: no weights raised it.")
    (row,) = crf_rows(contestants, LABELS)
    assert (row["kept"], row["effects"], row["weights"]) == (False, [], [])


def test_a_gain_that_nobody_could_judge_is_not_told_as_zero() -> None:
    alone = replace(NOT_KEPT, cases=2, groups=1, gain=0.0, standard_error=math.nan)
    (row,) = crf_rows([network("searched", alone)], LABELS)
    assert (row["gain"], row["error"], row["patients"]) == ("–", "", 1)


def test_runs_without_a_crf_or_distances_say_nothing() -> None:
    early = replace(network("searched", None), details={})
    assert crf_rows([early], LABELS) == []
    assert crf_sentence([early], LABELS) == ""
    assert distance_table([early], LABELS) is None


def test_distances_are_means_over_cases_that_have_one() -> None:
    contestant = network("searched", None, cases=3)
    distances = {"a": {"anterior": 1.0}, "b": {"anterior": 2.0}, "c": {"anterior": math.inf}}
    table = distance_table([replace(contestant, details={HAUSDORFF: distances})], LABELS)
    assert table is not None
    overall, anterior, posterior = (row["cells"][0] for row in table["rows"])
    assert (overall["mean"], anterior["mean"], posterior["mean"]) == ("1.50", "1.50", "–")
    assert (overall["undefined"], anterior["undefined"], posterior["undefined"]) == (1, 1, 0)
    assert table["any_undefined"]


def test_the_page_shows_both(content: MadeUpReport) -> None:
    who = (network("searched", KEPT, 0.01), network("random", NOT_KEPT))
    page = render_report(replace(content, contestants=who, labels=LABELS, overlays=()))
    assert 'id="postprocessing"' in page
    assert "appearance 3, 2 mm, intensity 0.1" in page
    assert "not kept<small>no weights raised it" in page
    assert "Hausdorff distance, 95 %" in page
    assert "<network>" not in page
    section = page[page.index('id="postprocessing"') :]
    section = section[: section.index("</section>")]
    assert section.count("<tr") == section.count("</tr>") == 1 + 3 + 1


def test_the_page_of_a_run_without_has_neither(content: MadeUpReport) -> None:
    content_page = render_report(content)
    assert 'id="postprocessing"' not in content_page
    assert "Hausdorff" not in content_page
