"""`ReportContent` to one HTML file that opens offline: every picture, script and style is inside it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from importlib import resources
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from netwright.report import formatting
from netwright.report.content import AgentTable, OverlayCase, ReportContent, TrialRow
from netwright.report.draw import agents, classification, comparison_figures, policy, search_figures
from netwright.report.draw import one_shot as shared
from netwright.report.draw.costs import cost_rows
from netwright.report.draw.diagrams import draw
from netwright.report.draw.inpainting import restoration_rows
from netwright.report.draw.overlays import draw_overlay, is_planar, label_colour
from netwright.report.draw.postprocessing import crf_rows, crf_sentence, distance_table
from netwright.report.draw.style import INK, in_order, status_colour
from netwright.report.metrics import Metric, metric_named
from netwright.report.sentences import outcome, progress_sentences, sentences
from netwright.report.summaries import Estimate, Summary, summarise

if TYPE_CHECKING:
    import plotly.graph_objects as go

WIDE_LABELS = 4
"""With more labels than this, the score of each gets a table of its own."""


def render_report(content: ReportContent) -> str:
    """One self-contained HTML page, with no address of anything outside it.

    Every text of ``content`` is escaped. Parts without content (no trial, no comparison yet) say so or are
    left out. The page is about 5 MB, nearly all of it plotly's script, so that its plots work offline.

    Raises:
        ValueError: an overlay's image and label maps differ in shape, or an image is not one.
    """
    environment = Environment(
        loader=PackageLoader("netwright.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    metric = metric_named(content.metric)
    summaries = summarise(content.contestants, content.labels, metric)
    columns = tuple(label for label in content.labels if label != metric.column)
    tables = [content.agent_tables[i] for i in agents.telling(content.agent_tables)]
    plots = _plots(content, summaries, metric, tables)
    return environment.get_template("template.html.j2").render(
        content=content,
        style=Markup(resources.files("netwright.report").joinpath("report.css").read_text(encoding="utf-8")),
        metric=metric.counted(patients=any(c.groups for c in content.contestants)),
        sentences=sentences(summaries, metric) or progress_sentences(content),
        networks=[_network_row(s, columns, metric) for s in summaries],
        columns=[_column(label, metric) for label in columns],
        costs=cost_rows(summaries, metric),
        distances=distance_table(content.contestants, content.labels),
        crf_rows=crf_rows(content.contestants, content.labels),
        crf_sentence=crf_sentence(content.contestants, content.labels),
        wide=len(columns) > WIDE_LABELS,
        overlays=[_overlay(case, content, summaries) for case in content.overlays],
        planar=any(is_planar(case) for case in content.overlays),
        restorations=restoration_rows(content.restorations, summaries, content.labels),
        metric_names=[metric_named(label).name for label in content.labels] if metric.column else [],
        confusions=[] if content.confusion is None else classification.confusions(content.confusion),
        mistakes=classification.mistakes(content.mistakes),
        tables=[agents.thumbnail(table) for table in tables],
        told="" if content.policy is None else policy.policy_sentence(content.policy, content.reward_name),
        shared_told="" if content.shared is None else shared.shared_sentence(content.shared),
        phased=any(t.phase for t in content.trials),
        counts=_counts(content.trials),
        trials=[_trial_row(t, content.best_trial) for t in content.trials],
        diagrams=[
            {"title": d.title, "svg": draw(d, key=f"diagram-{i}")} for i, d in enumerate(content.diagrams)
        ],
        plots=plots,
        plotly=_plotly_script() if plots else None,
    )


def _plots(
    content: ReportContent, summaries: tuple[Summary, ...], metric: Metric, tables: Sequence[AgentTable]
) -> dict[str, dict[str, Any]]:
    """The plots for which there is something to plot, by name: figure as JSON and height in pixels."""
    drawn: dict[str, go.Figure] = {}
    tested = any(s.tested for s in summaries)
    if content.shared is not None:
        drawn["probabilities"] = shared.probabilities_figure(content.shared)
        drawn["certainty"] = shared.certainty_figure(content.shared)
        drawn["losses"] = shared.losses_figure(content.shared)
    elif content.trials:
        drawn["search"] = search_figures.best_so_far(content.trials, content.reward_name, content.penalty)
    trials = () if content.shared is not None else content.trials
    if tested or any(t.reward is not None and t.parameters for t in trials):
        drawn["size"] = search_figures.size_against_score(trials, summaries, content.reward_name, metric)
    if tested and not metric.classifies:
        drawn["cases"] = comparison_figures.score_by_case(summaries, metric)
    if content.confusion is not None:
        drawn["confusion"] = classification.confusion_figure(content.confusion)
    if content.layer_choices is not None and agents.any_choice(content.layer_choices):
        drawn["choices"] = agents.choices_figure(content.layer_choices, content.best_trial)
    if tables:
        drawn["agents"] = agents.tables_figure(tables, content.agent_values)
    if content.policy is not None:
        drawn["path"] = policy.path_figure(content.policy)
        if content.policy.rewards:
            drawn["means"] = policy.means_figure(content.policy, content.reward_name)
    drawn |= _curves(content, summaries, metric)
    # Plotly's own encoder writes <, > and / as \\u escapes, so that no text can close the script element.
    return {
        name: {"json": Markup(figure.to_json()), "height": figure.layout.height}
        for name, figure in drawn.items()
    }


def _curves(content: ReportContent, summaries: tuple[Summary, ...], metric: Metric) -> dict[str, go.Figure]:
    drawn: dict[str, go.Figure] = {}
    titles = [formatting.sentence_case(s.contestant.title) for s in summaries]
    retrained = {
        title: s.contestant.curves
        for title, s in zip(titles, summaries, strict=True)
        if any(s.contestant.curves.values())
    }
    if retrained:
        seconds = {title: s.contestant.train_seconds for title, s in zip(titles, summaries, strict=True)}
        drawn["retraining"] = comparison_figures.training_curves(retrained, seconds, metric)
    if any(content.best_curves.values()):
        best = {f"trial {content.best_trial}": content.best_curves}
        drawn["best"] = comparison_figures.training_curves(best, {}, metric)
    return drawn


def _plotly_script() -> Markup:
    from plotly.offline import get_plotlyjs

    return Markup(get_plotlyjs())


def _status(value: str) -> dict[str, str]:
    return {"words": formatting.status(value), "colour": status_colour(value)}


def _estimate(estimate: Estimate, metric: Metric) -> dict[str, str]:
    return {
        "mean": metric.value(estimate.mean),
        "interval": metric.interval(estimate.low, estimate.high),
    }


def _column(label: str, metric: Metric) -> dict[str, str]:
    """The head of a column beside that of the metric: a label and what is measured of it, or another metric."""
    return (
        {"name": metric_named(label).name, "of": ""} if metric.column else {"name": label, "of": metric.name}
    )


def _network_row(summary: Summary, labels: tuple[str, ...], metric: Metric) -> dict[str, Any]:
    contestant, comparison = summary.contestant, summary.comparison
    difference = None
    if comparison is not None and comparison.n:
        difference = {
            "mean": metric.difference(comparison.mean_difference),
            "interval": metric.difference_interval(comparison.low, comparison.high),
            "p": formatting.p_value(comparison.p_value),
            "outcome": {"equal": "no measurable difference"}.get(outcome(comparison), outcome(comparison)),
        }
    return {
        "title": formatting.sentence_case(contestant.title),
        "description": contestant.description,
        "searched": summary.searched,
        "tested": summary.tested,
        "overall": _estimate(summary.overall, metric),
        "labels": [
            _estimate(summary.labels[label], metric_named(label) if metric.column else metric)
            for label in labels
        ],
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
        if by_label is not None and case.name in summary.case_scores:
            scores.append(
                {
                    "title": formatting.sentence_case(summary.contestant.title),
                    "searched": summary.searched,
                    "mean": formatting.dice(summary.case_scores[case.name]),
                    "labels": [formatting.dice(by_label.get(label)) for label in content.labels],
                }
            )
    return {
        "role": case.role,
        "name": case.name,
        "dice": formatting.dice(case.dice),
        "picture": draw_overlay(case),
        "planar": is_planar(case),
        "spacing": " × ".join(f"{s:.2f}".rstrip("0").rstrip(".") for s in case.spacing),
        "shape": " × ".join(str(n) for n in case.truth.shape[: 2 if is_planar(case) else 3]),
        "scores": scores,
        "legend": [
            {"name": label, "colour": label_colour(value)}
            for value, label in enumerate(content.labels, start=1)
            if (case.truth == value).any() or (case.prediction == value).any()
        ],
    }


def _counts(trials: tuple[TrialRow, ...]) -> list[dict[str, Any]]:
    counted = Counter(t.status for t in trials)
    rows = [{**_status(status), "count": counted[status], "hollow": False} for status in in_order(counted)]
    cached = sum(t.cached_from is not None for t in trials)
    if cached:
        rows.append({"words": "of these from the cache", "colour": INK, "count": cached, "hollow": True})
    return rows


def _trial_row(trial: TrialRow, best: int | None) -> dict[str, Any]:
    note = trial.reason
    if trial.cached_from is not None:
        note = f"same network as trial {trial.cached_from}{f'; {note}' if note else ''}"
    return {
        "trial": trial,
        "best": trial.number == best,
        "status": _status(trial.status),
        "reward": formatting.reward(trial.reward),
        "parameters": formatting.parameters(trial.parameters),
        "seconds": formatting.duration(trial.seconds),
        "finished": formatting.duration(trial.finished_at),
        "note": note,
    }
