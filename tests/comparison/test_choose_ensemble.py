"""The end of a search, with small networks trained on generated data of every task."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from netwright.api import create_run
from netwright.api.run import Run
from netwright.comparison.choose_ensemble import EnsembleJob, choose_ensemble
from netwright.comparison.ensemble import Rule
from netwright.comparison.finalists import Finalist, combined_cost, measured_cost
from netwright.comparison.kept_outputs import INDEX, OUTPUTS, find_outputs, keep_outputs, mean_outputs
from netwright.errors import RunError
from netwright.files import read_json, write_json
from netwright.models.store import ARCHITECTURE, ENSEMBLE, load_trained
from netwright.nn.ensemble import Ensemble
from netwright.planning.user_settings import UserSettings
from netwright.runs.data import RunData, open_run_data
from netwright.searches.components import problem_of
from netwright.settings import RunSettings, override
from netwright.spaces import make_space
from netwright.training.cost import dry_run
from netwright.training.files import WEIGHTS
from netwright.training.loop import train
from netwright.training.problem import Problem
from netwright.training.weights import save_weights

CPU = torch.device("cpu")
UNMEASURED = {
    "termination.slower_than_start": None,
    "termination.loss_of_guess": None,
    "postprocessing.crf": False,
    "training.mixed_precision": False,
    "training.device": "cpu",
    "budget.trials": 1,
}
DATA = {
    "volumes": ("dataset", "segnas4"),
    "pictures": ("cells", "marl-unet"),
    "classes": ("shapes", "pdas-cells"),
    "labels": ("several_shapes", "pdas-cells"),
}


@dataclass
class Ended:
    """A run whose search has ended, with three finalists."""

    run: Run
    data: RunData
    settings: RunSettings
    problem: Problem
    finalists: tuple[Finalist, ...]

    def job(self, folder: Path, **changes: Any) -> EnsembleJob:
        base = EnsembleJob(
            settings=self.settings,
            prepared=self.data.data.prepared,
            validation=self.data.data.validation,
            finalists=self.finalists,
            protocol=self.settings.training,
            folder=folder,
            seconds=120.0,
        )
        return replace(base, **changes)

    def network(self, number: int) -> nn.Module:
        finalist = self.finalists[number]
        network: nn.Module = make_space(self.settings.space).build(finalist.choice, self.problem.task)
        from netwright.training.weights import load_weights

        load_weights(network, finalist.folder / WEIGHTS)
        return network.eval()

    def score(self, network: nn.Module) -> float:
        scores = self.problem.scores(network, self.data.data.validation, self.settings.training, CPU)
        return float(self.problem.metrics(scores)[self.problem.task.metric])


@pytest.fixture(scope="module", params=list(DATA))
def ended(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Ended:
    fixture, recipe = DATA[request.param]
    folder = tmp_path_factory.mktemp("ended")
    user = UserSettings(assignments=UNMEASURED)
    run = create_run(request.getfixturevalue(fixture), recipe, user, folder / "run")
    data = open_run_data(run.folder, run.settings)
    settings, problem = run.settings, problem_of(run.settings, data.prepared)
    protocol = replace(settings.training, epochs=2, steps=None, early=None, patience=None)
    finalists = []
    for number in range(3):
        choice = make_space(settings.space).starting_choice()
        torch.manual_seed(number)
        network = make_space(settings.space).build(choice, problem.task)
        trained = train(network, problem, data.data.training, data.data.validation, protocol, seed=number)
        own = folder / f"trial-{number}"
        own.mkdir()
        save_weights(trained.network, own / WEIGHTS)
        scores = problem.scores(trained.network, data.data.validation, settings.training, CPU)
        score = float(problem.metrics(scores)[problem.task.metric])
        finalists.append(Finalist(f"trial {number}", own, dict(choice), None, score))
    return Ended(run, data, settings, problem, tuple(finalists))
