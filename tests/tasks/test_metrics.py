"""Dice against MONAI's metric, and in degenerate cases."""

import numpy as np
import pytest
import torch

from netwright.errors import SettingsError
from netwright.tasks.classification import ClassificationTask
from netwright.tasks.metrics import dice_per_label, mean_dice, top_1_correct
from netwright.tasks.segmentation import SegmentationTask


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
    assert mean_dice(np.full((2, 2), np.nan)) == 0.0


def test_task_counts_the_background_and_refuses_nonsense():
    assert SegmentationTask(1, ("a", "b"), (8, 8, 8)).classes == 3
    with pytest.raises(SettingsError, match="foreground"):
        SegmentationTask(1, (), (8, 8, 8))


def test_top_1_is_one_where_the_class_is_right():
    truth = np.array([3, 1, 0, 2, 2])
    np.testing.assert_array_equal(top_1_correct(np.array([3, 0, 0, 2, 1]), truth), [1, 0, 1, 1, 0])
    with pytest.raises(ValueError, match="one shape"):
        top_1_correct(np.array([1]), np.array([1, 2]))


def test_tasks_tell_the_shape_of_their_labels_and_their_metrics():
    segmentation = SegmentationTask(1, ("a", "b"), (8, 6))
    assert (segmentation.label_size, segmentation.metric) == ((8, 6), "dice")
    assert segmentation.metric_names == ("dice", "dice.a", "dice.b")
    classification = ClassificationTask(3, ("cat", "dog", "owl"), (8, 6))
    assert (classification.label_size, classification.metric, classification.classes) == ((), "accuracy", 3)
    assert classification.metric_names == ("accuracy",)
    for wrong in ((0, ("a", "b"), (8, 8)), (1, ("a",), (8, 8)), (1, ("a", "b"), ()), (1, ("a", "b"), (8, 0))):
        with pytest.raises(SettingsError, match="classification task needs"):
            ClassificationTask(*wrong)
