"""A CRF is fitted on validation cases and kept only where it helps cases that it was not fitted on."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from statistics import NormalDist

import numpy as np
import pytest
from scipy import ndimage

from netwright.files import json_text
from netwright.tasks.segmentation.crf_fitting import FittedCRF, FittingCase, fit_crf, standard_errors
from netwright.tasks.segmentation.dense_crf import refine
from netwright.tasks.segmentation.metrics.dice import dice_per_label, mean_dice

pytest.importorskip("pydensecrf", reason="the extra 'crf' is not installed")


def case(seed: int, *, noise: float = 1.2, spacing: tuple[float, float, float] = (1, 1, 1)) -> FittingCase:
    """A blob with a core in it, in a clear image, found by a network that errs at random."""
    rng = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(rng.normal(0, 1, (16, 14, 8)), 2.5)
    truth = np.digitize(smooth, np.quantile(smooth, [0.7, 0.9])).astype(np.uint8)
    logits = 2.0 * np.eye(3)[truth].transpose(3, 0, 1, 2) + rng.normal(0, noise, (3, *truth.shape))
    probabilities = np.exp(logits) / np.exp(logits).sum(0)
    image = truth[None] + rng.normal(0, 0.1, (1, *truth.shape))
    return FittingCase(probabilities.astype(np.float32), image.astype(np.float32), truth, spacing, str(seed))


def mean_of(cases: list[FittingCase], fitted: FittedCRF | None) -> float:
    """The mean Dice of cases, without a CRF or with the fitted one."""
    found = [
        one.probabilities if fitted is None or fitted.crf is None
        else refine(one.probabilities, one.image, one.spacing, fitted.crf)
        for one in cases
    ]  # fmt: skip
    rows = [dice_per_label(f.argmax(0), one.truth, 3) for f, one in zip(found, cases, strict=True)]
    return mean_dice(np.array(rows))


def test_helps_on_cases_that_it_has_not_seen_where_errors_are_noise() -> None:
    fitted = fit_crf([case(seed) for seed in range(6)], 3)
    assert fitted.kept
    assert fitted.gain > standard_errors(6) * fitted.standard_error > 0
    unseen = [case(seed) for seed in range(100, 106)]
    assert mean_of(unseen, fitted) > mean_of(unseen, None) + 0.05


def test_cases_without_a_label_that_are_found_empty_tell_nothing() -> None:
    """Neither a crash, nor a CRF that is taken for better as it finds what is not there."""
    empty = [replace(case(seed), truth=np.zeros((16, 14, 8), np.uint8)) for seed in range(4)]
    for one in empty:
        one.probabilities[0] = 1 + one.probabilities[1:].sum(0)
    fitted = fit_crf(empty, 3)
    assert (fitted.kept, fitted.crf) == (False, None)
    assert math.isnan(fitted.dice_without)
    stored = json.loads(json_text(fitted.to_dict()), parse_constant=pytest.fail)
    assert str(FittedCRF.from_dict(stored)) == str(fitted)


def test_figures_are_those_of_the_cases() -> None:
    cases = [case(seed) for seed in range(4)]
    fitted = fit_crf(cases, 3)
    assert fitted.dice_without == pytest.approx(mean_of(cases, None))
    assert fitted.dice_with == pytest.approx(mean_of(cases, fitted))
    assert fitted.dice_with > fitted.dice_without
    assert (fitted.cases, fitted.time_limited) == (4, False)


def test_the_gain_is_that_of_either_half_under_the_weights_of_the_other() -> None:
    cases = [case(seed, noise=1.0 + 0.1 * seed) for seed in range(5)]
    even, odd = cases[::2], cases[1::2]
    by_even, by_odd = fit_crf(even, 3), fit_crf(odd, 3)
    gains = [mean_of([c], by_even) - mean_of([c], None) for c in odd]
    gains += [mean_of([c], by_odd) - mean_of([c], None) for c in even]
    fitted = fit_crf(cases, 3)
    # Weights are in units of the cases that they are fitted on, whose images differ a little in contrast.
    assert fitted.gain == pytest.approx(np.mean(gains), abs=0.01)
    assert fitted.standard_error == pytest.approx(np.std(gains, ddof=1) / math.sqrt(5), abs=0.01)


def test_is_not_kept_where_nothing_can_be_gained() -> None:
    cases = []
    for seed in range(4):
        one = case(seed)
        perfect = np.eye(3, dtype=np.float32)[one.truth].transpose(3, 0, 1, 2)
        cases.append(replace(one, probabilities=np.ascontiguousarray(perfect)))
    fitted = fit_crf(cases, 3)
    assert not fitted.kept
    assert fitted.crf is None
    assert fitted.reason == "no weights raised the Dice of the validation cases"
    assert fitted.dice_without == fitted.dice_with == 1


def test_always_keeps_the_best_where_nothing_can_be_gained_and_on_a_single_case() -> None:
    """As papers do: the gate is off, and what it would have judged is told all the same."""
    one = case(0)
    perfect = np.ascontiguousarray(np.eye(3, dtype=np.float32)[one.truth].transpose(3, 0, 1, 2))
    gated, asked = (fit_crf([replace(one, probabilities=perfect)], 3, always=on) for on in (False, True))
    assert (gated.kept, gated.crf) == (False, None)
    assert asked.kept
    assert asked.crf is not None
    assert "postprocessing.crf=always" in asked.reason
    assert asked.dice_with <= asked.dice_without == pytest.approx(1.0)
    empty = replace(one, truth=np.zeros_like(one.truth), probabilities=one.probabilities)
    assert fit_crf([empty], 3, always=True).crf is not None


def test_luck_on_single_voxels_is_not_kept() -> None:
    """Labels strewn at random, right by chance: some weights are always a little better on the cases at hand."""
    kept = 0
    for seed in range(4):
        rng = np.random.default_rng(seed)
        cases = [
            replace(case(seed), truth=rng.integers(0, 3, (16, 14, 8), dtype=np.uint8), group=str(i))
            for i in range(4)
        ]
        kept += fit_crf(cases, 3).kept
    assert kept <= 1


def test_one_case_cannot_tell_of_others() -> None:
    fitted = fit_crf([case(0)], 3)
    assert not fitted.kept
    assert fitted.crf is not None
    assert "two validation cases" in fitted.reason
    with pytest.raises(ValueError, match="at least one"):
        fit_crf([], 3)


def test_frames_of_a_patient_are_not_divided_nor_counted_by_themselves() -> None:
    """Each case twice, as one patient's: that adds no knowledge, and must change nothing."""
    once = [case(seed, noise=1.0 + 0.1 * seed) for seed in range(4)]
    first = fit_crf(once, 3)
    # Either frame on either side, were positions dealt out: 0 1 2 3 | 3 2 1 0.
    twice = fit_crf([*once, *once[::-1]], 3)
    assert (twice.cases, twice.groups) == (8, 4)
    assert twice.crf == first.crf
    assert (twice.gain, twice.standard_error) == pytest.approx((first.gain, first.standard_error))
    assert (twice.kept, twice.reason) == (first.kept, first.reason.replace("cases", "patients"))


def test_one_patient_cannot_tell_of_others() -> None:
    fitted = fit_crf([replace(case(seed), group="a patient") for seed in range(3)], 3)
    assert not fitted.kept
    assert fitted.crf is not None
    assert math.isnan(fitted.standard_error)
    assert "two validation patients" in fitted.reason


def test_the_bar_is_that_of_few_groups() -> None:
    assert standard_errors(2) == pytest.approx(math.tan(0.475 * math.pi))  # Cauchy's distribution
    assert standard_errors(3) == pytest.approx(math.sqrt(2 / (0.05 * 1.95) - 2))
    assert standard_errors(100_000) == pytest.approx(NormalDist().inv_cdf(0.975), abs=1e-4)
    draws = np.random.default_rng(0).normal(size=(100_000, 4))
    errors = draws.std(axis=1, ddof=1) / 2
    assert np.mean(draws.mean(axis=1) > standard_errors(4) * errors) == pytest.approx(1 / 40, abs=0.002)


def test_two_cases_that_gain_unequally_are_too_few() -> None:
    fitted = fit_crf([case(0, noise=1.0), case(1, noise=1.6)], 3)
    assert 2 * fitted.standard_error < fitted.gain < standard_errors(2) * fitted.standard_error
    assert not fitted.kept


def test_is_the_same_each_time_and_in_other_units() -> None:
    cases = [case(seed) for seed in range(4)]
    first, again = fit_crf(cases, 3), fit_crf(cases, 3)
    assert replace(first, seconds=0.0) == replace(again, seconds=0.0)
    scaled = [replace(c, image=c.image * 1000, spacing=(3.0, 3.0, 3.0)) for c in cases]
    larger = fit_crf(scaled, 3)
    assert first.crf is not None
    assert larger.crf is not None
    assert larger.crf.appearance_mm == pytest.approx(3 * first.crf.appearance_mm)
    assert larger.crf.intensity == pytest.approx(1000 * first.crf.intensity, rel=1e-4)
    assert larger.dice_with == pytest.approx(first.dice_with, abs=2e-3)


def test_without_time_it_says_so_and_stays_with_what_it_has() -> None:
    fitted = fit_crf([case(seed) for seed in range(4)], 3, seconds=1e-9)
    assert fitted.time_limited
    assert fitted.tried == 1  # where the search begins
    assert fitted.dice_with >= fitted.dice_without


def test_cases_without_any_label_are_left_out() -> None:
    empty = replace(
        case(9),
        truth=np.zeros((16, 14, 8), np.uint8),
        probabilities=np.concatenate([np.ones((1, 16, 14, 8)), np.zeros((2, 16, 14, 8))]).astype(np.float32),
    )
    fitted = fit_crf([case(0), case(1), empty, case(2)], 3)
    assert np.isfinite([fitted.gain, fitted.standard_error, fitted.dice_with]).all()
    assert fitted.kept


def test_survives_json() -> None:
    for fitted in (fit_crf([case(0), case(1)], 3), fit_crf([case(0)], 3)):
        values = json.loads(json.dumps(fitted.to_dict()))
        again = FittedCRF.from_dict({**values, "of a newer version": 1})
        assert str(again) == str(fitted)  # as texts, in which NaN is itself
        early = {k: v for k, v in values.items() if k != "groups"}
        assert FittedCRF.from_dict(early).groups == fitted.cases
