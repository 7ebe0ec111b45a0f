"""A search for a Pareto front from the command line to its report, on real trainings; and what is refused."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from netwright import open_run
from netwright.cli.tables import end_lines
from netwright.errors import RunError
from netwright.planning.other_run import MOST, read_other_run
from netwright.training.files import WEIGHTS
from netwright_tests import LAYERS

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def front_run(shapes: Path, workshop: Path, netwright: Command) -> Path:
    """Agents tune a user's classifier for accuracy and size, under a limit that not all networks keep."""
    done = netwright(
        *("search", shapes, "--network", "own_networks:classifier", "-o", "front", *LAYERS["coordinated"]),
        *("--maximize", "accuracy", "--minimize", "parameters", "--limit", "parameters<=1000"),
        *("--verdict-hours", 0),
        cwd=workshop,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return workshop / "front"


def test_the_front_is_told_everywhere(front_run: Path, netwright: Command) -> None:
    run = open_run(front_run)
    objective = run.settings.objective
    assert (objective.metric, objective.names) == ("accuracy", ("accuracy", "parameters"))
    assert objective.plain, "what the recipe sets for a single objective is left behind"
    front = run.pareto()
    assert run.best == front[0]
    for one in front:
        assert one.outcome is not None
        assert one.values == (one.outcome.metrics["accuracy"], one.outcome.cost.parameters)
        better = [t for t in run.trials if t.values and t.reward is not None and t.reward > one.values[0]]
        assert all(other.values[1] > one.values[1] for other in better)
    broken = [t for t in run.trials if "the limit is <= 1,000" in t.reason]
    assert broken, "the limit is worth testing"
    assert all(t.outcome is not None and t.outcome.epochs == 0 for t in broken), "none was trained"

    status = netwright("status", front_run, "--json")
    assert json.loads(status.stdout)["front"] == len(front)
    assert f"front  {len(front)} network" in netwright("status", front_run).stdout
    page = (front_run / "report.html").read_text()
    for words in (
        "accuracy (maximised), parameters (minimised)",
        "The Pareto front",
        "Hypervolume",
        "accuracy, in the search",
        "front.csv",
    ):
        assert words in page


def test_the_end_names_the_training_of_the_front_and_another_search_starts_from_it(front_run: Path) -> None:
    run = open_run(front_run)
    assert any(line.startswith(f"front    netwright train {front_run} --pareto") for line in end_lines(run))
    front = [record.choice for record in run.pareto()]
    choices = read_other_run(front_run).choices
    assert choices[0] == front[0]
    taken = min(len(front), MOST)
    assert all(choice in front for choice in choices[:taken])
    assert front[-1] in choices, "the other end of the front, too"


def test_train_finishes_the_front_once(front_run: Path, workshop: Path, netwright: Command) -> None:
    numbers = [record.number for record in open_run(front_run).pareto()]
    done = netwright("train", front_run, "--pareto", "--epochs", 1, cwd=workshop)
    assert done.returncode == 0, done.stderr + done.stdout
    for place, number in enumerate(numbers, start=1):
        assert f"training   trial {number}, {place} of {len(numbers)}" in done.stdout
    weights = [front_run / "trained" / f"{number:04d}" / WEIGHTS for number in numbers]
    stamps = [file.stat().st_mtime_ns for file in weights]
    again = netwright("train", front_run, "--pareto", "--epochs", 1, cwd=workshop)
    assert again.returncode == 0, again.stderr
    assert "training   trial" not in again.stdout, "nothing is trained twice"
    assert [file.stat().st_mtime_ns for file in weights] == stamps
    assert "accuracy, trained in full" in open_run(front_run).report().read_text()
    wrong = netwright("train", front_run, "--pareto", "--trial", 0, cwd=workshop)
    assert wrong.returncode == 2
    assert "--trial and --pareto were given" in wrong.stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--recipe", "auto", "--minimize", "parameters"], ["trainings go on", "marl-vgg16", "--limit"]),
        (["--recipe", "pdas-cells", "--minimize", "flops"], ["networks share their weights", "nsga-ii"]),
        (["--recipe", "marl", "--minimize", "parameter"], ["no cost 'parameter'", "parameters"]),
        (["--maximize", "accuracy", "--objective", "accuracy"], ["--objective and --maximize were given"]),
        (
            ["--minimize", "parameters", "--set", "objective.costs.size_mb=0.1"],
            ["Leave the ones or the others out"],
        ),
    ],
)
def test_what_has_no_front_is_refused(
    options: list[str], words: list[str], shapes: Path, netwright: Command, tmp_path: Path
) -> None:
    done = netwright("search", shapes, "-o", tmp_path / "run", "--hours", 0.01, *options)
    assert done.returncode == 2, done.stdout
    for word in words:
        assert word in done.stderr
    assert not (tmp_path / "run").exists()


def test_a_run_with_one_objective_has_no_front(finished_run: Path) -> None:
    with pytest.raises(RunError, match=r"has one objective.*--minimize"):
        open_run(finished_run).pareto()
