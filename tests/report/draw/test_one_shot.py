"""How the probabilities of a search inside one training are shown: the numbers of the content, none other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from made_up_report import MadeUpReport, make_content, render_report
from netwright.report.draw.one_shot import ProbabilityPath, losses_figure, one_shot_sentence
from netwright.strategies.natural_gradient import uniform
from report_pages import array, plot

SIZES = tuple(size for node in range(5) for size in (2 + node, 2 + node, 5, 5)) * 2


def made_up_path(steps: int = 1200, every: int = 10) -> ProbabilityPath:
    """The search of D variables where each has one right value, as the strategy does it."""
    rng = np.random.default_rng(0)
    best = np.array([rng.integers(size) for size in SIZES])
    distribution = uniform(SIZES)
    states = [distribution]
    for step in range(1, steps + 1):
        levels = np.array([distribution.sample(rng) for _ in range(2)])
        distribution = distribution.updated(levels, (levels != best).sum(1).astype(float))
        if step % every == 0:
            states.append(distribution)
    rows = [state.probabilities() for state in states]
    names = [f"{cell}.node{node + 1}.{what}" for cell in ("normal", "reduction") for node in range(5)
             for what in ("source1", "source2", "operation1", "operation2")]  # fmt: skip
    return ProbabilityPath(
        steps=tuple(range(0, steps + 1, every)),
        variables=tuple(names),
        values=tuple(tuple(f"value {i}" for i in range(size)) for size in SIZES),
        probabilities=tuple(np.array([row[i] for row in rows]) for i in range(len(SIZES))),
        chosen=tuple(best.tolist()),
        certainty=tuple(state.certainty() for state in states),
        entropy=tuple(state.entropy() for state in states),
        eta=tuple(state.eta for state in states),
        loss=(None, *np.linspace(2.3, 0.9, len(states) - 1).tolist()),
        theta_loss=(None, *np.linspace(2.3, 1.1, len(states) - 1).tolist()),
        seconds=1830.0,
        infeasible=0,
    )


@pytest.fixture(scope="module")
def content() -> MadeUpReport:
    found = next(trial for trial in make_content().trials if trial.reward is not None)
    trials = (replace(found, number=0),)
    return replace(make_content(), trials=trials, best_trial=0, best_curves={}, one_shot=made_up_path())


@pytest.fixture(scope="module")
def page(content: MadeUpReport) -> str:
    return render_report(content)


def test_every_probability_is_in_the_heat_map_in_its_row(content: MadeUpReport, page: str) -> None:
    path = content.one_shot
    assert path is not None
    figure = plot(page, "probabilities")
    drawn = array(figure["data"][0]["z"])
    assert drawn.shape == (sum(SIZES) + len(SIZES) - 1, len(path.steps))
    row = 0
    for place, block in enumerate(path.probabilities):
        rows = slice(row, row + block.shape[1])
        np.testing.assert_allclose(drawn[rows], block.T, atol=1e-6)
        arrow = figure["layout"]["annotations"][place]
        assert arrow["y"] == row + path.chosen[place]
        tick = figure["layout"]["yaxis"]["tickvals"][place]
        assert rows.start <= tick < rows.stop
        row += block.shape[1] + 1


def test_losses_begin_behind_the_first_snapshot(content: MadeUpReport, page: str) -> None:
    assert content.one_shot is not None
    first, second = plot(page, "losses")["data"]
    assert first["y"][0] is None
    assert list(first["y"])[1:] == list(content.one_shot.loss)[1:]
    assert list(second["y"])[1:] == list(content.one_shot.theta_loss)[1:]


def test_losses_far_apart_are_shown_by_their_logarithms(content: MadeUpReport, page: str) -> None:
    assert plot(page, "losses")["layout"]["yaxis"].get("type") != "log"
    path = content.one_shot
    assert path is not None
    fallen = replace(path, loss=(None, *np.geomspace(2.0, 0.01, len(path.steps) - 1).tolist()))
    assert losses_figure(fallen).layout.yaxis.type == "log"
    nothing = replace(path, loss=(None,) * len(path.steps), theta_loss=(None,) * len(path.steps))
    assert losses_figure(nothing).layout.yaxis.type != "log"


def test_there_are_no_trials_to_show(page: str) -> None:
    assert "How the probabilities moved" in page
    assert "Every trial" not in page
    assert 'id="plot-search"' not in page


def test_the_sentence_counts() -> None:
    path = made_up_path(steps=100, every=50)
    told = one_shot_sentence(replace(path, infeasible=1234))
    assert told.startswith("100 steps in 30 m")
    assert "over 40 variables" in told
    assert "1,234 sampled choices made no network" in told
    certain = sum(block[-1].max() >= 0.9 for block in path.probabilities)
    assert f"{certain} of 40 variables have a value of at least 90%" in told


def test_before_the_comparison_the_likeliest_network_is_told(content: MadeUpReport) -> None:
    told = render_report(replace(content, contestants=(), overlays=()))
    assert "The most likely network" in told
    assert "it has not been trained by itself yet" in told
