"""Dice against MONAI's metric, and in degenerate cases."""

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from netwright.means import mean_known, mean_scores
from netwright.tasks.segmentation.metrics.dice import dice_per_label, mean_dice


@pytest.mark.parametrize("classes", [2, 3, 6])
def test_dice_is_monai_s(classes):
    from monai.metrics import compute_dice

    rng = np.random.default_rng(classes)
    truth = rng.integers(0, classes, (5, 6, 7)).astype(np.uint8)
    prediction = np.where(rng.random(truth.shape) < 0.6, truth, 0).astype(np.int64)

    def one_hot(labels):
        return torch.nn.functional.one_hot(torch.tensor(labels).long(), classes).movedim(-1, 0)[None]

    expected = compute_dice(one_hot(prediction), one_hot(truth), include_background=False)[0].numpy()
    np.testing.assert_allclose(dice_per_label(prediction, truth, classes), expected, rtol=1e-6)


def test_dice_of_absent_labels():
    truth, prediction = np.zeros((4, 4), int), np.zeros((4, 4), int)
    truth[0, 0] = 1
    prediction[1, 1] = 2
    np.testing.assert_array_equal(dice_per_label(prediction, truth, 4), [0, 0, np.nan])
    np.testing.assert_array_equal(dice_per_label(truth, truth, 3), [1, np.nan])


def test_dice_refuses_different_shapes():
    with pytest.raises(ValueError, match="one shape"):
        dice_per_label(np.zeros((2, 3), int), np.zeros((3, 2), int), 2)


def test_mean_dice_leaves_absent_labels_out():
    assert mean_dice(np.array([[1.0, np.nan], [0.5, 0.0], [np.nan, np.nan]])) == pytest.approx((1 + 0.25) / 2)


def test_a_mean_of_nothing_is_not_defined():
    nan = float("nan")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # numpy warns of the mean of nothing
        assert np.isnan(mean_dice(np.full((2, 2), np.nan)))
        assert np.isnan(mean_dice(np.empty((0, 2))))
        assert np.isnan(mean_known([]))
        means = mean_scores({"a": {"core": nan, "rim": 0.5}, "b": {"core": nan, "rim": nan}}, "dice")
    assert means == {"dice": 0.5, "dice.rim": 0.5}
    assert np.isnan(mean_scores({"a": {"core": nan}}, "dice")["dice"])


@given(
    scores=st.integers(1, 5).flatmap(
        lambda labels: st.lists(
            st.lists(st.one_of(st.just(float("nan")), st.floats(0, 1)), min_size=labels, max_size=labels),
            min_size=1,
            max_size=6,
        )
    )
)
def test_means_are_the_same_of_arrays_and_of_named_scores(scores):
    array = np.array(scores)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        expected = np.nanmean(np.nanmean(array, axis=1))
        of_labels = np.nanmean(array, axis=0)
    assert mean_dice(array) == pytest.approx(expected, nan_ok=True)
    named = mean_scores(
        {
            str(row): {str(label): value for label, value in enumerate(case)}
            for row, case in enumerate(scores)
        },
        "dice",
    )
    assert named.pop("dice") == pytest.approx(expected, nan_ok=True)
    assert named == pytest.approx(
        {f"dice.{label}": mean for label, mean in enumerate(of_labels) if not np.isnan(mean)}
    )


def test_monai_s_conventions_are_as_documented():
    """Where ours differs: MONAI leaves a false alarm out by default, and has 0 where nothing is defined."""
    from monai.metrics import DiceMetric

    there, nothing = np.zeros((1, 1, 4, 4, 4), np.uint8), np.zeros((1, 1, 4, 4, 4), np.uint8)
    there[..., 1:3, 1:3, 1:3] = 1
    cases = {"neither": (nothing, nothing), "missed": (nothing, there), "false alarm": (there, nothing)}

    def monai(prediction, truth, **settings):
        metric = DiceMetric(include_background=True, **settings)
        return metric(torch.from_numpy(prediction), torch.from_numpy(truth)).item(), metric.aggregate().item()

    ours = {name: dice_per_label(*pair, classes=2)[0] for name, pair in cases.items()}
    default = {name: monai(*pair) for name, pair in cases.items()}
    counting = {name: monai(*pair, ignore_empty=False) for name, pair in cases.items()}
    assert ours == pytest.approx({"neither": np.nan, "missed": 0, "false alarm": 0}, nan_ok=True)
    assert [default[name][0] for name in cases] == pytest.approx([np.nan, 0, np.nan], nan_ok=True)
    assert [default[name][1] for name in cases] == [0, 0, 0]
    assert [counting[name][0] for name in cases] == [1, 0, 0]


def test_means_over_labels_then_cases_are_monai_s():
    from monai.metrics.utils import do_metric_reduction

    scores = np.array([[1.0, np.nan], [0.5, 0.1], [np.nan, np.nan]])
    mean, _ = do_metric_reduction(torch.from_numpy(scores.copy()), "mean")
    of_labels, _ = do_metric_reduction(torch.from_numpy(scores.copy()), "mean_batch")
    found = mean_scores(
        {str(row): dict(zip("ab", case, strict=True)) for row, case in enumerate(scores)}, "dice"
    )
    assert found == pytest.approx({"dice": mean.item(), "dice.a": of_labels[0].item(), "dice.b": 0.1})
