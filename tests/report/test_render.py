"""The page as a whole: whole HTML, nothing from outside, everything escaped, every state of a run."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from importlib import resources

import numpy as np
import pytest

from made_up_report import MadeUpReport, render_report
from netwright.report.draw.layers import LayerChoices
from netwright.report.draw.overlays import OverlayCase
from netwright.report.results import Contestant, TrialRow
from netwright.report.sections import PLOTLY
from netwright.strategies.pictures import AgentTable
from netwright.tasks.classification.report import ConfusionMatrix, ImageExample

VOID = {"meta", "link", "img", "br", "hr", "input", "path", "rect"}
EVIL = """<script>alert("1")</script>'"><img src=x onerror=alert(1)>"""


class Page(HTMLParser):
    """Elements, attributes and texts of a page; raises where tags are not nested."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open, f"</{tag}> closes nothing"
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] not in ("script", "style"):
            self.text.append(data)

    def shown(self) -> str:
        return " ".join(" ".join(self.text).split())

    def plots(self) -> set[str | None]:
        return {attributes["data-plot"] for _, attributes in self.tags if "data-plot" in attributes}

    def ids(self) -> list[str | None]:
        return [attributes["id"] for _, attributes in self.tags if "id" in attributes]


@pytest.fixture(scope="module")
def page(content_page: str) -> Page:
    return Page(content_page)


def test_page_is_nested_and_identifiers_are_unique(page: Page) -> None:
    assert len(page.ids()) == len(set(page.ids()))
    targets = {a["href"] for tag, a in page.tags if tag == "a" and "download" not in a}
    assert targets <= {f"#{identifier}" for identifier in page.ids()}


def test_nothing_comes_from_outside(content_page: str, page: Page) -> None:
    for tag, attributes in page.tags:
        for name in ("src", "href", "action", "data", "srcset", "poster"):
            value = attributes.get(name)
            if value:
                assert value.startswith(("data:", "#")), f"<{tag} {name}={value[:60]}>"
        assert tag not in ("iframe", "object", "embed")
    styles = "".join(re.findall(r"<style>(.*?)</style>", content_page, flags=re.DOTALL))
    assert "url(" not in styles
    assert "@import" not in styles


def test_plotly_is_embedded_once(content_page: str) -> None:
    assert len(re.findall(r"\* plotly\.js \(cartesian - minified\) v\d", content_page)) == 1
    assert 1.5e6 < len(content_page) < 3e6


def test_plotly_is_the_version_that_the_figures_are_made_for_and_has_their_traces(
    content_page: str, marl_page: str, images_page: str
) -> None:
    """The Python package writes for its own version of plotly.js; the traces of a bundle are known by its registry."""
    from plotly.offline import get_plotlyjs_version

    script = resources.files("netwright.report").joinpath(PLOTLY).read_text(encoding="utf-8")
    (version,) = re.findall(r"\* plotly\.js \(cartesian - minified\) v(\d+)\.", script)
    assert version == get_plotlyjs_version().split(".")[0]
    used = {
        trace["type"]
        for page in (content_page, marl_page, images_page)
        for figure in re.findall(r'id="plot-\w+">(.*?)</script>', page, flags=re.DOTALL)
        for trace in json.loads(figure)["data"]
    }
    assert used <= {"scatter", "bar", "box", "heatmap"}
    assert all(f'moduleType:"trace",name:"{kind}"' in script for kind in used)


def test_everything_is_there(page: Page, content: MadeUpReport) -> None:
    shown = page.shown()
    assert page.plots() == {"search", "size", "cases", "retraining", "best"}
    assert sum(tag == "img" for tag, _ in page.tags) == 2 * 3
    assert sum(a.get("class") == "diagram" for tag, a in page.tags if tag == "svg") == 2
    for trial in content.trials:
        assert trial.choice in shown
        assert trial.reason in shown
    for contestant in content.contestants:
        assert contestant.title[1:] in shown
        assert contestant.reason in shown
    for texts in (*content.facts, *content.commands):
        assert all(" ".join(text.split()) in shown for text in texts)
    assert " ".join(content.settings.split()) in shown
    assert "The searched network segments unseen cases at 0.8" in shown
    assert content.notes[0] in shown


def test_order_is_that_of_a_results_page(page: Page) -> None:
    order = ["verdict", "comparison", "cases", "search", "winner", "trials", "repeat"]
    assert [i for i in page.ids() if i in order] == order


def hostile(content: MadeUpReport) -> MadeUpReport:
    contestants = tuple(
        replace(
            c,
            title=EVIL,
            description=EVIL,
            reason=EVIL,
            scores={EVIL: {EVIL: 0.5}},
            curves={f"{EVIL} loss": [1.0]},
        )
        for c in content.contestants
    )
    return replace(
        content,
        title=EVIL, run_name=EVIL, recipe=EVIL, facts=((EVIL, EVIL),), labels=(EVIL,),
        trials=tuple(replace(t, status=EVIL, reason=EVIL, choice=EVIL) for t in content.trials),
        best_curves={f"{EVIL} dice": [0.5, 0.6]},
        diagrams=tuple(replace(d, title=EVIL) for d in content.diagrams),
        contestants=contestants,
        overlays=tuple(replace(o, role=EVIL, name=EVIL) for o in content.overlays),
        settings=EVIL, commands=((EVIL, EVIL),), notes=(EVIL,), reward_name=EVIL,
    )  # fmt: skip


def test_hostile_texts_stay_texts(page: Page, content: MadeUpReport) -> None:
    text = render_report(hostile(content))
    assert "<script>alert" not in text
    assert "<img src=x" not in text
    evil = Page(text)
    assert sum(tag == "script" for tag, _ in evil.tags) == sum(tag == "script" for tag, _ in page.tags)
    assert not any(name.startswith("on") for _, attributes in evil.tags for name in attributes)
    assert EVIL in evil.shown()


def test_hostile_names_of_layers_and_classes_stay_texts(images: MadeUpReport) -> None:
    table = AgentTable(EVIL, EVIL, (EVIL,), (EVIL,), np.ones((1, 1)), (0, 0))
    choices = LayerChoices((EVIL,), (0,), {EVIL: np.ones((1, 1))})
    example = ImageExample(np.zeros((2, 2), np.float32), EVIL, EVIL, 0.5, EVIL)
    content = replace(
        images,
        agent_tables=(table,), agent_values=EVIL, layer_choices=choices, mistakes=(example,), labels=(EVIL,),
        confusion=ConfusionMatrix((EVIL, EVIL), np.array([[1, 2], [3, 4]])), metric=EVIL,
        trials=tuple(replace(t, phase=EVIL) for t in images.trials[:3]),
        contestants=tuple(replace(c, title=EVIL, scores={"a": {EVIL: 1.0}}) for c in images.contestants),
    )  # fmt: skip
    text = render_report(content)
    assert "<script>alert" not in text
    assert "<img src=x" not in text
    page = Page(text)
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    assert page.plots() >= {"agents", "choices", "confusion"}
    assert len(page.ids()) == len(set(page.ids()))


def test_before_the_comparison(content: MadeUpReport) -> None:
    page = Page(render_report(replace(content, contestants=(), overlays=())))
    assert "The final comparison on the unseen test cases has not been run yet." in page.shown()
    assert page.plots() == {"search", "size", "best"}
    assert "comparison" not in page.ids()


def test_no_trial_complete(content: MadeUpReport) -> None:
    trials = tuple(
        TrialRow(n, "infeasible", "node 2 is a sink", "n=8", None, None, 0, 12, 0.1, None) for n in range(3)
    )
    empty = replace(
        content, trials=trials, best_trial=None, best_curves={}, diagrams=(), contestants=(), overlays=()
    )
    page = Page(render_report(empty))
    assert "None of 3 trials has finished training a network yet." in page.shown()
    assert page.plots() == {"search"}


def test_nothing_at_all() -> None:
    text = render_report(MadeUpReport("t", "r", "segnas4", (), (), (), None, {}, (), (), (), "", ()))
    assert "No trial has been run yet." in Page(text).shown()
    assert len(text) < 50_000


def test_many_labels_get_a_table_of_their_own(content: MadeUpReport) -> None:
    labels = tuple(f"structure {i}" for i in range(19))
    contestants = tuple(
        replace(c, scores={case: dict.fromkeys(labels, 0.8) for case in c.scores})
        for c in content.contestants
    )
    page = Page(render_report(replace(content, labels=labels, contestants=contestants)))
    assert "Dice per label" in page.shown()
    assert all(label in page.shown() for label in labels)


def test_a_default_that_nothing_was_better_than_is_nowhere_called_searched(
    content: MadeUpReport, images: MadeUpReport
) -> None:
    for made in (content, images):
        contestants = tuple(
            replace(c, title="the default") if c.name == "searched" else c for c in made.contestants
        )
        text = render_report(replace(made, contestants=contestants, overlays=made.overlays[:1]))
        page = Page(text)
        assert "searched network" not in page.shown().lower()
        assert '"Searched' not in text, "in plots"
        assert "The default" in page.shown()
        assert "used −\N{NO-BREAK SPACE}this" in " ".join(page.text)


def test_comparison_where_no_one_finished(content: MadeUpReport) -> None:
    contestants = tuple(
        replace(c, status="too_slow", reason="one epoch takes 99 s", scores={}, curves={}, parameters=None)
        for c in content.contestants
    )
    page = Page(render_report(replace(content, contestants=contestants, overlays=())))
    assert "The searched network could not finish an epoch in its share of the time" in page.shown()
    assert page.plots() == {"search", "size", "best"}


def test_one_contestant_one_case_one_epoch(content: MadeUpReport) -> None:
    alone = Contestant(
        "searched", "it", "", "complete", "", 1000, 3.0, 1, None, {"a": {"anterior": 0.5}}, {"loss": [1.0]}
    )
    overlay = content.overlays[0]
    cases = (OverlayCase("only", "a", 0.5, overlay.image, overlay.truth, overlay.prediction, (1, 1, 2.5)),)
    page = Page(render_report(replace(content, labels=("anterior",), contestants=(alone,), overlays=cases)))
    assert "one case only, so no interval can be given" in page.shown()
    assert "1 epoch" in page.shown()
