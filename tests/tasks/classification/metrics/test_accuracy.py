"""Top-1 accuracy in cases that can be counted by hand."""

import numpy as np
import pytest

from netwright.tasks.classification.metrics.accuracy import top_1_correct


def test_top_1_is_one_where_the_class_is_right():
    truth = np.array([3, 1, 0, 2, 2])
    np.testing.assert_array_equal(top_1_correct(np.array([3, 0, 0, 2, 1]), truth), [1, 0, 1, 1, 0])
    with pytest.raises(ValueError, match="one shape"):
        top_1_correct(np.array([1]), np.array([1, 2]))
