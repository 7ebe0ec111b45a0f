"""A search whose trainings go on: who was trained when, how far each came, and why each stopped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from netwright.report import formatting
from netwright.report.draw.style import BEST as BEST_COLOUR
from netwright.report.draw.style import GRID, INK, QUIET, escaped, style
from netwright.report.sections import SEARCH, Block, Cell, Figure, Heading, Row, Section, Sentences, Table

if TYPE_CHECKING:
    import plotly.graph_objects as go

CURVES_CAPTION = (
    "Each line is one training, validated now and then; it goes on where it was. The time is that of training alone, "
    "on a logarithmic scale."
)
PARTS_CAPTION = "Each bar is a part of a training, with its validation, in the time of the search."
EXPECTED_NOTE = (
    "Expected at the end: what the curve of a training foretells, with one standard deviation, if the training had "
    "gone on from its last part to the end of the search."
)
BEST, DEFAULT = "best", "default"


@dataclass(frozen=True)
class Racer:
    """One candidate of the race.

    Args:
        number: of its first trial.
        choice: in words.
        role: "best", "default", both with a comma between them, or empty.
        parameters: of its network; None: not known.
        curve: seconds trained in all and the score then, ascending.
        parts: from and until when each of its parts was trained, in seconds since the search began.
        expected: the score that its curve foretells for the end of the race, had it gone on, and the standard
            deviation of that; None: not known.
        reason: why it does not go on; empty for one that was in the race to the end.
        joined: how many of its parts had the threads of several workers.
    """

    number: int
    choice: str
    role: str
    parameters: int | None
    curve: tuple[tuple[float, float], ...]
    parts: tuple[tuple[float, float], ...]
    expected: tuple[float, float] | None
    reason: str
    joined: int = 0


@dataclass(frozen=True)
class FinalChoice:
    """What was chosen in the end.

    Args:
        members: of each the trial, its weight in the mean, its reward alone, and that of all others without it; None:
            not known, or there is no other.
        mirror_axes: along which images are also predicted mirrored.
        reason: why these and no others, in words.
        reward: of all of them together on the validation cases.
        left_out: trials that could have been members but were not compared, each with the reason.
        openings: how often the test cases were opened, this time included.
    """

    members: tuple[tuple[str, float, float | None, float | None], ...]
    mirror_axes: tuple[int, ...]
    reason: str
    reward: float
    left_out: tuple[tuple[str, str], ...]
    openings: int


def race_sections(
    racers: Sequence[Racer], reward_name: str, choice: FinalChoice | None = None, only_default: str = ""
) -> tuple[Section, ...]:
    """The section about the race; none without a candidate.

    Args:
        racers: the candidates.
        reward_name: what their score is.
        choice: what was chosen in the end; None: the end has not come yet.
        only_default: why nothing but the default is trained, in a sentence or two; empty: others are, too.
    """
    if not racers:
        return ()
    trained = sum(len(racer.parts) for racer in racers)
    told = (
        f"{formatting.counted(len(racers), 'training')} in {formatting.counted(trained, 'part')}. Each part "
        "starts from the weights of the part before it: nothing was trained twice."
    )
    if joined := sum(racer.joined for racer in racers):
        told += (
            f" {formatting.counted(joined, 'part')} had the threads of several workers: "
            "towards the end few networks are trained at a time."
        )
    blocks = (
        Sentences((*[only_default] * bool(only_default), told)),
        Figure("race", curves_figure(racers, reward_name), CURVES_CAPTION),
        Figure("parts", parts_figure(racers), PARTS_CAPTION),
        _table(racers, reward_name),
        Sentences((EXPECTED_NOTE,)),
        *(() if choice is None else _choice(choice, reward_name)),
    )
    return (Section("race", "Which trainings went on", blocks, SEARCH + 1, link="The race"),)


def _choice(choice: FinalChoice, reward_name: str) -> tuple[Block, ...]:
    """The members of what is used, and what each brings."""
    views = ""
    if choice.mirror_axes:
        axes = formatting.names([str(axis + 1) for axis in choice.mirror_axes])
        named = f"{'axis' if len(choice.mirror_axes) == 1 else 'axes'} {axes}"
        views = f" Images are also predicted mirrored along {named}, and the results are averaged."
    told = f"{formatting.sentence_case(choice.reason)}.{views}"
    left_out = [f"trial {name} ({reason.rstrip('.')})" for name, reason in choice.left_out]
    missing = [f"Not compared: {formatting.names(left_out)}."] if left_out else []
    opened = (
        f"The test cases were opened {choice.openings} times. Whoever gave the search more time may have known earlier "
        "results, so the last ones are no longer those of cases that nothing was decided by."
    )
    head = (
        Cell("trial"),
        Cell("weight", number=True),
        Cell(f"{reward_name} alone", number=True),
        Cell("without it", number=True),
    )
    rows = tuple(
        Row(
            (
                Cell(name),
                Cell(f"{weight:.2f}", number=True),
                Cell(formatting.reward(alone), number=True),
                Cell(formatting.reward(without), number=True),
            )
        )
        for name, weight, alone, without in choice.members
    )
    return (
        Heading("What is used in the end"),
        Sentences((told, *missing, *[opened] * (choice.openings > 1))),
        Table(head, rows),
    )


def curves_figure(racers: Sequence[Racer], reward_name: str) -> go.Figure:
    """The score of each candidate over its seconds of training."""
    import plotly.graph_objects as go

    figure = go.Figure()
    for racer in sorted(racers, key=lambda racer: bool(racer.role)):
        if not racer.curve:
            continue
        seconds, scores = zip(*racer.curve, strict=True)
        figure.add_scatter(
            x=seconds,
            y=scores,
            mode="lines+markers",
            name=f"trial {racer.number}, {racer.role}" if racer.role else f"trial {racer.number}",
            showlegend=bool(racer.role),
            line={"color": _colour(racer), "width": 2.5 if racer.role else 1},
            marker={"size": 5 if racer.role else 3},
            hovertemplate=f"trial {racer.number}: {escaped(racer.choice)}<br>%{{x:.0f}} s: %{{y:.4f}}<extra></extra>",
        )
    style(figure, height=420)
    figure.update_xaxes(title_text="seconds of training", type="log")
    figure.update_yaxes(title_text=reward_name)
    return figure


def parts_figure(racers: Sequence[Racer]) -> go.Figure:
    """When each candidate was trained. A row is a candidate."""
    import plotly.graph_objects as go

    figure = go.Figure()
    for row, racer in enumerate(racers):
        if not racer.parts:
            continue
        figure.add_bar(
            y=[row] * len(racer.parts),
            x=[(end - begin) / 60 for begin, end in racer.parts],
            base=[begin / 60 for begin, _ in racer.parts],
            orientation="h",
            marker={"color": _colour(racer), "line": {"width": 1, "color": "white"}},
            hovertemplate=f"trial {racer.number}: %{{base:.1f}} min + %{{x:.1f}} min<extra></extra>",
            showlegend=False,
        )
    style(figure, height=max(220, 14 * len(racers) + 120))
    figure.update_layout(barmode="overlay", bargap=0.25)
    figure.update_xaxes(title_text="minutes since the search began")
    figure.update_yaxes(
        title_text="trial",
        tickvals=list(range(len(racers))),
        ticktext=[str(racer.number) for racer in racers],
        autorange="reversed",
        showgrid=False,
    )
    return figure


def _colour(racer: Racer) -> str:
    if racer.role.startswith(BEST):
        return BEST_COLOUR
    return INK if racer.role == DEFAULT else GRID if racer.reason else QUIET


def _table(racers: Sequence[Racer], reward_name: str) -> Table:
    head = (
        Cell("trial"),
        Cell("choice"),
        Cell("parameters", number=True),
        Cell("trained", number=True),
        Cell(reward_name, number=True),
        Cell("expected", ("at the end",), number=True),
        Cell("why it does not go on"),
    )
    return Table(head, tuple(map(_row, racers)), scrolls=True, sorts=True)


def _row(racer: Racer) -> Row:
    seconds, score = racer.curve[-1] if racer.curve else (0.0, None)
    name = f"{racer.number} {racer.role}".strip()
    cells = (
        Cell(name, key=str(racer.number)),
        Cell(racer.choice, wide=True),
        _number(formatting.parameters(racer.parameters), racer.parameters),
        _number(formatting.duration(seconds), seconds),
        _number(formatting.reward(score), score),
        _expected(racer),
        Cell(racer.reason, wide=True),
    )
    return Row(cells, "best" if racer.role.startswith(BEST) else "")


def _expected(racer: Racer) -> Cell:
    if racer.expected is None:
        return _number(formatting.reward(None), None)
    score, deviation = racer.expected
    return _number(f"{formatting.reward(score)} ± {formatting.reward(deviation)}", score)


def _number(text: str, value: float | None) -> Cell:
    return Cell(text, number=True, key="" if value is None else str(value))
