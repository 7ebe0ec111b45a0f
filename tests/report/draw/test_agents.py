"""Agents' tables, layers' choices and phases: the numbers of the content arrive in the page, none other."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from plotly.offline import get_plotlyjs

from made_up_marl_report import make_agent_tables, make_layer_choices
from made_up_report import MadeUpReport, render_report
from netwright.report.draw.agents import telling, thumbnail
from netwright.report.draw.layers import COLUMNS, LayerChoices, evenly_spaced
from netwright.strategies.pictures import AgentTable
from netwright.strategies.q_learning.report import action_text
from report_pages import array, plot

NAN = float("nan")


def pixels(uri: str) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))).convert("RGB"))


def test_actions_are_named_by_their_hyperparameters() -> None:
    assert action_text({"kernels": 64, "kernel_size": 3, "stride": 1}) == "64 k3 s1"
    assert action_text({"pool_size": 2}) == "p2"
    assert action_text({"units": 512}) == "512"
    assert action_text({"dilation": 4}) == "dilation 4"


def test_every_table_is_in_the_page_as_it_was(marl_page: str, marl: MadeUpReport) -> None:
    figure = plot(marl_page, "agents")
    assert len(figure["data"]) == len(marl.agent_tables) == 19
    for drawn, table in zip(figure["data"], marl.agent_tables, strict=True):
        np.testing.assert_allclose(array(drawn["z"]), table.values, rtol=1e-6)
        assert table.row_agent in drawn["hovertemplate"]
    (menu,) = figure["layout"]["updatemenus"]
    shown = [button["args"][0]["visible"] for button in menu["buttons"]]
    assert np.array_equal(shown, np.eye(19, dtype=bool))
    last = menu["buttons"][-1]["args"][1]
    assert last["yaxis.ticktext"] == list(marl.agent_tables[-1].row_actions)
    frame = last["shapes"][0]
    assert (frame["y0"], frame["x0"]) == (18 - 0.5, 36 - 0.5)


def test_thumbnail_colours_order_the_values_and_leave_the_unvisited_grey() -> None:
    values = np.array([[0.0, 5.0, NAN], [NAN, 2.5, 10.0]])
    table = AgentTable("a", "b", ("16 k3", "32 k3"), ("p2", "p3", "p4"), values)
    said = thumbnail(table)
    picture = pixels(said["uri"])
    side = picture.shape[1] // 3
    assert picture.shape == (2 * side, 3 * side, 3) == (said["height"], said["width"], 3)
    cells = picture[side // 2 :: side, side // 2 :: side].astype(int)
    # Viridis grows lighter with the value.
    brightness = cells @ [0.2126, 0.7152, 0.0722]
    rising = [brightness[i] for i in ((0, 0), (1, 1), (0, 1), (1, 2))]
    assert np.all(np.diff(rising) > 10)
    assert np.array_equal(cells[0, 2], cells[1, 0])
    assert np.ptp(cells[0, 2]) < 10
    assert said["visited"] == "4 of 6"
    assert said["range"] == "0 to 10"
    assert said["best"] == "32 k3 → p4"


def test_a_table_that_nobody_visited_is_grey_and_says_nothing_of_values(marl: MadeUpReport) -> None:
    empty = AgentTable("a", "b", ("x", "y"), ("z",), np.full((2, 1), NAN))
    said = thumbnail(empty)
    assert (said["range"], said["best"], said["visited"]) == ("", "", "0 of 2")
    assert len(np.unique(pixels(said["uri"]).reshape(-1, 3), axis=0)) == 1
    assert "0 of 2" in render_report(replace(marl, agent_tables=(empty,)))


def test_of_many_tables_those_that_differ_most_are_shown_in_order(marl: MadeUpReport) -> None:
    flat = np.zeros((3, 3))
    steep = np.arange(9.0).reshape(3, 3)
    actions = ("1", "2", "3")
    tables = tuple(
        AgentTable(f"layer{i}", f"layer{i + 1}", actions, actions, steep * (i % 3 == 0) if i else flat * NAN)
        for i in range(90)
    )
    chosen = telling(tables)
    assert len(chosen) == 24
    assert chosen == tuple(range(3, 75, 3))
    text = render_report(replace(marl, agent_tables=tables))
    assert "24 of 90 tables" in text
    assert "the other 66 are not shown" in text
    assert len(plot(text, "agents")["data"]) == 24


def test_choices_of_every_layer_are_in_the_page(marl_page: str, marl: MadeUpReport) -> None:
    choices = marl.layer_choices
    assert choices is not None
    figure = plot(marl_page, "choices")
    panels = [trace for trace in figure["data"] if trace.get("xaxis") != "x2"]
    assert len(panels) == 3
    for trace, values in zip(panels, choices.values.values(), strict=True):
        kept = values[np.isfinite(values).any(axis=1)]
        levels = np.unique(kept[np.isfinite(kept)])
        assert np.array_equal(array(trace["customdata"]), kept)
        assert np.array_equal(levels[array(trace["z"]).astype(int)], kept)
        assert array(trace["x"]).tolist() == list(choices.trials)
    best = [trace for trace in figure["data"] if trace.get("xaxis") == "x2"]
    column = choices.trials.index(marl.best_trial or 0)
    assert [row[0] for row in best[0]["text"]] == [f"{v:g}" for v in choices.values["kernels"][:, column]]
    assert figure["layout"]["shapes"][0]["x0"] == marl.best_trial
    axes = [value for name, value in figure["layout"].items() if name.startswith("yaxis")]
    assert sorted(len(axis["ticktext"]) for axis in axes) == [13, 20, 20]


def test_layer_without_a_value_in_one_trial_is_left_blank(marl: MadeUpReport) -> None:
    values = {"kernels": np.array([[16.0, NAN, 64.0], [32.0, 32.0, 32.0]])}
    choices = LayerChoices(("first", "second"), (4, 7, 9), values)
    trace = plot(render_report(replace(marl, layer_choices=choices, best_trial=None)), "choices")["data"][0]
    np.testing.assert_array_equal(array(trace["z"]), [[0, NAN, 2], [1, 1, 1]])
    assert trace["colorbar"]["ticktext"] == ["16", "32", "64"]


def test_choices_without_a_value_are_not_drawn(marl: MadeUpReport) -> None:
    for trials in ((), (0, 1)):
        empty = LayerChoices(("first",), trials, {"kernels": np.full((1, len(trials)), NAN)})
        assert 'id="plot-choices"' not in render_report(replace(marl, layer_choices=empty, agent_tables=()))


def test_very_many_trials_are_thinned_evenly() -> None:
    kept = evenly_spaced(make_layer_choices(trials=4500, layers=("a", "b")))
    assert len(kept) == COLUMNS
    assert (kept[0], kept[-1]) == (0, 4499)
    assert set(np.diff(kept)) == {3, 4}


def test_phases_are_told_apart_and_penalties_named(marl_page: str, marl: MadeUpReport) -> None:
    figure = plot(marl_page, "search")
    (ground,) = figure["layout"]["shapes"]
    assert (ground["x0"], ground["x1"]) == (-0.5, 199.5)
    named = {a["text"]: a["x"] for a in figure["layout"]["annotations"]}
    assert named == {"exploration": -0.5, "exploration-exploitation": 199.5}
    lanes = [trace for trace in figure["data"] if trace.get("yaxis") == "y2"]
    failed = [t for t in marl.trials if t.reward is None]
    assert sum(len(trace["x"]) for trace in lanes) == len(failed)
    assert {name for trace in lanes for name in trace["y"]} >= {"too slow: −1", "infeasible: −1"}
    (average,) = [trace for trace in figure["data"] if trace.get("name") == "mean of the last 25"]
    exploring = [t.reward for t in marl.trials if t.reward is not None and t.phase == "exploration"]
    exploiting = [t.reward for t in marl.trials if t.reward is not None and t.phase == "exploitation"]
    curve = average["y"]
    assert curve[len(exploring) - 1] == pytest.approx(np.mean(exploring[-25:]))
    assert curve[len(exploring)] is None
    assert curve[len(exploring) + 1] == pytest.approx(exploiting[0])
    assert re.search(r"<th[^>]*>(<button[^>]*>)?phase<", marl_page)


def test_without_agents_nothing_is_said_of_them(content_page: str) -> None:
    assert 'id="agents"' not in content_page
    assert not re.search(r"<th[^>]*>(<button[^>]*>)?phase<", content_page)
    assert "Against the original" not in content_page


def test_a_large_search_stays_a_page_that_opens(marl: MadeUpReport) -> None:
    layers = tuple(f"encoder.{i}.conv" for i in range(22))
    large = replace(
        marl, agent_tables=make_agent_tables(21, 42), layer_choices=make_layer_choices(300, layers)
    )
    assert len(render_report(large)) < len(get_plotlyjs()) + 1.8e6
