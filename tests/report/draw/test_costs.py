"""The table beside the original: order, ratios in words that mean what they say, gaps where nothing is known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from netwright.comparison.contestants import entries
from netwright.report.draw.costs import cost_rows, time_saved, times_smaller
from netwright.report.metrics import metric_named
from netwright.report.results import Contestant
from netwright.report.sentences import verdict_sentences
from netwright.report.summaries import summarise
from netwright.runs.data import SearchData
from netwright.settings import parse_settings
from netwright.spaces import make_space


@pytest.mark.parametrize(
    ("mine", "original", "words"),
    [
        (1.0, 24.8, "25 × smaller"),
        (10.0, 12.4, "1.2 × smaller"),
        (13.0, 10.0, "1.3 × larger"),
        (10.0, 10.3, "the same size"),
        (None, 10.0, ""),
        (1.0, None, ""),
    ],
)
def test_sizes(mine: float | None, original: float | None, words: str) -> None:
    assert times_smaller(mine, original) == words


@pytest.mark.parametrize(
    ("mine", "original", "words"),
    [
        (62.0, 100.0, "38 % less time"),
        (0.4, 100.0, "99.6 % less time"),
        (112.0, 100.0, "12 % more time"),
        (310.0, 100.0, "3.1 × the time"),
        (98.0, 100.0, "the same time"),
        (None, 100.0, ""),
    ],
)
def test_times(mine: float | None, original: float | None, words: str) -> None:
    assert time_saved(mine, original) == words


def contestant(
    name: str, role: str | None, dice: float, size: float, training: float, inference: float
) -> Contestant:
    scores = {f"case {i}": {"organ": dice} for i in range(20)}
    return Contestant(
        name, name, "", "complete", "", 1_000_000, 60.0, 10, 20.0, scores,
        role=role, size_mb=size, training_batch_ms=training, inference_batch_ms=inference,
    )  # fmt: skip


CONTESTANTS = (
    contestant("searched", "searched", 0.88, 1.25, 50.0, 10.0),
    contestant("rival", "random search", 0.85, 5.0, 100.0, 25.0),
    contestant("random", "random network", 0.70, 3.1, 60.0, 15.0),
    contestant("U-Net", "original", 0.87, 31.0, 100.0, 20.0),
    contestant("vnet", None, 0.80, 60.0, 300.0, 90.0),
)


def test_original_first_searched_last_others_without_a_role_not_at_all() -> None:
    rows = cost_rows(summarise(CONTESTANTS, ("organ",)), metric_named("Dice"))
    assert [row["role"] for row in rows] == ["original", "random network", "random search", "searched"]
    original, random, rival, searched = rows
    assert (original["score"], original["difference"], original["size_ratio"]) == ("0.870", "", "")
    assert (random["size_ratio"], random["training_ratio"]) == ("10 × smaller", "40 % less time")
    assert (rival["difference"], rival["training_ratio"]) == ("−0.020", "the same time")
    assert rival["inference_ratio"] == "25 % more time"
    assert (searched["size"], searched["size_ratio"]) == ("1.2 MB", "25 × smaller")
    assert (searched["training"], searched["training_ratio"]) == ("50 ms", "50 % less time")
    assert (searched["difference"], searched["inference_ratio"]) == ("+0.010", "50 % less time")


def test_every_network_of_a_comparison_beside_an_original_has_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """Section VIII-B: searched, original and random network, as the study names them."""
    space = {"name": "layerwise", "network": "tiny_networks:segmenter", "channels": 1, "classes": 3}
    space |= {"size": [24, 24], "dense": True}
    settings = parse_settings(
        {"recipe": "marl", "dataset": {"path": "."}, "space": space, "strategy": {"name": "random"}}
    )
    monkeypatch.setattr("netwright.comparison.contestants.random_choice", lambda *_: {})
    who = entries(settings, make_space(settings.space), SearchData(Path(), (0,), (1,)), {})
    made = [replace(contestant(e.name, e.role, 0.8, 2.0, 50.0, 10.0), title=e.title) for e in who]
    rows = cost_rows(summarise(made, ("organ",)), metric_named("Dice"))
    assert [row["title"] for row in rows] == [
        "The original network",
        "A random network of the same space",
        "The searched network",
    ]


def test_without_an_original_there_is_no_table() -> None:
    assert cost_rows(summarise(CONTESTANTS[:3], ("organ",)), metric_named("Dice")) == []
    assert cost_rows(summarise(CONTESTANTS[4:], ("organ",)), metric_named("Dice")) == []


def test_verdict_tells_training_and_inference_and_the_originals_interval() -> None:
    told = verdict_sentences(CONTESTANTS, ("organ",))
    against = next(t for t in told if t.startswith("Against U-Net"))
    assert "2.0 times faster in inference, 2.0 times faster in training" in against
    assert "Its Dice of 0.880 is above the original's 95 % interval (0.870–0.870)." in against
    assert "interval" not in next(t for t in told if t.startswith("Against random"))


def test_of_networks_of_the_same_size_and_computation_no_time_is_told() -> None:
    made = [replace(CONTESTANTS[0], name="searched", role="searched", training_batch_ms=1.0), CONTESTANTS[1]]
    for flops, told in (
        ((3e9, 3e9), "as much to compute."),
        ((3e9, 4e9), "faster"),
        ((None, None), "faster"),
    ):
        both = [replace(one, flops=of_one) for one, of_one in zip(made, flops, strict=True)]
        (against,) = [t for t in verdict_sentences(both, ("organ",)) if t.startswith("Against")]
        assert told in against
        assert ("faster" in against) == (told == "faster")


def test_table_is_in_the_page(marl_page: str) -> None:
    flat = " ".join(marl_page.split())
    assert "Against the original" in flat
    assert "a batch of 8" in flat
    for words in ("31.0 MB", "19 × smaller", "71 % less time", "68 % less time", "140 ms"):
        assert words in flat
