"""`ReportContent` to one HTML file that opens offline: every picture, script and style is inside it."""

from __future__ import annotations

from collections import Counter
from importlib import resources
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from netwright.report import figures, formatting
from netwright.report.content import OverlayCase, ReportContent, TrialRow
from netwright.report.diagrams import draw
from netwright.report.overlays import draw_overlay, label_colour
from netwright.report.summaries import Estimate, Summary, summarise
from netwright.report.verdict import outcome, progress_sentences, sentences

if TYPE_CHECKING:
    import plotly.graph_objects as go

WIDE_LABELS = 4
"""With more labels than this, Dice per label gets a table of its own."""


def render_report(content: ReportContent) -> str:
    """One self-contained HTML page, with no address of anything outside it.

    Every text of ``content`` is escaped. Parts without content (no trial, no comparison yet) say so or are
    left out. The page is about 5 MB, nearly all of it plotly's script, so that its plots work offline.

    Raises:
        ValueError: an overlay's image and label maps differ in shape.
    """
    environment = Environment(
        loader=PackageLoader("netwright.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    summaries = summarise(content.contestants, content.labels)
    plots = _plots(content, summaries)
    return environment.get_template("template.html.j2").render(
        content=content,
        style=Markup(resources.files("netwright.report").joinpath("report.css").read_text(encoding="utf-8")),
        sentences=sentences(summaries) or progress_sentences(content),
        networks=[_network_row(s, content.labels) for s in summaries],
        wide=len(content.labels) > WIDE_LABELS,
        overlays=[_overlay(case, content, summaries) for case in content.overlays],
        counts=_counts(content.trials),
        trials=[_trial_row(t, content.best_trial) for t in content.trials],
        diagrams=[
            {"title": d.title, "svg": draw(d, key=f"diagram-{i}")} for i, d in enumerate(content.diagrams)
        ],
        plots=plots,
        plotly=_plotly_script() if plots else None,
    )


def _plots(content: ReportContent, summaries: tuple[Summary, ...]) -> dict[str, dict[str, Any]]:
    """The plots for which there is something to plot, by name: figure as JSON and height in pixels."""
    drawn: dict[str, go.Figure] = {}
    if content.trials:
        drawn["search"] = figures.best_so_far(content.trials, content.reward_name)
    if any(t.reward is not None and t.parameters for t in content.trials) or any(s.tested for s in summaries):
        drawn["size"] = figures.size_against_dice(content.trials, summaries, content.reward_name)
    if any(s.tested for s in summaries):
        drawn["cases"] = figures.dice_by_case(summaries)
    retrained = {
        formatting.sentence_case(s.contestant.title): s.contestant.curves
        for s in summaries
        if any(s.contestant.curves.values())
    }
    if retrained:
        seconds = {
            formatting.sentence_case(s.contestant.title): s.contestant.train_seconds for s in summaries
        }
        drawn["retraining"] = figures.training_curves(retrained, seconds)
    if any(content.best_curves.values()):
        drawn["best"] = figures.training_curves({f"trial {content.best_trial}": content.best_curves}, {})
    # Plotly's own encoder writes <, > and / as \\u escapes, so that no text can close the script element.
    return {
        name: {"json": Markup(figure.to_json()), "height": figure.layout.height}
        for name, figure in drawn.items()
    }


def _plotly_script() -> Markup:
    from plotly.offline import get_plotlyjs

    return Markup(get_plotlyjs())


def _status(value: str) -> dict[str, str]:
    return {"words": formatting.status(value), "colour": figures.status_colour(value)}


def _estimate(estimate: Estimate) -> dict[str, str]:
    return {
        "mean": formatting.dice(estimate.mean),
        "interval": formatting.interval(estimate.low, estimate.high),
    }


def _network_row(summary: Summary, labels: tuple[str, ...]) -> dict[str, Any]:
    contestant, comparison = summary.contestant, summary.comparison
    difference = None
    if comparison is not None and comparison.n:
        difference = {
            "mean": formatting.signed(comparison.mean_difference),
            "interval": formatting.interval(comparison.low, comparison.high),
            "p": formatting.p_value(comparison.p_value),
            "outcome": {"equal": "no measurable difference"}.get(outcome(comparison), outcome(comparison)),
        }
    return {
        "title": formatting.sentence_case(contestant.title),
        "description": contestant.description,
        "searched": summary.searched,
        "tested": summary.tested,
        "overall": _estimate(summary.overall),
        "labels": [_estimate(summary.labels[label]) for label in labels],
        "difference": difference,
        "parameters": formatting.parameters(contestant.parameters),
        "megabytes": formatting.megabytes(contestant.parameters),
        "train": formatting.duration(contestant.train_seconds),
        "epochs": contestant.epochs,
        "inference": formatting.milliseconds(contestant.inference_ms),
        "status": _status(contestant.status),
        "reason": contestant.reason,
    }


def _overlay(case: OverlayCase, content: ReportContent, summaries: tuple[Summary, ...]) -> dict[str, Any]:
    """The picture of a case, and what every tested network reached on it."""
    scores = []
    for summary in summaries:
        by_label = summary.contestant.scores.get(case.name)
        if by_label is not None and case.name in summary.case_dice:
            scores.append(
                {
                    "title": formatting.sentence_case(summary.contestant.title),
                    "searched": summary.searched,
                    "mean": formatting.dice(summary.case_dice[case.name]),
                    "labels": [formatting.dice(by_label.get(label)) for label in content.labels],
                }
            )
    return {
        "role": case.role,
        "name": case.name,
        "dice": formatting.dice(case.dice),
        "picture": draw_overlay(case),
        "spacing": " × ".join(f"{s:.2f}".rstrip("0").rstrip(".") for s in case.spacing),
        "shape": " × ".join(str(n) for n in case.image.shape),
        "scores": scores,
        "legend": [
            {"name": label, "colour": label_colour(value)}
            for value, label in enumerate(content.labels, start=1)
            if (case.truth == value).any() or (case.prediction == value).any()
        ],
    }


def _counts(trials: tuple[TrialRow, ...]) -> list[dict[str, Any]]:
    counted = Counter(t.status for t in trials)
    order = [s for s in figures.STATUS_COLOURS if s in counted] + sorted(
        set(counted) - set(figures.STATUS_COLOURS)
    )
    rows = [{**_status(status), "count": counted[status], "hollow": False} for status in order]
    cached = sum(t.cached_from is not None for t in trials)
    if cached:
        rows.append(
            {"words": "of these from the cache", "colour": figures.INK, "count": cached, "hollow": True}
        )
    return rows


def _trial_row(trial: TrialRow, best: int | None) -> dict[str, Any]:
    note = trial.reason
    if trial.cached_from is not None:
        note = f"same network as trial {trial.cached_from}{f'; {note}' if note else ''}"
    return {
        "trial": trial,
        "best": trial.number == best,
        "status": _status(trial.status),
        "reward": formatting.dice(trial.reward),
        "parameters": formatting.parameters(trial.parameters),
        "seconds": formatting.duration(trial.seconds),
        "finished": formatting.duration(trial.finished_at),
        "note": note,
    }
