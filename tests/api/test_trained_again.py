"""How trials are trained again, alone and as members of the front: as their choices say, and once."""

from pathlib import Path
from typing import Any

import pytest

import netwright.api.networks
from netwright.api import create_run
from netwright.api.run import Run
from netwright.planning.user_settings import UserSettings
from netwright.runs.trials import store_outcome
from netwright.searches.components import open_study, protocol_of
from netwright.searches.jobs import CandidateJob
from netwright.spaces import make_space
from netwright.training.files import WEIGHTS
from netwright.training.outcome import Cost, Outcome, Status

GIVEN = {
    "space.name": "classifier-stages",
    "strategy.name": "random",
    "objective.maximize": ["accuracy"],
    "objective.minimize": ["parameters"],
    "machine.workers": 1,
    "termination.slower_than_start": None,  # nothing is to be measured
}


@pytest.fixture
def run(shapes: Path, tmp_path: Path) -> Run:
    """A run with two trials, both on the front, that were not trained here."""
    made = create_run(shapes, "marl-vgg16", UserSettings(trials=2, assignments=GIVEN), tmp_path / "run")
    study, space = open_study(made.folder, made.settings), make_space(made.settings.space)
    for size in (1, 2):
        trial = study.ask(space.distributions())
        outcome = Outcome(
            Status.COMPLETE, metrics={"accuracy": size / 4}, cost=Cost(parameters=size), epochs=1
        )
        store_outcome(study, trial, outcome, (size / 4, float(size)))
    return made


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> list[CandidateJob]:
    """What would be trained."""
    asked: list[CandidateJob] = []

    def trained(job: Any, _: object) -> Outcome:
        asked.append(job.candidate)
        job.candidate.folder.mkdir(parents=True, exist_ok=True)
        (job.candidate.folder / WEIGHTS).touch()
        return Outcome(Status.COMPLETE)

    monkeypatch.setattr(netwright.api.networks, "train_alone", trained)
    return asked


def test_choices_set_the_training_and_members_are_trained_once(run: Run, jobs: list[CandidateJob]) -> None:
    run.train(0, epochs=3)
    assert [number for number, _ in run.train_pareto(epochs=3)] == [1, 0]
    space, trials = make_space(run.settings.space), run.trials
    for job, number in zip(jobs, (0, 1, 0), strict=True):
        own = protocol_of(run.settings, space, trials[number].choice)
        assert job.settings.training == own
        assert (job.protocol.learning_rate, job.protocol.augmentation) == (
            own.learning_rate,
            own.augmentation,
        )
        assert job.protocol.learning_rate != run.settings.training.learning_rate
        assert job.protocol.epochs == 3

    list(run.train_pareto(epochs=3))
    assert len(jobs) == 3, "nothing is trained twice"
    run.train(1, epochs=5)
    list(run.train_pareto(epochs=3))
    assert [job.folder.name for job in jobs[3:]] == ["0001", "0001"], "what was trained otherwise since is"
