"""What a network of each task gets and gives."""

import pytest

from netwright.errors import SettingsError
from netwright.tasks.classification.task import ClassificationTask
from netwright.tasks.segmentation.network_task import SegmentationTask


def test_task_counts_the_background_and_refuses_nonsense():
    assert SegmentationTask(1, ("a", "b"), (8, 8, 8)).classes == 3
    with pytest.raises(SettingsError, match="foreground"):
        SegmentationTask(1, (), (8, 8, 8))


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
