"""--split-file and --fold: what plan and search say, and a search that is killed and goes on without its file."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

import netwright as package
from netwright.data import open_any
from netwright_tests import EXECUTABLE, SMALL
from processes import searching, wait_until

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.mark.slow  # tests/api/test_split_file.py opens such runs without their file, and trains nothing
def test_a_killed_search_goes_on_with_its_parts_when_the_file_is_another(
    dataset: Path, netwright: Command, tmp_path: Path
) -> None:
    names = open_any(dataset).names
    patients = {name: f"p{number // 2}" for number, name in enumerate(names)}
    path, folder = tmp_path / "parts.csv", tmp_path / "run"
    rows = [f"{name},{'test' if number < 2 else ''},{patients[name]}" for number, name in enumerate(names)]
    path.write_text("\n".join(["case,part,group", *rows]))
    words = ["--recipe", "segnas4", "--trials", 1, *SMALL, "--verdict-hours", 0.0003]
    words += ["--set", "verdict.references=[]", "--set", "verdict.random_choices=0", "--split-file", path]
    with searching([EXECUTABLE, "search", dataset, "-o", folder, *words]) as search:
        wait_until((folder / "trials" / "0000").exists, search)
    splits = package.open_run(folder).folder.splits()
    assert splits.test == names[:2]
    sides = [{patients[name] for name in part} for part in (splits.training, splits.validation, splits.test)]
    assert sum(map(len, sides)) == 4, "no patient lies in two parts"
    path.write_text("case,part\nnobody,train\n")
    done = netwright("resume", folder)
    assert done.returncode == 0, done.stderr
    assert package.open_run(folder).folder.splits() == splits
    tested = json.loads((folder / "winner" / "result.json").read_text())["scores"]
    assert sorted(tested) == list(splits.test)
    report = (folder / "report.html").read_text()
    assert (
        "of 4 patients, none of them divided; as parts.csv says; 6 cases without a part are drawn" in report
    )


@pytest.mark.slow  # a plan measures for ten seconds; its lines are tested in test_lines.py
def test_the_plan_states_the_parts_and_the_next_command_has_the_file(
    dataset: Path, netwright: Command, tmp_path: Path
) -> None:
    names = open_any(dataset).names
    path = tmp_path / "splits_final.json"
    path.write_text(
        json.dumps([{"train": names[:2], "val": names[2:]}, {"train": names[2:], "val": names[:2]}])
    )
    done = netwright(
        *("plan", dataset, "--recipe", "segnas4", *SMALL, "--seconds", 1, "--split-file", path, "--fold", 1)
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert any(
        line.startswith(
            "parts      as fold 1 of splits_final.json says; test is drawn from its training part"
        )
        for line in lines
    )
    assert f"--split-file {path} --fold 1" in lines[-1]
    assert "the first (0) is taken" not in done.stdout


def test_wrong_options_are_refused(dataset: Path, netwright: Command, tmp_path: Path) -> None:
    path = tmp_path / "parts.json"
    path.write_text(json.dumps({"train": ["a"], "val": ["b"]}))
    for options, code, words in (
        (["--fold", 1], 2, "is for a file of folds"),
        (["--split-file", path, "--fold", 1], 2, "has none. Leave it out"),
        (["--split-file", path], 1, "names the cases a and b, which"),
        (["--split-file", tmp_path], 1, "does not exist"),
    ):
        done = netwright("search", dataset, "--recipe", "segnas4", "-o", tmp_path / "run", *options)
        assert done.returncode == code, done.stderr
        assert words in done.stderr
    assert not (tmp_path / "run").exists()
