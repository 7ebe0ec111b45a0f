"""The sections of the search: its course, every trial, the best trial's training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from markupsafe import Markup

from netwright.report import formatting
from netwright.report.draw import search_figures
from netwright.report.draw.comparison_figures import training_curves
from netwright.report.draw.style import INK, in_order, status_badge
from netwright.report.results import TrialRow
from netwright.report.sections import (
    NETWORK,
    SEARCH,
    TRIALS,
    VERDICT,
    Badge,
    Block,
    Cell,
    Counts,
    Figure,
    Heading,
    Html,
    Row,
    Section,
    Sentences,
    Table,
)
from netwright.report.sentences import progress_sentences
from netwright.report.summaries import Comparison

NO_TRIAL = Sentences(("No trial has been run yet.",), "quiet")

ONE_TRAINING = Html(
    Markup(
        "<p>One training with shared weights instead of trials: see "
        '<a href="#shared">how the probabilities moved</a>.</p>'
    )
)

EVERY_TRIAL = (
    "Every trial by its number; hollow dots are networks that an earlier trial had trained. The black line is "
    "the best so far{mean}. Trials without a value are shown below{penalty}."
)


@dataclass(frozen=True)
class ChangedDimensions:
    """A change of the space.

    Args:
        when: the date, in words.
        dimensions: what each was and is, in words.
        trials: how many there were.
        fitted: how many of them fit.
        left_out: how many do not, by the reason.
        assumed: what the earlier trials are taken to have in new dimensions.
        tested: whether the test cases had been opened.
    """

    when: str
    dimensions: tuple[str, ...]
    trials: int
    fitted: int
    left_out: Mapping[str, int]
    assumed: tuple[str, ...] = ()
    tested: bool = False


@dataclass(frozen=True)
class SearchCourse:
    """The course of a search.

    Args:
        trials: in order. For a search inside one training, the one trial that it ended in.
        best_trial: the number of the best one.
        reward_name: what the trials' ``reward`` is, in words.
        facts: what was searched and how, as rows of a table.
        best_curves: of the best trial's training: name -> one value an epoch.
        penalty: the number that the strategy got for a trial without a reward.
        one_shot: whether all networks were searched inside one training.
        changes: of the space, in order.
        used_trial: the number of the trial that ``best_curves`` are of, where another one than the best is used.
    """

    trials: tuple[TrialRow, ...]
    best_trial: int | None
    reward_name: str = "validation Dice"
    facts: tuple[tuple[str, str], ...] = ()
    best_curves: Mapping[str, list[float]] = field(default_factory=dict)
    penalty: float | None = None
    one_shot: bool = False
    changes: tuple[ChangedDimensions, ...] = ()
    used_trial: int | None = None

    @property
    def phased(self) -> bool:
        """Whether the strategy went through phases."""
        return any(trial.phase for trial in self.trials)


def search_sections(search: SearchCourse, comparison: Comparison) -> tuple[Section, ...]:
    """All sections of the search, with or without a comparison."""
    blocks = (
        *_facts(search),
        *_changes(search),
        *_counts(search),
        *_course(search),
        *_sizes(search, comparison),
    )
    sections = [
        Section("search", "How the search went", blocks, SEARCH, link="Search"),
        Section(
            "winner",
            formatting.sentence_case(comparison.searched),
            _best(search, comparison),
            NETWORK + 1,
            link="Winner",
        ),
    ]
    if not comparison.contestants:
        told = progress_sentences(
            tuple(trial for trial in search.trials if trial.status != "left_out"),
            search.best_trial,
            search.reward_name,
            comparison.metric.cases,
            one_shot=search.one_shot,
        )
        sections.append(Section("verdict", "", (Sentences(told),), VERDICT, style="verdict"))
    if not search.one_shot:
        sections.append(Section("trials", "Every trial", _trials(search), TRIALS, link="Every trial"))
    return tuple(sections)


def _facts(search: SearchCourse) -> tuple[Block, ...]:
    rows = tuple(Row((Cell(name, head=True), Cell(value))) for name, value in search.facts)
    return (Table((), rows, style="facts"),) if rows else ()


def _changes(search: SearchCourse) -> tuple[Block, ...]:
    """What became of the space in the middle of the search."""
    if not search.changes:
        return ()
    last = search.changes[-1]
    left = last.trials - last.fitted
    told = [
        f"The space was changed after {formatting.counted(last.trials, 'trial')}: {last.fitted} of them fit and count, "
        f"{left} {'is' if left == 1 else 'are'} left out. No strategy learned from these, and none of them is the best."
    ]
    if any(change.tested for change in search.changes):
        told.append(
            "The test cases had been opened before, and whoever changed the space may have known the result: the test "
            "is less strict than that of a search without a change."
        )
    head = tuple(Cell(name) for name in ("when", "what changed", "trials", "fit", "left out"))
    rows = tuple(
        Row(
            (
                Cell(change.when),
                Cell(
                    "; ".join(
                        (*change.dimensions, *(f"trials that lack it have {w}" for w in change.assumed))
                    ),
                    wide=True,
                ),
                Cell(str(change.trials), number=True),
                Cell(str(change.fitted), number=True),
                Cell(
                    "; ".join(f"{count}: {why}" for why, count in change.left_out.items()) or "none",
                    wide=True,
                ),
            )
        )
        for change in search.changes
    )
    return Sentences((" ".join(told),)), Table(head, rows, style="facts")


def _counts(search: SearchCourse) -> tuple[Block, ...]:
    """The number of trials with each status."""
    if search.one_shot:
        return (ONE_TRAINING,)
    if not search.trials:
        return (NO_TRIAL,)
    counted = Counter(t.status for t in search.trials)
    numbers = [(status_badge(status), counted[status]) for status in in_order(counted)]
    cached = sum(t.cached_from is not None for t in search.trials)
    if cached:
        numbers.append((Badge("of these from the cache", INK, hollow=True), cached))
    return (Counts(tuple(numbers)),)


def _course(search: SearchCourse) -> tuple[Block, ...]:
    if search.one_shot or not search.trials:
        return ()
    caption = EVERY_TRIAL.format(
        mean=", the grey one the mean of the last trials of the phase" if search.phased else "",
        penalty="" if search.penalty is None else ", with the penalty that the strategy got for them",
    )
    figure = search_figures.best_so_far(search.trials, search.reward_name, search.penalty)
    return (Figure("search", figure, caption),)


def _sizes(search: SearchCourse, comparison: Comparison) -> tuple[Block, ...]:
    trials = () if search.one_shot else search.trials
    if not comparison.tested and not any(t.reward is not None and t.parameters for t in trials):
        return ()
    front = "no network of the search is both smaller and better."
    if search.one_shot:
        caption = "The networks of the comparison by size, on the test cases, with 95 % intervals."
    elif comparison.contestants:
        caption = (
            f"First: size against the search's own score, and the Pareto front: {front} "
            "Second: the networks of the comparison on the test cases, with 95 % intervals."
        )
    else:
        caption = f"Size against the search's own score. The line is the Pareto front: {front}"
    figure = search_figures.size_against_score(
        trials, comparison.summaries, search.reward_name, comparison.metric
    )
    return (Figure("size", figure, caption),)


def _best(search: SearchCourse, comparison: Comparison) -> tuple[Block, ...]:
    if not any(search.best_curves.values()):
        return ()
    trial = f"trial {search.best_trial if search.used_trial is None else search.used_trial}"
    figure = training_curves({trial: search.best_curves}, {}, comparison.metric)
    caption = f"{formatting.sentence_case(trial)}, one value per epoch."
    return Heading("Training in the search"), Figure("best", figure, caption)


def _trials(search: SearchCourse) -> tuple[Block, ...]:
    if not search.trials:
        return (NO_TRIAL,)
    phase = (Cell("phase"),) if search.phased else ()
    head = (
        Cell("trial"),
        Cell("status"),
        Cell(search.reward_name, number=True),
        Cell("choice"),
        *phase,
        *(Cell(name, number=True) for name in ("parameters", "epochs", "time", "finished at")),
        Cell("reason"),
    )
    rows = tuple(_trial(t, search.best_trial, phased=search.phased) for t in search.trials)
    return (
        Sentences(("A click on a heading sorts.",), "caption"),
        Table(head, rows, scrolls=True, sorts=True),
    )


def _trial(trial: TrialRow, best: int | None, *, phased: bool) -> Row:
    note = trial.reason
    if trial.cached_from is not None:
        note = f"same network as trial {trial.cached_from}{f'; {note}' if note else ''}"
    badge = status_badge(trial.status, hollow=trial.cached_from is not None)
    is_best = trial.number == best
    cells = (
        Cell(f"{trial.number}{' best' if is_best else ''}", key=str(trial.number)),
        Cell(badge=badge, key=badge.text),
        _number(formatting.reward(trial.reward), trial.reward),
        Cell(trial.choice, wide=True),
        *((Cell(trial.phase or ""),) if phased else ()),
        _number(formatting.parameters(trial.parameters), trial.parameters),
        _number(f"{trial.epochs}/{trial.planned_epochs}", trial.epochs),
        _number(formatting.duration(trial.seconds), trial.seconds),
        _number(formatting.duration(trial.finished_at), trial.finished_at),
        Cell(note, wide=True),
    )
    return Row(cells, "best" if is_best else "")


def _number(text: str, value: float | None) -> Cell:
    """A cell with a number by which its column is sorted."""
    return Cell(text, number=True, key="" if value is None else str(value))
