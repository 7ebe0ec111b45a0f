"""Adapters, and sizes that follow, against closed forms."""

from __future__ import annotations

from math import prod

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from netwright.spaces.layerwise.adapters import (
    Adapter,
    FarPadding,
    axis_groups,
    follow_parts,
    follow_shape,
    resize,
    resize_output,
    scaled,
)

LENGTHS = st.integers(2, 5)


@pytest.mark.parametrize(
    ("before", "after", "groups"),
    [
        ((2, 8, 4, 4), (2, 128), (((0,), (0,)), ((1, 2, 3), (1,)))),
        ((2, 8, 4, 4), (2, 2, 4, 4, 4), (((0,), (0,)), ((1,), (1, 2)), ((2,), (3,)), ((3,), (4,)))),
        ((2, 8, 1, 1), (2, 8), (((0,), (0,)), ((1, 2, 3), (1,)))),
        ((2, 1, 1), (2,), (((0,), (0,)), ((1,), ()), ((2,), ()))),
        ((2, 16, 6), (2, 4, 4, 6), (((0,), (0,)), ((1,), (1, 2)), ((2,), (3,)))),
    ],
)
def test_axes_that_belong_together(
    before: tuple[int, ...],
    after: tuple[int, ...],
    groups: tuple[tuple[tuple[int, ...], tuple[int, ...]], ...],
) -> None:
    assert axis_groups(before, after) == groups


@given(st.lists(LENGTHS, min_size=2, max_size=4), st.lists(LENGTHS, min_size=4, max_size=4), st.data())
def test_a_flatten_follows_any_lengths(before: list[int], now: list[int], data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(before) - 1))
    after = (*before[:start], prod(before[start:]))
    features = torch.randn(now[: len(before)])
    groups = axis_groups(before, after)
    assert torch.equal(follow_shape(features, groups, after, 1), features.flatten(start))


def test_a_split_axis_scales_or_keeps_its_first_part() -> None:
    tokens = axis_groups((2, 16, 6), (2, 4, 4, 6))
    assert follow_shape(torch.zeros(2, 64, 6), tokens, (2, 4, 4, 6), 2).shape == (2, 8, 8, 6)
    assert follow_shape(torch.zeros(2, 24, 6), tokens, (2, 4, 4, 6), 2).shape == (2, 4, 6, 6)
    groups = axis_groups((2, 16, 3), (2, 4, 4, 3))
    assert follow_shape(torch.zeros(2, 64, 3), groups, (2, 4, 4, 3), 1).shape == (2, 4, 16, 3)
    with pytest.raises(ValueError, match="18 cannot be split into 4 parts"):
        follow_shape(torch.zeros(2, 18, 3), groups, (2, 4, 4, 3), 1)


@given(st.lists(LENGTHS, min_size=1, max_size=4), st.integers(1, 40))
def test_parts_keep_their_proportions_and_nothing_is_lost(parts: list[int], length: int) -> None:
    features = torch.arange(length).reshape(1, length)
    pieces = follow_parts(features, parts, 1)
    assert torch.equal(torch.cat(pieces, 1), features)
    for part, piece in zip(parts, pieces, strict=True):
        assert abs(piece.shape[1] - length * part / sum(parts)) <= 1


def test_a_projection_is_one_by_one_and_a_resize_is_linear() -> None:
    features = torch.randn(2, 3, 4, 6)
    adapter = Adapter(3, 5, 1, 4, resizes=True)
    assert tuple(adapter.projection.weight.shape) == (5, 3, 1, 1)  # type: ignore[union-attr]
    both = adapter(features, torch.zeros(2, 9, 8, 3))
    one_way = resize(adapter.projection(features), (8, 3))  # type: ignore[misc]
    torch.testing.assert_close(both, one_way)  # a projection and an interpolation can change places
    assert adapter(features, torch.zeros(2, 9, 4, 6)).shape == (2, 5, 4, 6)
    last = Adapter(6, 2, 3, 4, resizes=False)
    assert isinstance(last.projection, nn.Linear)
    assert last(features).shape == (2, 3, 4, 2)
    with pytest.raises(ValueError, match="no projection along axis 2 of 4"):
        Adapter(4, 2, 2, 4, resizes=False)


def test_tokens_are_resized_along_their_own_axis() -> None:
    adapter = Adapter(6, 6, 2, 3, resizes=True)
    assert adapter(torch.randn(2, 10, 6), torch.zeros(2, 5, 4)).shape == (2, 5, 6)


@pytest.mark.parametrize("size", [(5,), (5, 6), (3, 4, 5)])
def test_equal_sizes_are_left_alone_and_constants_stay_constant(size: tuple[int, ...]) -> None:
    features = torch.full((1, 2, *size), 3.0)
    assert resize(features, size) is features
    torch.testing.assert_close(
        resize(features, [2 * n for n in size]), torch.full((1, 2, *(2 * n for n in size)), 3.0)
    )


def test_padding_is_at_the_far_end_of_each_axis() -> None:
    features = torch.ones(1, 1, 2, 3)
    padded = FarPadding((1, 2), "constant")(features)
    assert padded.shape == (1, 1, 3, 5)
    assert torch.equal(padded[..., :2, :3], features)
    assert padded.sum() == 6
    assert torch.equal(FarPadding((1, 0), "replicate")(features), torch.ones(1, 1, 3, 3))


@pytest.mark.parametrize(
    ("lengths", "ratios", "expected"),
    [((7, 9), ((1, 1), (1, 2)), [7, 5]), ((3,), ((1, 16),), [1]), ((8, 5), ((3, 2), (2, 1)), [12, 10])],
)
def test_lengths_keep_their_ratios(
    lengths: tuple[int, ...], ratios: tuple[tuple[int, int], ...], expected: list[int]
) -> None:
    assert scaled(lengths, ratios) == expected
    logits = resize_output(torch.zeros(1, 2, *([4] * len(lengths))), torch.zeros(1, 1, *lengths), ratios)
    assert logits.shape == (1, 2, *expected)
