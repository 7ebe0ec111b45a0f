"""What every task in `TASKS` promises to the rooms that ask it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from netwright.api import create_run
from netwright.errors import DatasetError
from netwright.files import read_json
from netwright.models.store import ARCHITECTURE, PREPROCESSING, describe_trained, saved_task
from netwright.nn.ensemble import Ensemble
from netwright.planning.user_settings import UserSettings
from netwright.recipes import RECIPES
from netwright.runs.data import RunData, open_run_data
from netwright.settings import RunSettings
from netwright.settings.fields import setting_fields
from netwright.spaces.base import is_dense
from netwright.tasks import RESULT_NAMES, TASKS, task_of_network
from netwright.tasks.base import SavedNetwork, Task
from netwright.training.problem import NetworkTask, Problem

CPU = torch.device("cpu")
SAMPLES = {
    "segmentation": "dataset",
    "classification": "shapes",
    "multilabel": "several_shapes",
    "inpainting": "tiles",
}
"""For each task a fixture of `conftest` with a dataset of its kind."""

UNMEASURED = {
    "termination.slower_than_start": None,
    "termination.loss_of_guess": None,
    "postprocessing.crf": False,
}


class Tiny(nn.Module):
    """A network of one layer, for any task."""

    def __init__(self, task: NetworkTask) -> None:
        super().__init__()
        self.dense = is_dense(task) and len(task.label_size) >= len(task.size)
        convolution = {2: nn.Conv2d, 3: nn.Conv3d}[len(task.size)]
        self.layer = convolution(task.channels, task.classes, 1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        outputs: torch.Tensor = self.layer(images)
        return outputs if self.dense else outputs.flatten(2).mean(2)


@pytest.fixture(params=list(TASKS), scope="module")
def task(request: pytest.FixtureRequest) -> Task:
    return TASKS[request.param]


@pytest.fixture(scope="module")
def data(task: Task, request: pytest.FixtureRequest) -> Path:
    path: Path = request.getfixturevalue(SAMPLES[task.name])
    return path


@pytest.fixture(scope="module")
def run(task: Task, data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[RunData, RunSettings]:
    """Data and settings of a search that was not begun."""
    user = UserSettings(format=task.format, assignments=UNMEASURED)
    made = create_run(data, None, user, tmp_path_factory.mktemp("run") / "run")
    return open_run_data(made.folder, made.settings), made.settings


@pytest.fixture(scope="module")
def problem(task: Task, run: tuple[RunData, RunSettings]) -> Problem:
    run_data, settings = run
    return task.problem(run_data.prepared, settings)


@pytest.fixture(scope="module")
def saved(run: tuple[RunData, RunSettings], tmp_path_factory: pytest.TempPathFactory) -> SavedNetwork:
    run_data, settings = run
    folder = tmp_path_factory.mktemp("network")
    describe_trained(folder, settings, run_data.prepared, {}, None)
    return SavedNetwork(folder, read_json(folder / ARCHITECTURE), read_json(folder / PREPROCESSING))


def test_data_name_their_task_and_it_has_a_recipe(task: Task, run: tuple[RunData, RunSettings]) -> None:
    run_data, settings = run
    assert TASKS[task.name] is task
    assert run_data.dataset.task == run_data.prepared.task == task.name
    assert set(run_data.dataset.names) == set(run_data.prepared.names)
    recipe = RECIPES[task.recipe(run_data.dataset.dimensions)]
    assert any(task.networks in kind.tasks for kind in recipe.kinds)
    assert settings.recipe == task.recipe(run_data.dataset.dimensions)


def test_batches_are_what_a_network_is_promised(problem: Problem, run: tuple[RunData, RunSettings]) -> None:
    run_data, settings = run
    network, sizes = Tiny(problem.task), problem.task
    images, labels = next(iter(problem.batches(run_data.data.training, settings.training, CPU, 0)))
    assert images.shape[1:] == (sizes.channels, *sizes.size)
    assert images.dtype == torch.float32
    assert labels.shape[1:] == sizes.label_size
    assert labels.dtype == getattr(torch, sizes.label_type)
    assert settings.training.loss in sizes.losses
    loss = problem.loss(run_data.data.training, settings.training, CPU)(network(images), labels)
    assert bool(loss.isfinite())
    assert loss.shape == ()


def test_scores_become_the_metrics_that_are_named(
    task: Task, problem: Problem, run: tuple[RunData, RunSettings]
) -> None:
    run_data, settings = run
    cases = run_data.data.validation
    scores = problem.scores(Tiny(problem.task), cases, settings.training, CPU)
    assert scores.shape[0] == len(cases)
    metrics = problem.metrics(scores)
    assert problem.task.metric_names[0] == problem.task.metric == task.metric
    assert set(metrics) <= set(problem.task.metric_names)
    assert np.isfinite(metrics[task.metric])
    assert set(task.undefined_metrics(run_data.prepared, cases)) <= set(problem.task.metric_names)


def test_a_saved_network_names_its_task_and_knows_what_it_gives(
    task: Task, problem: Problem, saved: SavedNetwork
) -> None:
    assert saved_task(saved.folder) is task
    assert task.network_task(saved.architecture) == problem.task
    before = {name: value for name, value in saved.architecture.items() if name != "task"}
    assert task_of_network(before) is task, "networks of before are known by their metric"


def test_a_predictor_tests_and_predicts(
    task: Task,
    problem: Problem,
    saved: SavedNetwork,
    run: tuple[RunData, RunSettings],
    data: Path,
    tmp_path: Path,
) -> None:
    run_data, settings = run
    predictor = task.predictor(Tiny(problem.task).eval(), saved, "cpu")
    predictor = task.finish(predictor, saved.folder, settings, run_data.prepared, run_data.data.validation)
    assert predictor.task == problem.task
    results = task.final_results(predictor, tmp_path, run_data.test, searched=True)
    assert set(results["scores"]) == {case.name for case in run_data.test}
    assert set(results) <= set(task.result_names) <= set(RESULT_NAMES)
    for scores in results["scores"].values():
        assert set(scores) <= set(task.score_names(run_data.prepared))
    assert predictor.means(results)[task.metric] >= 0
    assert predictor.without_postprocessing().is_postprocessed is False
    fitted = task.postprocessing(saved.folder)
    assert predictor.is_postprocessed == (fitted is not None and fitted.kept)
    assert all(isinstance(line, str) for line in task.remarks(results, postprocessed=True))
    assert set(task.mirror_axes) <= set(range(len(problem.task.size)))
    images = [path for path in sorted(data.rglob("*")) if path.suffix in (".png", ".gz")]
    image = next(path for path in images if "label" not in str(path))
    written = predictor.predict(image, tmp_path / "out")
    assert all(path.is_file() for path in written)
    assert str(tmp_path / "out") in task.predicted_words(written, tmp_path / "out")


def test_new_data_are_tested_as_the_own_are(
    task: Task, problem: Problem, saved: SavedNetwork, run: tuple[RunData, RunSettings], tmp_path: Path
) -> None:
    run_data, _ = run
    predictor = task.predictor(Tiny(problem.task).eval(), saved, "cpu")
    names = [case.name for case in run_data.test]
    task.require_testable(run_data.dataset)
    prepared = predictor.prepare(run_data.dataset, tmp_path, 1)
    again = predictor.results(task.test_cases(run_data.dataset, prepared, names))
    assert again.keys() == predictor.results(run_data.test).keys()
    assert again["scores"].keys() == set(names)


def test_data_of_another_kind_are_refused(task: Task, request: pytest.FixtureRequest) -> None:
    from netwright.data.open import open_any

    others = [open_any(request.getfixturevalue(SAMPLES[name])) for name in SAMPLES if name != task.name]
    foreign = [other for other in others if other.sliceable != (task.name == "segmentation")]
    assert foreign
    for other in foreign:
        with pytest.raises(DatasetError, match="the network"):
            task.require_testable(other)


def test_a_report_is_told_of_the_data(task: Task, run: tuple[RunData, RunSettings]) -> None:
    run_data, settings = run
    facts = dict(task.data_facts(run_data.dataset, run_data.prepared, settings))
    assert run_data.dataset.name in facts["dataset"]
    assert "network input" in facts


def test_nothing_that_was_fitted_outlives_its_weights(
    task: Task, problem: Problem, run: tuple[RunData, RunSettings], tmp_path: Path
) -> None:
    run_data, settings = run

    def described() -> set[str]:
        describe_trained(tmp_path, settings, run_data.prepared, {}, None)
        return {path.name for path in tmp_path.iterdir()}

    before = described()
    saved = SavedNetwork(tmp_path, read_json(tmp_path / ARCHITECTURE), read_json(tmp_path / PREPROCESSING))
    predictor = task.predictor(Tiny(problem.task).eval(), saved, "cpu")
    task.finish(predictor, tmp_path, settings, run_data.prepared, run_data.data.validation)
    fitted = {path.name for path in tmp_path.iterdir()} - before
    assert described() == before
    assert fitted <= set(task.fitted_files)
    for name in task.fitted_files:
        (tmp_path / name).touch()
    assert described() == before


def test_the_settings_name_every_loss_and_metric(task: Task) -> None:
    descriptions = {name: field.description for name, field in setting_fields().items()}
    assert all(f"`{loss}`" in descriptions["training.loss"] for loss in task.losses)
    assert all(f"`{metric}`" in descriptions["objective.metric"] for metric in task.metrics)


def test_scores_are_those_of_the_outputs(problem: Problem, run: tuple[RunData, RunSettings]) -> None:
    """So that several networks can be scored by the mean of what each gave."""
    run_data, settings = run
    cases = run_data.data.validation
    torch.manual_seed(0)
    network = Tiny(problem.task)
    outputs = [np.asarray(output) for output in problem.outputs(network, cases, settings.training, CPU)]
    expected = problem.scores(network, cases, settings.training, CPU)
    found = problem.scores_of(cases, problem.outputs(network, cases, settings.training, CPU))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert all(np.isfinite(output).all() for output in outputs)
    if problem.task.output == "softmax":
        np.testing.assert_allclose([output.sum(0).mean() for output in outputs], 1, rtol=1e-5)
    with torch.no_grad():
        network.layer.bias.fill_(float("nan"))  # type: ignore[union-attr]
    with pytest.raises(FloatingPointError):
        list(map(np.asarray, problem.outputs(network, cases, settings.training, CPU)))


def test_an_ensemble_is_used_as_a_network(
    task: Task, problem: Problem, saved: SavedNetwork, run: tuple[RunData, RunSettings], tmp_path: Path
) -> None:
    """Its outputs, through problem and predictor, are the means of its members'."""
    run_data, settings = run
    torch.manual_seed(0)
    members = [Tiny(problem.task), Tiny(problem.task)]
    ensemble = Ensemble(members, (1.0, 3.0), (), problem.task.output)
    cases = run_data.data.validation

    def outputs(network: nn.Module) -> list[np.ndarray]:
        protocol = replace(settings.training, mixed_precision=False)
        return list(map(np.asarray, problem.outputs(network, cases, protocol, CPU)))

    together, one, other = (outputs(network) for network in (ensemble, *members))
    for mean, a, b in zip(together, one, other, strict=True):
        np.testing.assert_allclose(mean, (a + 3 * b) / 4, rtol=1e-4, atol=1e-6)
    predictor = task.predictor(ensemble, saved, "cpu")
    predictor = task.finish(predictor, saved.folder, settings, run_data.prepared, cases)
    results = task.final_results(predictor, tmp_path, run_data.test, searched=True)
    assert set(results["scores"]) == {case.name for case in run_data.test}
