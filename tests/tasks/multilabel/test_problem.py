"""Training on several labels a picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, f1_score, log_loss
from torch import nn

from netwright.data.images.prepared import PreparedImages
from netwright.data.open import open_any, prepare_any
from netwright.tasks.multilabel.problem import MultilabelProblem
from netwright.tasks.multilabel.task import Multilabel, MultilabelTask
from netwright.training.config import TrainingProtocol

CPU = torch.device("cpu")
PROTOCOL = TrainingProtocol(loss="binary_cross_entropy", batch_size=8)


@pytest.fixture(scope="module")
def prepared(several_shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> PreparedImages:
    from netwright.data.images.settings import ImageSettings

    made = prepare_any(open_any(several_shapes), ImageSettings(), tmp_path_factory.mktemp("cache"))
    assert isinstance(made, PreparedImages)
    return made


@pytest.fixture(scope="module")
def problem(prepared: PreparedImages) -> MultilabelProblem:
    return MultilabelProblem(prepared, MultilabelTask(1, prepared.class_names, prepared.size))


def test_the_loss_is_the_mean_log_loss_of_the_labels(problem: MultilabelProblem) -> None:
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(0, 3, (6, 4)), rng.integers(0, 2, (6, 4))
    probabilities = 1 / (1 + np.exp(-logits))
    expected = log_loss(labels.ravel(), probabilities.ravel())
    given = torch.tensor(logits), torch.tensor(labels, dtype=torch.float32)
    loss = problem.loss([0], PROTOCOL, CPU)
    assert float(loss(*given)) == pytest.approx(expected, rel=1e-6)
    assert float(loss(torch.tensor([[800.0, -800.0]]), torch.tensor([[1.0, 1.0]]))) == pytest.approx(400)


def test_metrics_are_those_of_scikit_learn_on_what_the_network_gives(
    problem: MultilabelProblem, prepared: PreparedImages
) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(256, 4)).eval()
    cases = list(range(3, 37))
    scores = problem.scores(network, cases, PROTOCOL, CPU)
    with torch.no_grad():
        logits = network(torch.from_numpy(prepared.images(cases))).numpy()
    truths = np.array([prepared.labels[case] for case in cases])
    metrics = problem.metrics(scores)
    expected = average_precision_score(truths, logits)
    assert metrics["mean_average_precision"] == pytest.approx(expected, rel=1e-9)
    assert set(metrics) == set(problem.task.metric_names)
    none = problem.metrics(np.concatenate([scores[:, :4], np.zeros((34, 4))], axis=1))
    assert np.isnan(none["mean_average_precision"])
    assert "mean_average_precision.disc" not in none


def test_only_what_no_network_can_reach_is_undefined(
    problem: MultilabelProblem, prepared: PreparedImages
) -> None:
    lacking = [case for case in range(len(prepared)) if not prepared.labels[case][0]]
    name = prepared.class_names[0]
    undefined = Multilabel().undefined_metrics(prepared, lacking)
    probabilities = np.full((len(lacking), 4), 0.9)
    truths = np.array([prepared.labels[case] for case in lacking])
    metrics = problem.metrics(np.concatenate([probabilities, truths], axis=1))
    assert metrics[f"macro_f1.{name}"] == f1_score(truths[:, 0], np.ones(len(lacking)), zero_division=np.nan)
    assert (
        set(undefined) == set(problem.task.metric_names) - set(metrics) == {f"mean_average_precision.{name}"}
    )


def test_an_infinite_output_is_told(problem: MultilabelProblem) -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(256, 4))
    nn.init.constant_(network[1].bias, float("nan"))
    with pytest.raises(FloatingPointError):
        problem.scores(network, [0, 1], PROTOCOL, CPU)
