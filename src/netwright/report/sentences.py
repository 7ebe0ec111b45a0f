"""The verdict in sentences: what the searched network reaches, and which networks it is better or worse than."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence

from netwright.report import formatting
from netwright.report.draw.costs import ratio_text
from netwright.report.metrics import Metric, metric_named
from netwright.report.results import DEFAULT, DEFAULT_ALONE, Contestant, SeedTraining, TrialRow
from netwright.report.statistics import PairedComparison
from netwright.report.summaries import SEARCHED_TITLE, Summary, summarise

SIGNIFICANCE = 0.05
SHORTER = 0.9
"""A default that was trained for less than this share of the time of the searched network is told to have been."""
NOT_ALONE = ": what it reaches in all the hours, --compare full tells"

NOT_TESTED = {
    "too_slow": "could not finish an epoch in its share of the time",
    "out_of_memory": "ran out of memory",
    "infeasible": "could not be built",
    "diverged": "diverged in training",
    "loss_stalled": "did not learn",
    "crashed": "crashed",
    "complete": "has no result on the test cases",
}


def verdict_sentences(
    contestants: Sequence[Contestant], labels: Sequence[str], metric: str = "Dice"
) -> tuple[str, ...]:
    """What came of the final comparison, one sentence or line each, the searched network first.

    "Better" and "worse" need p < 0.05 in the paired test over the test cases, adjusted for the number of
    comparisons; all else is called no measurable difference.

    Args:
        contestants: all networks of the comparison, finished or not, in the order to be told.
        labels: names of the foreground labels; the Dice compared is the mean over them. For classification
            names of the classes, for inpainting of the metrics, of which ``metric`` is the one compared.
        metric: what the scores are, "Dice", "accuracy" or "PSNR".

    Returns:
        Empty for no contestants.
    """
    known = metric_named(metric)
    return sentences(summarise(contestants, labels, known), known)


def sentences(summaries: Sequence[Summary], metric: Metric) -> tuple[str, ...]:
    """`verdict_sentences` for contestants that have been summarised already."""
    if not summaries:
        return ()
    metric = metric.counted(patients=any(s.contestant.groups for s in summaries))
    searched = next((s for s in summaries if s.searched), None)
    others = [s for s in summaries if not s.searched]
    told = [_searched_sentence(searched, metric)]
    if searched is not None and searched.tested:
        alone = any(s.contestant.name == DEFAULT_ALONE for s in others)
        told += [_against(searched, s, metric, beside_alone=alone) for s in others if s.tested]
    elif any(s.tested for s in others):
        told.append(
            f"Tested without it: {formatting.names([_score(s, metric) for s in others if s.tested])}."
        )
    told += [_not_tested(s.contestant) for s in others if not s.tested]
    told += _in_short(searched, others, metric)
    return tuple(told)


def progress_sentences(
    trials: Sequence[TrialRow],
    best_trial: int | None,
    reward_name: str,
    cases: str,
    *,
    one_shot: bool = False,
) -> tuple[str, ...]:
    """The sentences before the final comparison: how many trials ran, and which is the best of them.

    Args:
        trials: of the search so far.
        best_trial: the number of the best.
        reward_name: what their reward is, in words.
        cases: the word for what the comparison tests on, for example "images".
        one_shot: whether the search was inside one training and ended in a single trial.
    """
    best = next((t for t in trials if t.number == best_trial and t.reward is not None), None)
    if not trials:
        return ("No trial has been run yet.",)
    if best is None:
        return (f"None of {formatting.counted(len(trials), 'trial')} has finished training a network yet.",)
    size = f"{formatting.parameters(best.parameters)} parameters" if best.parameters else ""
    reward = f"{reward_name} {formatting.reward(best.reward)}"
    if one_shot:
        of_size = f" of {size}" if size else ""
        reached = f"The most likely network{of_size} ({best.choice}) reached {reward}"
        told = f"{reached}; it has not been trained by itself yet."
    else:
        with_size = f" with {size}" if size else ""
        tried = formatting.counted(len(trials), "trial")
        told = f"The best of {tried} so far is trial {best.number}: {reward}{with_size} ({best.choice})."
    return told, f"The final comparison on the unseen test {cases} has not been run yet."


def _searched_sentence(searched: Summary | None, metric: Metric) -> str:
    if searched is None:
        return f"{formatting.sentence_case(SEARCHED_TITLE)} is missing from the final comparison."
    contestant = searched.contestant
    if not searched.tested:
        return _not_tested(contestant)
    low, high = searched.overall.low, searched.overall.high
    if math.isnan(low):
        certainty = f"one {metric.case} only, so no interval can be given"
    else:
        certainty = f"95 % interval {metric.interval(low, high)}{_over_seeds(searched, metric)}"
    size = f" with {formatting.parameters(contestant.parameters)} parameters" if contestant.parameters else ""
    subject = _subject(contestant)  # the default, where nothing else was chosen
    told = f"{formatting.sentence_case(subject)} {metric.reached_words(searched.overall.mean)} ({certainty}){size}."
    return " ".join([told, *_trainings(searched, metric)])


def _over_seeds(summary: Summary, metric: Metric) -> str:
    seeds = len(summary.of_trainings)
    return f" over {metric.cases} and {seeds} seeds" if seeds else ""


def _trainings(searched: Summary, metric: Metric) -> Iterator[str]:
    """How the trainings of the searched network differ, and which of them is used."""
    trainings = searched.contestant.trainings
    if not trainings:
        return
    means = [mean for mean in searched.overall.trainings if not math.isnan(mean)]
    if len(means) > 1:
        reached = f"from {metric.value(min(means))} to {metric.value(max(means))}"
        yield f"Its {len(means)} trainings with other seeds reach {reached}."
    failed = [one for one in trainings if one.status != "complete"]
    if failed:
        yield f"{len(failed)} of its {len(trainings)} trainings failed."
    yield from (f"Used is training {one.seed}, {_why(one)}." for one in trainings if one.used)


def _why(training: SeedTraining) -> str:
    return "the first" if training.validation is None else "the best on the validation cases"


def _against(searched: Summary, other: Summary, metric: Metric, *, beside_alone: bool) -> str:
    """A comparison. ``beside_alone``: whether the default was trained alone for all the hours, too."""
    mine, theirs = searched.contestant, other.contestant
    numbers = metric.value(other.overall.mean)
    if theirs.parameters:
        numbers += f", {formatting.parameters(theirs.parameters)}"
    parts = [_difference(other.comparison, metric), *_costs(mine, theirs)]
    told = f"Against {theirs.title} ({numbers}): {', '.join(parts)}."
    if theirs.name == DEFAULT and theirs.train_seconds < SHORTER * mine.train_seconds:
        told += (
            f" It was trained for {formatting.duration(theirs.train_seconds)}, {mine.title} for "
            f"{formatting.duration(mine.train_seconds)}{NOT_ALONE * (not beside_alone)}."
        )
    return f"{told} {_within(searched, other, metric)}" if other.original else told


def _costs(mine: Contestant, theirs: Contestant) -> tuple[str, ...]:
    """How size and times compare, in words, as far as they are known."""
    size = _ratio(mine.parameters, theirs.parameters, "smaller", "larger", "the same size")
    if mine.flops and (mine.parameters, mine.flops) == (theirs.parameters, theirs.flops):
        # The times of equal networks differ only by what else the machine did.
        return *size, "as much to compute"
    # Measured a batch where both were, because that is what the search was told to lower.
    a_batch = bool(mine.inference_batch_ms and theirs.inference_batch_ms)
    inference = (
        mine.inference_batch_ms if a_batch else mine.inference_ms,
        theirs.inference_batch_ms if a_batch else theirs.inference_ms,
    )
    training = (mine.training_batch_ms, theirs.training_batch_ms)
    if not all(training):
        return *size, *_ratio(*inference, "faster", "slower", "as fast")
    return (
        *size,
        *_ratio(*inference, "faster in inference", "slower in inference", "as fast in inference"),
        *_ratio(*training, "faster in training", "slower in training", "as fast in training"),
    )


def _within(searched: Summary, original: Summary, metric: Metric) -> str:
    """The sentence that says whether the searched network's mean lies in the interval of the original network."""
    overall, mean = original.overall, searched.overall.mean
    if math.isnan(overall.low):
        return f"One {metric.case} is not enough for an interval of the original."
    where = "below" if mean < overall.low else "above" if mean > overall.high else "within"
    interval = metric.interval(overall.low, overall.high)
    return f"Its {metric.name} of {metric.value(mean)} is {where} the original's 95 % interval ({interval})."


def _difference(comparison: PairedComparison | None, metric: Metric) -> str:
    if comparison is None or comparison.n == 0:
        return f"no test {metric.case} in common"
    if too_few(comparison):
        return too_few_words(comparison, metric)
    if comparison.within_noise:
        interval = metric.difference_interval(comparison.low, comparison.high)
        kind = "gain" if comparison.mean_difference > 0 else "difference"
        return (
            f"a {kind} of {metric.amount(comparison.mean_difference)} within the noise of training (95 % interval "
            f"{interval} over {metric.cases} and {comparison.seeds} seeds)"
        )
    evidence = f"{formatting.p_value(comparison.p_value)} over {metric.count(comparison.n)}"
    kind = outcome(comparison)
    if kind == "equal":
        return f"no measurable difference in {metric.name}"
    return f"{kind} by {metric.amount(comparison.mean_difference)}, {evidence}"


def too_few(comparison: PairedComparison) -> bool:
    """Whether there are too few pairs to prove any difference. The sign-flip test's smallest possible p-value is 2 /
    2^n.
    """
    return 2.0 ** (1 - comparison.n) >= SIGNIFICANCE


def too_few_words(comparison: PairedComparison, metric: Metric) -> str:
    """The sentence for comparisons with `too_few` pairs."""
    verb = "is" if comparison.n == 1 else "are"
    return f"{metric.count(comparison.n)} {verb} too few to tell a difference"


def outcome(comparison: PairedComparison) -> str:
    """The searched network relative to another: "better", "worse" or "equal" (no measurable difference)."""
    if comparison.within_noise or not comparison.p_value < SIGNIFICANCE:
        return "equal"
    return "better" if comparison.mean_difference > 0 else "worse"


def _ratio(mine: float | None, theirs: float | None, smaller: str, larger: str, same: str) -> tuple[str, ...]:
    if not mine or not theirs:
        return ()
    times = ratio_text(mine, theirs)
    return (f"{times} times {smaller if mine < theirs else larger}",) if times else (same,)


def _in_short(searched: Summary | None, others: Sequence[Summary], metric: Metric) -> list[str]:
    """The sentences that say plainly where the searched network is not better."""
    compared = [(s, outcome(s.comparison)) for s in others if s.comparison is not None and s.comparison.n]
    alike = Counter(s.contestant.title for s in others)

    def named(wanted: str) -> list[str]:
        """Those of an outcome; of several with one title, how many of them."""
        counts = Counter(s.contestant.title for s, kind in compared if kind == wanted)
        return [
            title if alike[title] == 1 else f"{title} ({count} of {alike[title]})"
            for title, count in counts.items()
        ]

    told = []
    if searched is not None and (worse := named("worse")):
        told.append(
            f"In {metric.name} {_subject(searched.contestant)} is worse than {formatting.names(worse)}."
        )
    if equal := named("equal"):
        told.append(f"In {metric.name} the search brought no measurable gain over {formatting.names(equal)}.")
    return told


def _score(summary: Summary, metric: Metric) -> str:
    return f"{summary.contestant.title} {metric.value(summary.overall.mean)}"


def _subject(contestant: Contestant) -> str:
    """Its title as the subject of a sentence: a comma within ends with one."""
    return f"{contestant.title}{',' * (',' in contestant.title)}"


def _not_tested(contestant: Contestant) -> str:
    what = NOT_TESTED.get(contestant.status, f"was not tested ({formatting.status(contestant.status)})")
    reason = f": {contestant.reason.rstrip('.')}" if contestant.reason else ""
    return f"{formatting.sentence_case(_subject(contestant))} {what}{reason}."
