"""Networks of the final comparison that are trained several times, each time with another seed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file

from comparison.test_retrain import run_of_one_trial, settings_of
from netwright.api.run import Run
from netwright.cli.tables import end_lines
from netwright.comparison.contestants import Entry, trainings
from netwright.errors import SettingsError
from netwright.planning.user_settings import UserSettings
from netwright.report.collect.comparison import mean_scores, verdict_of
from netwright.runs.folder import RunFolder
from netwright.runs.marks import FINISHED
from netwright.runs.results import trainings_of, used_training
from netwright.runs.status import read_status
from planning.steps import resolve
from shared_workers import SharedWorkers

pytestmark = pytest.mark.usefixtures("shared_workers")
GIVEN = {
    "verdict.seeds": 2,
    "verdict.epochs": 1,
    "verdict.random_choices": 0,
    "training.epochs": 1,
    "training.patience": None,
}


@pytest.fixture(scope="module")
def run(cells: Path, worker_pool: SharedWorkers, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished run whose searched and original network were trained twice."""
    made = run_of_one_trial(cells, tmp_path_factory.mktemp("seeds") / "run", **GIVEN)
    with worker_pool.lent():
        return made.resume()


def results(run: Run) -> dict[int, dict[str, Any]]:
    """Of the trainings of the searched network."""
    return dict(trainings_of(run.folder, json.loads((run.folder.winner / "result.json").read_text())))


def test_each_network_is_trained_once_a_seed(run: Run) -> None:
    found = sorted(
        path.parent.relative_to(run.folder.root).as_posix() for path in run.folder.root.rglob("result.json")
    )
    assert found == ["verdict/original", "verdict/original/seed-2", "winner", "winner/seed-2"]
    first, second = (
        load_file(run.folder.contestant(name) / "weights.safetensors")
        for name in ("searched", "searched/seed-2")
    )
    assert first.keys() == second.keys()
    assert any((first[name] != second[name]).any() for name in first)


def test_the_best_on_the_validation_cases_is_used(run: Run) -> None:
    scores = {seed: result["outcome"]["metrics"]["dice"] for seed, result in results(run).items()}
    best = max(scores, key=lambda seed: scores[seed])
    used = run.saved().folder
    assert used == run.folder.contestant("searched" if best == 1 else f"searched/seed-{best}")
    assert (
        f"Used is training {best}, the best on the validation cases."
        in verdict_of(run.folder, run.settings)[0]
    )
    assert "Trained several times" in run.folder.report.read_text()


@pytest.mark.parametrize(
    ("first", "second", "used"), [(0.5, 0.7, 2), (0.7, 0.5, 1), (0.6, 0.6, 1), (None, 0.1, 2), (0.1, None, 1)]
)
def test_which_training_is_used(first: float | None, second: float | None, used: int) -> None:
    def of(score: float | None) -> dict[str, Any]:
        status = "crashed" if score is None else "complete"
        return {"outcome": {"status": status, "metrics": {} if score is None else {"dice": score}}}

    both = [(1, of(first)), (2, of(second))]
    assert used_training(both, settings_of("segnas4", objective="dice")) == used
    seen = settings_of("segnas4", objective="dice", train__cases="training+validation")
    assert used_training(both, seen) == (2 if first is None else 1), "validation cases judge nothing then"


def test_where_the_first_training_failed_the_second_is_used(run: Run, tmp_path: Path) -> None:
    own = RunFolder(shutil.copytree(run.folder.root, tmp_path / "failed"))
    result = json.loads((own.winner / "result.json").read_text())
    result |= {"outcome": {**result["outcome"], "status": "crashed"}, "scores": {}}
    (own.winner / "result.json").write_text(json.dumps(result))
    (own.winner / "weights.safetensors").unlink()
    failed = Run(own)
    assert failed.saved().folder == own.winner / "seed-2"
    told = "\n".join(end_lines(failed))
    assert "1 of its 2 trainings failed. Used is training 2" in told
    assert "train it" not in told, "it is trained"


@pytest.mark.slow  # how resumption decides is tested by test_retrain.py, too
def test_a_training_that_a_kill_took_is_made_again_with_the_same_seed(run: Run) -> None:
    lost = run.folder.contestant("searched/seed-2")
    weights = load_file(lost / "weights.safetensors")
    others = {path: path.read_bytes() for path in run.folder.root.rglob("result.json") if path.parent != lost}
    for path in (lost / "result.json", lost / "weights.safetensors", run.folder.root / FINISHED):
        path.unlink()
    status = read_status(run.folder).comparison
    assert status is not None
    assert set(status.entries) - set(status.done) == {"searched/seed-2"}
    run.resume()
    again = load_file(lost / "weights.safetensors")
    assert all((again[name] == weights[name]).all() for name in weights)
    assert all(path.read_bytes() == content for path, content in others.items())


def test_the_first_seeds_come_first() -> None:
    who = [Entry(name, name, {}, None) for name in ("searched", "unet3d")]
    assert [entry.name for entry in trainings(who, 2)] == [
        "searched",
        "unet3d",
        "searched/seed-2",
        "unet3d/seed-2",
    ]
    assert trainings(who, 1) == who


def test_scores_are_means_over_the_trainings_that_have_them() -> None:
    scores = mean_scores([{"a": {"x": 0.5, "y": float("nan")}}, {"a": {"x": 1.0, "y": 0.25}}, {}])
    assert scores == {"a": {"x": 0.75, "y": 0.25}}


def test_seeds_are_refused_where_nothing_is_trained_again() -> None:
    with pytest.raises(SettingsError, match=r"go on from their checkpoints.*--splits 3"):
        resolve(Path("dataset"), "auto", UserSettings(hours=1.0, assignments={"verdict.seeds": 3}))
    with pytest.raises(SettingsError, match=r"verdict\.hours=0 .* leaves it out"):
        resolve(Path("dataset"), "segnas4", UserSettings(verdict_hours=0, assignments={"verdict.seeds": 3}))
