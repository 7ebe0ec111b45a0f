"""The verdict says better, equal and worse where they are so, and names who is missing."""

from __future__ import annotations

import zlib
from dataclasses import replace

import numpy as np
import pytest

from made_up_report import MadeUpReport
from netwright.report.results import Contestant, SeedTraining
from netwright.report.sentences import progress_sentences, verdict_sentences
from netwright.report.summaries import summarise

LABELS = ("anterior", "posterior")


def contestant(
    name: str, shift: float, *, cases: int = 60, parameters: int = 1_000_000, milliseconds: float = 20.0
) -> Contestant:
    """A network whose Dice is that of the same cases, moved by ``shift``, with a little noise of its own."""
    hardness = np.random.default_rng(0).uniform(0.8, 0.9, cases)
    noise = np.random.default_rng(zlib.crc32(name.encode()) if shift else 1).normal(0, 0.002, (cases, 2))
    dice = {
        f"case {i}": {label: float(hardness[i] + shift + noise[i, j]) for j, label in enumerate(LABELS)}
        for i in range(cases)
    }
    return Contestant(name, name, "", "complete", "", parameters, 60.0, 10, milliseconds, dice)


SEARCHED = replace(
    contestant("searched", 0.0, parameters=410_000, milliseconds=10.0), title="the searched network"
)


def test_first_sentence_gives_dice_interval_and_size() -> None:
    first = verdict_sentences([SEARCHED], LABELS)[0]
    summary = summarise([SEARCHED], LABELS)[0]
    mean = np.mean([list(case.values()) for case in SEARCHED.scores.values()])
    assert f"at {mean:.3f} Dice" in first
    assert f"95 % interval {summary.overall.low:.3f}–{summary.overall.high:.3f}" in first
    assert "0.41 M parameters" in first
    assert first.startswith("The searched network segments unseen cases at ")


def test_where_the_default_was_chosen_alone_it_is_called_so() -> None:
    default = replace(SEARCHED, title="the default")
    told = verdict_sentences([default, contestant("large", 0.05)], LABELS)
    assert told[0].startswith("The default segments unseen cases at ")
    assert told[-1] == "In Dice the default is worse than large."


def test_a_title_with_a_comma_ends_with_one_before_the_verb() -> None:
    best = replace(SEARCHED, title="the best of first, trained here")
    told = verdict_sentences([best, contestant("large", 0.05)], LABELS)
    assert told[0].startswith("The best of first, trained here, segments unseen cases at ")
    assert told[-1] == "In Dice the best of first, trained here, is worse than large."


def test_better_is_said_with_evidence_and_costs() -> None:
    told = verdict_sentences([SEARCHED, contestant("plain", -0.02)], LABELS)
    assert "better by 0.0" in told[1]
    assert "p < 0.001 over 60 cases" in told[1]
    assert "2.4 times smaller, 2.0 times faster" in told[1]
    assert len(told) == 2


@pytest.mark.parametrize(("seconds", "told_of"), [(214.0, True), (590.0, False)])
def test_a_default_with_less_training_in_a_race_is_said_to_have_had_less(
    seconds: float, told_of: bool
) -> None:
    mine = replace(SEARCHED, train_seconds=640.0)
    default = replace(contestant("default", -0.02), train_seconds=seconds)
    told = verdict_sentences([mine, default], LABELS)[1]
    assert ("It was trained for 3 m 34 s, the searched network for 11 m" in told) == told_of
    assert ("--compare full" in told) == told_of
    alone = contestant("default-alone", -0.01)
    assert "--compare full" not in " ".join(verdict_sentences([mine, default, alone], LABELS))


def test_worse_is_said_as_worse() -> None:
    other = contestant("large", 0.02, parameters=205_000, milliseconds=5.0)
    told = verdict_sentences([SEARCHED, other], LABELS)
    assert "worse by 0.0" in told[1]
    assert "2.0 times larger, 2.0 times slower" in told[1]
    assert told[-1] == "In Dice the searched network is worse than large."


def test_equal_is_no_measurable_difference() -> None:
    twin = replace(SEARCHED, name="twin", title="twin")
    told = verdict_sentences([SEARCHED, twin], LABELS)
    assert "no measurable difference in Dice, the same size, as fast" in told[1]
    assert told[-1] == "In Dice the search brought no measurable gain over twin."


def test_contestants_of_one_title_are_counted() -> None:
    others = [contestant("random", shift) for shift in (-0.02, 0.02, 0.02)]
    twins = [replace(SEARCHED, name=f"twin {i}", title="twin") for i in range(2)]
    told = verdict_sentences([SEARCHED, *others, *twins], LABELS)
    assert told[-2] == "In Dice the searched network is worse than random (2 of 3)."
    assert told[-1] == "In Dice the search brought no measurable gain over twin (2 of 2)."


def test_p_values_are_adjusted_for_the_number_of_comparisons() -> None:
    others = [contestant(f"other {i}", -0.0006) for i in range(4)]
    alone = [summarise([SEARCHED, other], LABELS)[1].comparison for other in others]
    together = [s.comparison for s in summarise([SEARCHED, *others], LABELS)[1:]]
    raw = sorted(c.p_value for c in alone if c is not None)
    adjusted = sorted(c.p_value for c in together if c is not None)
    assert adjusted[0] == pytest.approx(min(1.0, 4 * raw[0]))
    assert all(a >= r for a, r in zip(adjusted, raw, strict=True))


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ("too_slow", "could not finish an epoch in its share of the time: one epoch takes 99 s"),
        ("out_of_memory", "ran out of memory: one epoch takes 99 s"),
        ("crashed", "crashed: one epoch takes 99 s"),
        ("some_new_status", "was not tested (some new status): one epoch takes 99 s"),
    ],
)
def test_who_could_not_be_tested_is_listed(status: str, words: str) -> None:
    slow = Contestant("vnet", "V-Net", "", status, "one epoch takes 99 s.", None, 5.0, 0, None)
    assert f"V-Net {words}." in verdict_sentences([SEARCHED, slow], LABELS)


def test_missing_searched_network_is_said() -> None:
    other = contestant("plain", -0.02)
    told = verdict_sentences([other], LABELS)
    assert told[0] == "The searched network is missing from the final comparison."
    assert "Tested without it: plain 0.8" in told[1]
    lost = replace(SEARCHED, status="diverged", reason="the loss became NaN", scores={})
    told = verdict_sentences([lost, other], LABELS)
    assert told[0] == "The searched network diverged in training: the loss became NaN."
    assert "Tested without it" in told[1]


def test_few_cases_decide_nothing() -> None:
    five = [contestant("searched", 0.0, cases=5), contestant("plain", -0.05, cases=5)]
    assert "5 cases are too few to tell a difference" in verdict_sentences(five, LABELS)[1]
    one = [contestant("searched", 0.0, cases=1), contestant("plain", -0.05, cases=1)]
    told = verdict_sentences(one, LABELS)
    assert "one case only" in told[0]
    assert "1 case is too few to tell a difference" in told[1]


def test_only_common_cases_are_compared() -> None:
    other = contestant("plain", -0.02)
    half = replace(other, scores={f"case {i}": other.scores[f"case {i}"] for i in range(30)})
    assert "over 30 cases" in verdict_sentences([SEARCHED, half], LABELS)[1]
    foreign = replace(other, scores={"elsewhere": {"anterior": 0.5, "posterior": 0.5}})
    assert "no test case in common" in verdict_sentences([SEARCHED, foreign], LABELS)[1]


def test_absent_labels_are_left_out_of_the_means() -> None:
    nan = float("nan")
    dice = {"a": {"anterior": 0.8, "posterior": nan}, "b": {"anterior": nan, "posterior": nan}}
    summary = summarise([replace(SEARCHED, scores=dice)], LABELS)[0]
    assert summary.case_scores == {"a": 0.8}
    assert summary.labels["anterior"].mean == 0.8
    assert np.isnan(summary.labels["posterior"].mean)


def test_nothing_to_compare() -> None:
    assert verdict_sentences([], LABELS) == ()


def test_progress_before_the_comparison(content: MadeUpReport) -> None:
    told = progress_sentences(content.trials, content.best_trial, content.reward_name, "cases")
    assert f"is trial {content.best_trial}: validation Dice 0.8" in told[0]
    failed = tuple(replace(t, reward=None) for t in content.trials)
    assert (
        "None of 40 trials" in progress_sentences(failed, content.best_trial, content.reward_name, "cases")[0]
    )
    assert progress_sentences((), None, content.reward_name, "cases") == ("No trial has been run yet.",)


def test_frames_of_one_patient_are_not_counted_twice() -> None:
    """Each case twice, as end diastole and end systole: as sure as the cases alone, and counted as patients."""
    other = contestant("plain", -0.02)
    twice = [
        replace(
            one,
            scores={f"{case} {frame}": dice for case, dice in one.scores.items() for frame in ("ED", "ES")},
            groups={f"{case} {frame}": case for case in one.scores for frame in ("ED", "ES")},
        )
        for one in (SEARCHED, other)
    ]
    once, grouped = summarise([SEARCHED, other], LABELS), summarise(twice, LABELS)
    for one, two in zip(once, grouped, strict=True):
        assert two.overall.mean == pytest.approx(one.overall.mean)
        width = one.overall.high - one.overall.low
        assert two.overall.low == pytest.approx(one.overall.low, abs=0.05 * width)
        assert two.overall.high == pytest.approx(one.overall.high, abs=0.05 * width)
    assert once[1].comparison is not None
    assert grouped[1].comparison is not None
    assert grouped[1].comparison.n == once[1].comparison.n == 60
    assert "over 60 patients" in verdict_sentences(twice, LABELS)[1]
    few = [replace(one, groups=dict.fromkeys(one.scores, "the same patient")) for one in (SEARCHED, other)]
    told = verdict_sentences(few, LABELS)
    assert "one patient only, so no interval can be given" in told[0]
    assert "1 patient is too few to tell a difference" in told[1]


def with_seeds(name: str, shift: float, spread: float) -> Contestant:
    """A network of three trainings, whose scores lie ``spread`` apart."""
    once = contestant(name, shift)
    trainings = tuple(
        SeedTraining(
            seed,
            "complete",
            0.8 + 0.01 * (seed == 2),
            {
                case: {label: score + (seed - 2) * spread for label, score in row.items()}
                for case, row in once.scores.items()
            },
            used=seed == 2,
        )
        for seed in (1, 2, 3)
    )
    return replace(once, trainings=trainings)  # the mean of the three is that of the middle one


def test_a_gain_within_the_noise_of_seeds_is_called_so() -> None:
    """By cases alone it would be better."""
    assert "better by 0.0" in verdict_sentences([SEARCHED, contestant("plain", -0.02)], LABELS)[1]
    mine, theirs = with_seeds("searched", 0.0, 0.02), with_seeds("plain", -0.02, 0.02)
    told = verdict_sentences([mine, theirs], LABELS)
    assert "a gain of 0.0" in told[1]
    assert "Dice within the noise of training (95 % interval" in told[1]
    assert "over cases and 3 seeds)" in told[1]
    assert told[-1] == "In Dice the search brought no measurable gain over plain."
    few = replace(theirs, trainings=theirs.trainings[:1])
    assert "within the noise" in verdict_sentences([mine, few], LABELS)[1], "one side alone is noise enough"


def test_a_gain_beyond_the_noise_of_seeds_is_told_as_before() -> None:
    told = verdict_sentences([with_seeds("searched", 0.0, 0.001), with_seeds("plain", -0.05, 0.001)], LABELS)
    assert "better by 0.05" in told[1]
    assert "p < 0.001 over 60 cases" in told[1]


def test_the_trainings_are_told_and_which_is_used() -> None:
    searched = with_seeds("searched", 0.0, 0.02)
    mean = np.mean([list(case.values()) for case in searched.scores.values()])
    first = verdict_sentences([searched], LABELS)[0]
    assert "over cases and 3 seeds)" in first
    assert f"Its 3 trainings with other seeds reach from {mean - 0.02:.3f} to {mean + 0.02:.3f}." in first
    assert "Used is training 2, the best on the validation cases." in first
    failed = replace(searched.trainings[0], status="diverged", scores={})
    told = verdict_sentences([replace(searched, trainings=(failed, *searched.trainings[1:]))], LABELS)[0]
    assert "1 of its 3 trainings failed." in told


def test_the_interval_of_a_difference_stays_within_what_the_metric_can_differ_by() -> None:
    """Student's t for two trainings goes far beyond."""
    mine, theirs = (
        replace(one, trainings=one.trainings[:2])
        for one in (with_seeds("searched", 0.0, 0.1), with_seeds("plain", -0.02, 0.2))
    )
    assert "(95 % interval −1.000 to +1.000 over cases" in verdict_sentences([mine, theirs], LABELS)[1]
