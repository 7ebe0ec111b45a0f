"""What a run was made with stands in it, and whoever goes on under something else is told."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

import netwright as package
from netwright.data.splits import Splits
from netwright.errors import RunError, SettingsWarning
from netwright.runs.folder import create_run_folder
from netwright.runs.versions import RESUMED, made_with, stated
from netwright.settings import parse_settings
from processes import run

Command = Callable[..., subprocess.CompletedProcess[str]]


def versions_of(python: str) -> dict[str, str]:
    """As each package says itself, in a process that has not loaded netwright."""
    code = "import platform, torch, optuna; print(platform.python_version(), torch.__version__, optuna.__version__)"
    found = run([python, "-c", code]).stdout.split()
    return dict(zip(("python", "torch", "optuna"), found, strict=True))


def test_a_new_run_states_its_versions_and_its_settings_are_read_without_them(tmp_path: Path) -> None:
    settings = parse_settings(
        {
            "recipe": "r",
            "dataset": {"path": "/d"},
            "space": {"name": "segnas4"},
            "strategy": {"name": "random"},
        }
    )
    folder = create_run_folder(tmp_path / "run", settings, Splits(("a",), ("b",), ()))
    told = yaml.safe_load(folder.settings_file.read_text())["made_with"]
    expected = versions_of(sys.executable)
    assert {name: told[name].partition("+")[0] for name in expected} == {
        name: text.partition("+")[0] for name, text in expected.items()
    }
    assert told["netwright"] == package.__version__
    assert "cores" in told["machine"]
    assert folder.settings() == settings
    assert stated(folder.settings_file) == told == made_with()


def altered(source: Path, copy: Path, **others: str | None) -> Path:
    """A copy of a finished run as it was before it ended, made with other versions; None: it does not say."""
    shutil.copytree(source, copy)
    (copy / "finished.json").unlink()
    values = yaml.safe_load((copy / "run.yaml").read_text())
    values["made_with"] |= others
    if None in others.values():
        del values["made_with"]
    (copy / "run.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
    return copy


def test_a_run_resumed_under_other_versions_says_so(
    netwright: Command, finished_run: Path, tmp_path: Path
) -> None:
    run = altered(finished_run, tmp_path / "run", torch="1.0.0", machine="a mainframe")
    here = made_with()
    done = netwright("resume", run)
    assert done.returncode == 0, done.stderr
    assert f"torch 1.0.0, now {here['torch']}; machine a mainframe, now {here['machine']}" in done.stderr
    assert "Optuna" not in done.stderr
    report = (run / "report.html").read_text()
    for words in ("torch 1.0.0", "a mainframe", "resumed under", f"torch {here['torch']}"):
        assert words in report
    assert (run / RESUMED).exists()
    assert package.open_run(run).other_versions() is None, "nothing is left to resume"


def test_the_same_versions_and_runs_of_before_say_nothing(finished_run: Path, tmp_path: Path) -> None:
    same = altered(finished_run, tmp_path / "same")
    assert package.open_run(same).other_versions() is None
    before = altered(finished_run, tmp_path / "before", torch=None)
    run = package.open_run(before)
    assert run.other_versions() is None
    assert run.settings == package.open_run(finished_run).settings
    page = run.report(tmp_path / "report.html").read_text()
    assert "made with" not in page


def test_python_is_warned(finished_run: Path, tmp_path: Path) -> None:
    run = package.open_run(altered(finished_run, tmp_path / "run", optuna="1.0"))
    with (
        pytest.warns(SettingsWarning, match=r"Optuna 1\.0, now "),
        run.folder.locked(),
        pytest.raises(RunError),
    ):
        run.resume()
