"""--space, --strategy and --objective: what they set, what they refuse, and a search with them that is killed."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import netwright as package
from netwright.cli.reading import read_user_settings
from netwright.recipes import find_recipe
from netwright.settings import override, parse_settings
from netwright.spaces import SPACES
from netwright.strategies.makers import PROPOSERS
from netwright_tests import EXECUTABLE, SMALL
from planning.steps import resolve
from processes import searching, wait_until

Command = Callable[..., subprocess.CompletedProcess[str]]


def resolved(recipe: str, **options: Any) -> Any:
    """The settings of a recipe under the options of a command."""
    user = read_user_settings(map_label=None, **{"assignments": None, **options})
    base = parse_settings({**find_recipe(recipe).values, "dataset": {"path": "."}}).model_dump(mode="json")
    return parse_settings(override(base, user.assignments or {}))


def test_the_options_take_the_place_of_the_recipes_parts() -> None:
    settings = resolved("marl-unet", space="segnas4", strategy="tpe", objective="dice.Core")
    assert settings.space.model_dump() == {"name": "segnas4"}, "the U-Net's options are left behind"
    assert settings.strategy.model_dump() == {"name": "tpe"}
    assert (settings.objective.metric, settings.objective.costs) == ("dice.Core", {})
    assert not settings.objective.per_epoch
    kept = resolved("marl-unet", strategy="q-learning", assignments=["strategy.variant=published"])
    assert kept.strategy.model_dump() == {"name": "q-learning", "variant": "published"}
    assert kept.space.options == {"up_kernel": 3}


@pytest.mark.parametrize("given", [{"objective": "accuracy"}, {"maximize": ["accuracy"]}])
def test_a_single_metric_takes_the_place_of_the_recipes_objective(
    given: dict[str, Any], shapes: Path
) -> None:
    """However it is given; a cost that the user weighs stays."""
    for assignments, words in (
        ([], "accuracy"),
        (["objective.costs.size_mb=0.5"], "1 x accuracy - 0.5 x size_mb"),
    ):
        user = read_user_settings(map_label=None, assignments=assignments, **given)
        assert resolve(shapes, "marl-vgg16", user).objective.words() == words


def test_set_refines_what_an_option_chose() -> None:
    given = ["strategy.multivariate=false", "objective.costs.size_mb=0.5"]
    settings = resolved("segnas4", strategy="tpe", objective="dice", assignments=given, limits=["size_mb<=9"])
    assert settings.strategy.options == {"multivariate": False}
    assert (settings.objective.metric, settings.objective.costs) == ("dice", {"size_mb": 0.5})
    assert settings.objective.limits == ("size_mb<=9",)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--space", "vgg16"], ["'vgg16' is for classification in 2D", "segnas11"]),
        (["--space", "unnet"], ["There is no space 'unnet'", "Did you mean unet?"]),
        (["--strategy", "nsga"], ["There is no strategy 'nsga'", "nsga-ii", "controlled-random-search"]),
        (["--strategy", "gp", "--set", "strategy.kernel=rbf"], ["no option 'kernel'", "n_startup_trials"]),
        (["--strategy", "tpe", "--set", "strategy.n_startup_trials=-3"], ["n_startup_trials is -3"]),
        (["--objective", "dize"], ["There is no metric 'dize'", "dice"]),
    ],
)
def test_wrong_parts_are_refused(
    options: list[str], words: list[str], dataset: Path, netwright: Command, tmp_path: Path
) -> None:
    for verb, *output in (("search", "-o", tmp_path / "run"), ("plan",)):
        done = netwright(verb, dataset, "--recipe", "segnas4", *output, *options)
        assert done.returncode == 2
        for word in words:
            assert word in done.stderr
    assert not (tmp_path / "run").exists()


def test_the_parts_are_listed(netwright: Command) -> None:
    lines = netwright("recipes", "--parts").stdout.splitlines()
    named = [line.split()[0] for line in lines if line.startswith("  ")]
    assert named == [*SPACES, *PROPOSERS]
    assert all(len(line) > 40 for line in lines if line.startswith("  ")), "each says what it is"


def results(folder: Path) -> list[tuple[str, dict[str, object], float | None]]:
    return [(t.status, t.choice, t.reward) for t in package.open_run(folder).trials]


@pytest.mark.slow  # test_killed.py kills one by a strategy of ours; samplers of Optuna have a contract of their own
def test_a_killed_search_by_tpe_equals_one_that_was_not(
    dataset: Path, netwright: Command, tmp_path: Path
) -> None:
    straight, broken = tmp_path / "straight", tmp_path / "broken"
    words = ["--recipe", "segnas4", "--strategy", "tpe", "--set", "strategy.n_startup_trials=3", "--seed", 4]
    words += ["--objective", "dice", "--trials", 7, "--verdict-hours", 0, *SMALL]
    assert netwright("search", dataset, "-o", straight, *words).returncode == 0
    with searching([EXECUTABLE, "search", dataset, "-o", broken, *words]) as search:
        wait_until((broken / "trials" / "0004").exists, search)
    done = netwright("resume", broken)
    assert done.returncode == 0, done.stderr
    assert results(broken) == results(straight)
    assert len(results(broken)) == 7
