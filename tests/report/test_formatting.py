"""Numbers as a reader expects them."""

from __future__ import annotations

import pytest

from netwright.report import formatting


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (4.23, "4.2 s"),
        (9.96, "10 s"),
        (59.7, "1 m 00 s"),
        (192, "3 m 12 s"),
        (599.6, "10 m"),
        (840, "14 m"),
        (3599, "1 h 00 m"),
        (4440, "1 h 14 m"),
        (None, "–"),
    ],
)
def test_duration(seconds: float | None, text: str) -> None:
    assert formatting.duration(seconds) == text


@pytest.mark.parametrize(
    ("count", "size", "megabytes"),
    [
        (412_310, "0.41 M", "1.6 MB"),
        (23_400, "23.4 k", "0.094 MB"),
        (312, "312", "0.0012 MB"),
        (None, "–", "–"),
    ],
)
def test_parameters_and_megabytes(count: int | None, size: str, megabytes: str) -> None:
    assert (formatting.parameters(count), formatting.megabytes(count)) == (size, megabytes)


def test_dice_intervals_and_differences() -> None:
    assert formatting.dice(0.8765) == "0.876"
    assert formatting.dice(float("nan")) == "–"
    assert formatting.interval(0.8761, 0.8914) == "0.876–0.891"
    assert formatting.interval(-0.0021, 0.005) == "−0.002 to +0.005"
    assert formatting.interval(float("nan"), 1.0) == ""
    assert formatting.signed(-0.0001) == "0.000"


def test_small_p_values_are_not_zero() -> None:
    assert formatting.p_value(0.00002) == "p < 0.001"
    assert formatting.p_value(0.0041) == "p = 0.004"


@pytest.mark.parametrize(
    ("value", "text"), [(8.31, "8.3 ms"), (46.2, "46 ms"), (1240, "1.24 s"), (None, "–")]
)
def test_milliseconds(value: float | None, text: str) -> None:
    assert formatting.milliseconds(value) == text


def test_words() -> None:
    assert formatting.status("out_of_memory") == "out of memory"
    assert formatting.sentence_case("a random network") == "A random network"
    assert formatting.sentence_case("3D U-Net") == "3D U-Net"
    assert formatting.names(["a", "b", "c"]) == "a, b and c"
