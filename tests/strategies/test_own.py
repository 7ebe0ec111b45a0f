"""A strategy of the user's own by its name: what it must have, what it may not do, and whose code is run."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from netwright.errors import SettingsError, StrategyFailed
from netwright.runs.folder import open_run_folder
from netwright.runs.trials import load_trials, record_of
from netwright.searches.one_shot import natural_gradient
from netwright.settings import SpecSettings, parse_settings
from netwright.strategies.base import Converging, Exploring, Reporting, Starting
from netwright.strategies.makers import make_sampler, require_strategy
from netwright.strategies.own import own
from netwright.strategies.sampler import StrategySampler
from tiny_strategies import OneChange

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "own-strategy.md").read_text(encoding="utf-8")
BASE = "from tiny_strategies import OneChange\n"


class Dimensions:
    def distributions(self) -> dict[str, Any]:
        return {
            "depth": IntDistribution(1, 4),
            "kind": CategoricalDistribution(("plain", "residual")),
            "rate": FloatDistribution(0.0, 1.0),
        }

    def starting_choice(self) -> dict[str, Any]:
        return {"depth": 2, "kind": "plain", "rate": 0.5}


def spec(code: str, **options: Any) -> SpecSettings:
    return SpecSettings(name="own", code=code, **options)


def test_it_is_made_by_its_name_with_its_settings() -> None:
    sampler = make_sampler(spec("tiny_strategies:OneChange", random=3), Dimensions(), 0)
    assert isinstance(sampler, StrategySampler)
    assert sampler.strategy.name == "one-change"
    assert sampler.strategy.settings == {"random": 3}


def test_a_study_is_searched_as_by_the_class_itself() -> None:
    def best(sampler: StrategySampler) -> list[dict[str, Any]]:
        study = optuna.create_study(sampler=sampler, direction="maximize")
        distributions = Dimensions().distributions()
        for _ in range(12):
            trial = study.ask(distributions)
            study.tell(trial, trial.params["rate"] - trial.params["depth"])
        return [trial.params for trial in study.trials]

    named = make_sampler(spec("tiny_strategies:OneChange"), Dimensions(), 5)
    assert isinstance(named, StrategySampler)
    assert best(named) == best(StrategySampler(OneChange(), 5, distributions=Dimensions().distributions()))


def test_what_a_search_asks_is_passed_on_and_what_a_report_asks_is_not(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    body = (
        "class Mine(OneChange):\n"
        "    converged_words = 'enough'\n"
        "    def converged(self, state): return state[1] > 2\n"
        "    def report(self, state, best, reward_name): raise AssertionError\n"
    )
    strategy = made(tmp_path, "asked_strategy", body)
    assert isinstance(strategy, Converging)
    assert strategy.converged((None, 3, None, 0.0))
    assert not isinstance(strategy, Exploring | Starting | Reporting)


def made(folder: Path, name: str, body: str) -> Any:
    (folder / f"{name}.py").write_text(BASE + body)
    return own(f"{name}:Mine", folder=str(folder))


REFUSED = [
    ("Other = 1\n", "has no 'Mine'"),
    ("def Mine(): return 3\n", "makes an int without name, settings, init, ask, tell"),
    ("class Mine:\n    name, settings = 'mine', {}\n", "makes a Mine without init, ask, tell"),
    ("class Mine(OneChange):\n    def __init__(self): raise KeyError('x')\n", r"made of {}: KeyError.*, line 3\)"),
    ("class Mine(OneChange):\n    def __init__(self, depth): pass\n", "needs 'depth'. .*--set strategy.depth=VALUE"),
    ("class Mine(OneChange):\n    settings = {'a': {1}}\n", "settings of .* expected plain JSON values"),
    ("class Mine(OneChange):\n    def init(self, d): return 1 / 0\n", r"init\(\) of .*ZeroDivision.*, line 3\)"),
    ("class Mine(OneChange):\n    def ask(self, s, r, p): return s.best\n", r"ask\(\) of .*AttributeError.*line 3"),
    ("class Mine(OneChange):\n    def ask(self, s, r, p): return {}\n", r"ask\(\) of .* returned {}; expected"),
    (
        "class Mine(OneChange):\n    def ask(self, s, r, p): return super().ask(s, r)[0], {'at': r.integers(3)}\n",
        r"stamp {'at': np.int64\(\d\)}, which cannot be stored",
    ),
    (
        "class Mine(OneChange):\n    def ask(self, s, r, p): return {**OneChange.ask(self, s, r)[0], 'depth': 9}, {}\n",
        r"Mine proposed depth = 9; expected a value of IntDistribution\(high=4",
    ),
    (
        "class Mine(OneChange):\n    def ask(self, s, r, p): return {**OneChange.ask(self, s, r)[0], 'kind': []}, {}\n",
        r"Mine proposed kind = \[\]; expected a value of CategoricalDistribution",
    ),
    (
        "class Mine(OneChange):\n    def ask(self, s, r, p): return {'depth': 2, 'width': 1}, {}\n",
        "expected a value for each of depth, kind, rate, and no other. See 'kind', 'rate', 'width'",
    ),
    (
        "import random\nclass Mine(OneChange):\n"
        "    def ask(self, s, r, p): return {**OneChange.ask(self, s, r)[0], 'rate': random.random()}, {}\n",
        r"ask\(\) of .* gave two proposals .* Draw all random numbers from rng",
    ),
    ("class Mine(OneChange):\n    def tell(self, s, o): pass\n", r"tell\(\) of .* returned None; expected the next"),
    ("class Mine(OneChange):\n    def tell(self, s, o): return o.choice['depth']\n", r"(ask|tell)\(\) of .* failed: "),
    (
        "class Mine(OneChange):\n"
        "    def init(self, d): return [tuple(d), 0, None, -1.0]\n"
        "    def tell(self, s, o):\n"
        "        s[:] = OneChange.tell(self, s, o)\n"
        "        return s\n",
        r"tell\(\) of .* changes the state that it is given.* Return a new state",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("body", "words"), REFUSED)
def test_what_is_no_strategy_is_refused_before_a_search(
    tmp_path: Path, request: pytest.FixtureRequest, body: str, words: str
) -> None:
    name = f"strategy_{request.node.callspec.indices['body']}"
    (tmp_path / f"{name}.py").write_text(BASE + body)
    with pytest.raises(SettingsError, match=f"^strategy: .*{words}") as raised:
        make_sampler(spec(f"{name}:Mine", folder=str(tmp_path)), Dimensions(), 0)
    assert f"{name}" in str(raised.value)


def test_an_option_that_the_class_does_not_have_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"^strategy tiny_strategies:OneChange has no option 'rando'\. Did you mean "
                       r"random \(choices that are drawn first\)"):  # fmt: skip
        require_strategy(spec("tiny_strategies:OneChange", rando=3))


@pytest.mark.parametrize("named", [SpecSettings(name="own"), SpecSettings(name="tiny_strategies")])
def test_a_name_without_a_class_is_answered_with_its_form(named: SpecSettings) -> None:
    with pytest.raises(SettingsError, match=r"package\.module:Class"):
        require_strategy(named)


class OutOfRange(OneChange):
    def ask(self, state: Any, rng: np.random.Generator, pending: Any = ()) -> Any:
        return {"x": np.int64(3 + len(pending))}, {}


def test_in_python_too_what_is_no_choice_is_refused_and_numbers_become_pythons() -> None:
    """Optuna would draw another value at random."""
    study = optuna.create_study(
        sampler=StrategySampler(OutOfRange(), 0, distributions={"x": IntDistribution(0, 3)})
    )
    assert type(study.ask({"x": IntDistribution(0, 3)}).params["x"]) is int
    with pytest.raises(StrategyFailed, match=r"OutOfRange proposed x = .*4.*; expected a value of Int"):
        study.ask({"x": IntDistribution(0, 3)})


def test_a_report_of_a_search_inside_one_training_does_not_run_it(tmp_path: Path) -> None:
    """Such a report asks for the strategy, and a run folder may name any."""
    (tmp_path / "stranger.py").write_text(f"open({str(tmp_path / 'mark')!r}, 'w')\n{BASE}Mine = OneChange\n")
    table = {"name": "own", "code": "stranger:Mine", "folder": str(tmp_path)}
    named = {"recipe": "none", "dataset": {"path": "."}, "space": {"name": "cells"}, "strategy": table}
    with pytest.raises(SettingsError, match="must be natural-gradient, not own"):
        natural_gradient(parse_settings({**named, "supernet": {}}), Dimensions())  # type: ignore[arg-type]
    assert not (tmp_path / "mark").exists()


Command = Callable[..., subprocess.CompletedProcess[str]]


def test_the_strategy_of_the_page_searches_by_its_name(
    cells: Path, netwright: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It fails after the first trial, is mended, and resumed. No other process and no command that reads imports it."""
    here, mark, broken = tmp_path / "here", tmp_path / "mark", tmp_path / "broken"
    here.mkdir()
    broken.touch()
    program = PAGE.split("```python\n")[1].split("```")[0]
    file = here / "my_strategy.py"
    head = f"import os\nopen({str(mark)!r}, 'a').write('imported ')\n"
    fails = "        if observation.number == 0 and observation.reward != 1: raise OSError('no')\n"
    told = "        dimensions, known, best, value = state\n"
    file.write_text(head + program.replace(f"Any:\n{told}", f"Any:\n{fails}{told}"))
    words = ("--trials", 3, "--epochs", 1, "--workers", 1, "--verdict-hours", 0)
    named = ("--strategy", "my_strategy:OneChange", "--set", "strategy.random=2")
    failed = netwright("search", cells, *named, "-o", "run", *words, cwd=here)
    assert failed.returncode == 2
    assert "strategy: tell() of my_strategy:OneChange failed: OSError: no (" in failed.stderr
    assert "netwright resume" in failed.stderr
    assert mark.read_text() == "imported "
    folder = open_run_folder(here / "run")
    assert record_of(load_trials(folder)[0]).status == "complete"
    assert folder.settings().strategy.options == {
        "code": "my_strategy:OneChange", "folder": str(here), "random": 2,
    }  # fmt: skip

    file.write_text(head + program)
    changed = netwright("resume", here / "run")
    assert changed.returncode == 2
    assert "my_strategy:OneChange would run" in changed.stderr
    assert mark.read_text() == "imported "
    done = netwright("resume", here / "run", "--trust-code")
    assert done.returncode == 0, done.stderr
    records = list(map(record_of, load_trials(folder)))
    assert [record.status for record in records] == ["complete"] * 3

    mark.unlink()
    monkeypatch.setenv("NETWRIGHT_CACHE", str(tmp_path / "another user"))
    for verb, *more in (("status",), ("report",), ("train", "--epochs", 1)):
        assert netwright(verb, here / "run", *more).returncode == 0
    assert "my_strategy:OneChange is a user" in (here / "run" / "report.html").read_text(encoding="utf-8")
    assert not mark.exists()
    (here / "run" / "finished.json").unlink()
    assert "--trust-code" in netwright("resume", here / "run").stderr
    assert not mark.exists()
