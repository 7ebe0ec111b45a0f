"""What is printed for people: commands that can be pasted, rewards that are not scores, promises that hold."""

from __future__ import annotations

import json
import shlex
import subprocess
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
import typer
from rich.console import Console

from netwright.api import create_run
from netwright.api.evaluation import Evaluation
from netwright.api.progress import Progress
from netwright.cli.app import app
from netwright.cli.display import TrainingLines, plain_line
from netwright.cli.status_lines import status_lines
from netwright.cli.tables import evaluation_lines, plan_lines
from netwright.data.splits import Splits
from netwright.data.volumes.sizes import PreparedSizes
from netwright.errors import DatasetError, SettingsError, SettingsWarning
from netwright.files import write_json
from netwright.planning.cost import Measurement, Plan
from netwright.planning.user_settings import UserSettings
from netwright.report.collect.comparison import verdict_of
from netwright.runs.folder import create_run_folder
from netwright.runs.marks import COMPARING
from netwright.runs.status import read_status
from netwright.searches.components import open_study
from netwright.settings import parse_settings
from netwright.spaces import make_space
from netwright.training.outcome import Outcome, Status
from netwright_tests import save_picture

Command = Callable[..., subprocess.CompletedProcess[str]]

START = Measurement("start", "n=1", "complete", "", 312, 0.02, 0.01, 0.3, 12.0)
PLAN = Plan(
    recipe="marl", dataset="shapes", choices=None, dimensions=4, training_cases=36, validation_cases=12,
    size=(32, 32), workers=1, threads=1, memory_limit_mb=None, trials=300, epochs=1, measurements=(START,),
    seconds_a_candidate=0.32, seconds_beside=0.3, share_seconds=None, hours=300 * 0.32 / 3600,
    candidates_an_hour=11_250.4,
)  # fmt: skip


def next_words(lines: list[str]) -> list[str]:
    """The words of the command that comes next, as a shell reads them."""
    (line,) = [line for line in lines if line.startswith("next ")]
    return shlex.split(line)[1:]


def parsed(words: list[str]) -> dict[str, Any]:
    """What a command's verb gets of its words; the command is not run."""
    _, verb, *rest = words
    command = typer.main.get_command(app).commands[verb]  # type: ignore[attr-defined]
    return dict(command.make_context(verb, rest).params)


@pytest.fixture
def two_values(tmp_path: Path) -> Path:
    """Pictures with masks of 0 and 255, in a folder whose name needs quotes."""
    root, rng = tmp_path / "two values", np.random.default_rng(0)
    for number in range(12):
        for part in ("images", "masks"):
            pixels = rng.integers(0, 2 if part == "masks" else 256, (16, 16), dtype=np.uint8)
            save_picture(root / part / f"{number}.png", pixels * (255 if part == "masks" else 1))
    return root


def test_inspect_says_how_to_go_on_with_its_options(netwright: Command, two_values: Path) -> None:
    refused = netwright("inspect", two_values, "--format", "image-masks")
    assert refused.returncode == 1
    (hint,) = [line for line in refused.stdout.splitlines() if "more of the same kinds" in line]
    again = parsed(shlex.split(hint.partition(": ")[2]))
    assert (again["dataset"], again["format"], again["show_all"]) == (two_values, "image-masks", True)
    assert "label      " not in refused.stdout, "no case is usable, so nothing is known of the labels"
    done = netwright("inspect", two_values, "--map-label", "255=1")
    assert done.returncode == 0
    assert "label      1 foreground" in done.stdout
    planned = parsed(next_words(done.stdout.splitlines()))
    assert (planned["dataset"], planned["map_label"]) == (two_values, ["255=1"])


def test_search_refuses_with_the_options_to_look_closer(two_values: Path, tmp_path: Path) -> None:
    user = UserSettings(format="image-masks", map_label={7: 1}, trials=1)
    with pytest.raises(DatasetError, match=r"'.*two values' --format image-masks --map-label 7=1 --all"):
        create_run(two_values, None, user, tmp_path / "run")


GIVEN = ("--network", "nets:small", "--limit", "parameters <= 2e4", "--set", "space.values.kernels=[4,8]")


@pytest.mark.parametrize(
    ("budget", "verb", "hours"),
    [((), "plan", 2.0), (("--trials", "40"), "search", None), (("--hours", "0.5"), "search", 0.5)],
)
def test_plan_says_how_to_go_on_with_its_options(
    netwright: Command,
    monkeypatch: pytest.MonkeyPatch,
    budget: tuple[str, ...],
    verb: str,
    hours: float | None,
) -> None:
    monkeypatch.setattr("netwright.api.plan", lambda *_, **__: PLAN)
    done = netwright(
        "plan", "shapes", *GIVEN, *budget, "--seed", 3, "--map-label", "255=1", "--map-label", "7=2"
    )
    words = next_words(done.stdout.splitlines())
    assert words[:2] == ["netwright", verb]
    given = parsed(words)
    assert (given["dataset"], given["recipe"], given["hours"]) == (Path("shapes"), "marl", hours)
    assert (given["network"], given["limits"]) == ("nets:small", ["parameters <= 2e4"])
    assert (given["assignments"], given["seed"]) == (["space.values.kernels=[4,8]"], 3)
    assert given["map_label"] == ["255=1", "7=2"]


def test_a_plan_says_how_large_prepared_volumes_are(
    netwright: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = PreparedSizes((0.8, 0.8, 5.0), (512, 512, 75), (240, 240, 36), 393_216_000)
    monkeypatch.setattr("netwright.api.plan", lambda *_, **__: replace(PLAN, prepared=sizes))
    told = netwright("plan", "shapes").stdout
    assert "prepared   median volume 512 x 512 x 75 voxels of 0.8 x 0.8 x 5 mm" in told
    assert "cache 393 MB" in told
    assert "patches    an input sees 11 % of the median volume" in told
    assert json.loads(netwright("plan", "shapes", "--json").stdout)["prepared"]["cache_bytes"] == 393_216_000


def test_a_plan_for_programs_has_its_warnings_on_standard_error(
    netwright: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def plan(*_: object, **__: object) -> Plan:
        warnings.warn("too few cases", SettingsWarning, stacklevel=2)
        return PLAN

    monkeypatch.setattr("netwright.api.plan", plan)
    done = netwright("plan", "shapes", "--json")
    assert json.loads(done.stdout)["recipe"] == "marl"
    assert "warning    too few cases" in done.stderr
    assert "warning    too few cases" in netwright("plan", "shapes").stdout


def test_a_plan_promises_no_more_digits_than_it_knows() -> None:
    told = "\n".join(plan_lines(PLAN, Path("shapes")))
    assert "a candidate of 1 epoch takes under 1 s: 11,250 candidates an hour" in told
    assert "300 trials: about 1 m 36 s" in told
    assert "exploration" not in told
    short = "\n".join(plan_lines(replace(PLAN, trials=100, exploration=658), Path("shapes")))
    assert "warning    100 trials are not enough: this strategy makes about 658 random ones" in short
    slow = replace(PLAN, epochs=10, seconds_a_candidate=9000.0, candidates_an_hour=0.4, hours=None)
    assert "10 epochs takes about 2 h 30 m: 0.4 candidates an hour" in "\n".join(plan_lines(slow, Path("x")))


def test_a_plan_tells_which_parts_are_not_drawn() -> None:
    assert not [line for line in plan_lines(PLAN, Path("x")) if line.startswith("parts")]
    told = list(plan_lines(replace(PLAN, parts="as parts.csv says", test_cases=7), Path("x")))
    assert told[2] == "parts      as parts.csv says; 7 test cases"


def test_a_plan_tells_what_the_crf_adds() -> None:
    assert not [line for line in plan_lines(PLAN, Path("x")) if "CRF" in line]
    told = list(plan_lines(replace(PLAN, crf_seconds=1200.0), Path("x")))
    assert "in the final comparison, up to 20 m more for each network, to fit its CRF" in told


@pytest.mark.parametrize(
    ("crf", "epochs", "words"),
    [
        (True, None, "1 m 30 s each and up to 20 m more to fit its CRF"),
        (False, None, "1 m 30 s each   "),
        (False, 7, "7 epochs each   "),
    ],
)
def test_the_comparison_tells_how_long_it_takes(
    tmp_path: Path, crf: bool, epochs: int | None, words: str
) -> None:
    settings = parse_settings(
        {
            "recipe": "segnas4",
            "dataset": {"path": "x"},
            "space": {"name": "segnas4"},
            "strategy": {"name": "random"},
            "postprocessing": {"crf": crf},
        }
    )
    folder = create_run_folder(tmp_path / "run", settings, Splits(("a",), ("b",), ("c",)))
    with folder.locked():
        comparison = {"trial": 0, "hours": 1, "entries": ["searched"]}
        comparison |= {"share_seconds": None if epochs else 90.0, "epochs": epochs}
        write_json(folder.root / COMPARING, comparison)
        lines = status_lines(read_status(folder))
    assert f"comparing: 0 of 1 networks retrained and tested, {words}" in lines[-1]
    cut_off = status_lines(read_status(folder))
    assert cut_off[-1] == "now    stopped at 0 of 1 networks retrained and tested"


def run_of_one_trial(root: Path, objective: Any) -> Any:
    space = {"name": "layerwise", "network": "tiny_networks:classifier", "channels": 1, "classes": 4}
    space |= {"size": [16, 16], "dense": False, "values": {"kernels": [4, 8]}}
    values = {"recipe": "marl", "dataset": {"path": "shapes"}, "space": space, "objective": objective}
    settings = parse_settings({**values, "strategy": {"name": "random"}})
    folder = create_run_folder(root, settings, Splits(("a",), ("b",), ("c",)))
    distributions = make_space(settings.space).distributions()
    metrics = {str(settings.objective.metric): 0.25}
    outcome = Outcome(Status.COMPLETE, metrics=metrics, epochs=1, planned_epochs=1)
    trial = optuna.trial.create_trial(
        params={name: d.choices[0] for name, d in distributions.items()},
        distributions=distributions,
        value=settings.objective.reward(outcome.metrics, {}, 1),
        user_attrs={"outcome": outcome.to_dict(), "status": "complete"},
    )
    open_study(folder, settings).add_trial(trial)
    return folder


def test_a_reward_is_told_as_one_with_the_score_beside_it(tmp_path: Path) -> None:
    weighed = run_of_one_trial(tmp_path / "a", {"metric": "accuracy", "weight": 0.9, "percent": True})
    plain = run_of_one_trial(tmp_path / "b", "accuracy")
    for folder, words in ((weighed, "reward 22.500 with accuracy 25.0 %"), (plain, "0.250")):
        status = read_status(folder)
        assert f"best   {words}   trial 0" in "\n".join(status_lines(status))
        assert f"best {words} (trial 0)" in plain_line(status)
        assert f", {words} on validation." in verdict_of(folder, folder.settings())[0]


@pytest.mark.parametrize(
    ("metric", "words"),
    [
        ("macro_f1", "0.500 mean average precision on unseen pictures"),
        ("mean_average_precision", "0.500 mean average precision on unseen pictures"),
        ("ssim", "0.250 SSIM on unseen images"),
        ("psnr", "24.0 dB PSNR"),
    ],
)
def test_the_verdict_names_what_the_scores_are(tmp_path: Path, metric: str, words: str) -> None:
    folder = run_of_one_trial(tmp_path / "run", metric)
    row = {"psnr": 24.0, "ssim": 0.25} if metric in ("psnr", "ssim") else {"sun": 0.4, "rain": 0.6}
    outcome = Outcome(Status.COMPLETE, metrics={metric: 0.25}, epochs=1, planned_epochs=1)
    result = {"name": "searched", "title": "searched", "role": "searched", "reference": None, "words": "x"}
    result |= {"outcome": outcome.to_dict(), "scores": {"a": row, "b": row, "c": row}}
    folder.winner.mkdir(parents=True)
    write_json(folder.winner / "result.json", result)
    assert words in verdict_of(folder, folder.settings())[0]


def test_no_picture_is_the_worst_and_some_case_is() -> None:
    right = Evaluation("n", "shapes", {"accuracy": 0.5}, {"x.png": {"ring": 1.0}, "y.png": {"disc": 0.0}}, "")
    assert not [line for line in evaluation_lines(right) if "worst" in line]
    cases = {"easy": {"Core": 0.9}, "hard": {"Core": 0.2}}
    worst = next(
        line for line in evaluation_lines(Evaluation("n", "s", {"dice": 0.55}, cases, "")) if "worst" in line
    )
    assert worst.split() == ["worst", "hard", "0.200"]


def test_a_training_tells_how_far_it_is_but_not_of_every_quick_epoch(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = iter([100.0, 100.0, 101.0, 107.0, 107.0])
    monkeypatch.setattr("netwright.cli.display.time.monotonic", lambda: next(clock))
    lines = TrainingLines(Console(soft_wrap=True), "accuracy")
    for epoch, planned in ((1, None), (2, 9), (9, 9)):
        lines.show(Progress(epoch, planned, 1 / epoch, 0.25 if planned else None))
    told = capsys.readouterr().out.splitlines()
    assert told == [
        "training, epoch 1 of ?, loss 1.000",
        "training, epoch 9 of 9, loss 0.111, accuracy 25.0 %",
    ]


def test_ctrl_c_is_no_error(netwright: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("netwright.api.plan", interrupted)
    done = netwright("plan", "shapes")
    assert (done.returncode, done.stderr.strip()) == (130, "stopped")


def test_a_file_in_place_of_a_folder_is_told(netwright: Command, tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(b"")
    done = netwright("sample", "-o", tmp_path / "a.npz")
    assert done.returncode == 1
    assert "a.npz is a file: expected a folder, new or empty" in done.stderr


def test_recipes_for_volumes_are_not_offered_for_pictures(cells: Path, dataset: Path, tmp_path: Path) -> None:
    for recipe in ("segnas4", "marl-vgg16"):
        with pytest.raises(
            SettingsError, match=r"segmentation of pictures\. Recipes for it: marl-unet, marl"
        ):
            create_run(cells, recipe, UserSettings(trials=1), tmp_path / "run")
    with pytest.raises(SettingsError, match=r"Recipes for it: .*segnas4.*marl-unet"):
        create_run(dataset, "marl-vgg16", UserSettings(trials=1), tmp_path / "run")


def test_a_plan_of_trainings_that_go_on_says_what_they_keep_on_disk(tmp_path: Path) -> None:
    """Of networks that could be trained: 24 bytes a parameter."""
    sizes = [("random 1", 2_000_000, "complete"), ("random 2", 90_000_000, "too_slow")]
    more = [replace(START, name=name, parameters=size, status=status) for name, size, status in sizes]
    start = replace(START, parameters=500_000)
    plan = replace(PLAN, recipe="auto", measurements=(start, *more), race_hours=2.0, race_compares=True)
    lines = list(plan_lines(plan, tmp_path, ["--hours", "2", "--compare", "full"]))
    assert "disk       12.0 to 48.0 MB for each training: its checkpoint and two networks" in lines
    assert "           then 2 h more, to train the default alone" in lines
    assert next_words(lines)[-4:] == ["--hours", "2", "--compare", "full"]
    assert "in 2 h: trainings that go on until the time is up, then the test of the best" in lines
    alone = list(plan_lines(replace(plan, measurements=(start,), race_only_default=True), tmp_path))
    assert "in 2 h: the default alone is trained until the time is up, then tested" in alone
    assert "disk       12.0 MB for each training: its checkpoint and two networks" in alone
