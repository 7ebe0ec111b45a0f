"""The recipe policy-gradient from the command line: searched, killed and resumed, compared, reported."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest

import netwright as package
from netwright.data.samples.cardiac import write_cardiac_sample
from netwright.tasks.segmentation.crf_fitting import FittedCRF
from netwright_tests import EXECUTABLE
from processes import searching, wait_until

Command = Callable[..., subprocess.CompletedProcess[str]]

TRIALS = 6
SETTINGS = (
    *("space.blocks=3", "space.layers=1", "space.filters=[2,4,2]", "space.kernels=[1,3,2]"),
    *("strategy.perturbations=3", "slices.empty=drop", "preprocessing.spacing=native"),
    *("verdict.references=[]", "verdict.random_choices=0", "postprocessing.crf=true"),
    *("postprocessing.minutes=0.02", "postprocessing.cases=2"),
)
SEARCH = ("--recipe", "policy-gradient", "--trials", TRIALS, "--epochs", 1, "--workers", 1, "--seed", 2)


def words_of(folder: Path, dataset: Path) -> list[object]:
    words = ["search", dataset, "-o", folder, *SEARCH, "--set", "verdict.epochs=2"]
    return [*words, *(word for setting in SETTINGS for word in ("--set", setting))]


def search_until(folder: Path, dataset: Path, trial: int) -> None:
    """Search, and end the command with all its workers as a power cut would, once a trial has begun."""
    with searching([EXECUTABLE, *words_of(folder, dataset)]) as search:
        wait_until((folder / "trials" / f"{trial:04d}").exists, search)


def brighter(hearts: Path, place: Path) -> Path:
    """The same patients in images of which every one is another than it was."""
    copy = shutil.copytree(hearts, place, ignore=shutil.ignore_patterns("*_4d*"))
    for path in copy.rglob("*_frame*.nii.gz"):
        if "_gt" not in path.name:
            image = nibabel.load(path)
            values = np.asarray(image.dataobj) + 1
            nibabel.save(nibabel.Nifti1Image(values.astype(np.float32), image.affine), path)
    return copy


@pytest.mark.slow  # runs/test_old_runs.py reports such a search; recipes/test_policy_gradient.py plans one
@pytest.mark.parametrize("killed", [False, True])
def test_from_the_search_to_its_report(killed: bool, netwright: Command, tmp_path: Path) -> None:
    pytest.importorskip("pydensecrf", reason="the extra 'crf' is not installed")
    hearts, folder = write_cardiac_sample(tmp_path / "hearts", patients=6), tmp_path / "run"
    finished: list[tuple[int, dict[str, object], float | None]] = []
    if killed:
        search_until(folder, hearts, trial=TRIALS // 2 + 1)
        trials = package.open_run(folder).trials
        finished = [(t.number, t.choice, t.reward) for t in trials if t.reward is not None]
        assert finished
        assert not (folder / "report.html").exists()
    done = netwright(*(["resume", folder] if killed else words_of(folder, hearts)))
    assert done.returncode == 0, done.stderr + done.stdout
    run = package.open_run(folder)
    trials = run.trials
    assert len([t for t in trials if t.status == "complete"]) == TRIALS
    assert [(t.number, t.choice, t.reward) for t in trials][: len(finished)] == finished

    winner = json.loads((folder / "winner" / "result.json").read_text())
    start = json.loads((folder / "verdict" / "start" / "result.json").read_text())
    assert (winner["name"], start["name"]) == ("searched", "start")
    splits = json.loads((folder / "splits.json").read_text())
    for result in (winner, start):
        assert result["outcome"]["status"] == "complete"
        assert sorted(result["scores"]) == splits["test"]
    fitted = run.postprocessing()
    assert isinstance(fitted, FittedCRF)
    assert (fitted.cases, fitted.groups, fitted.kept) == (2, 1, False), "one patient tells nothing of others"
    assert ("scores_with_unkept_crf" in winner) == (fitted.crf is not None)
    assert "scores_with_unkept_crf" not in start
    page = (folder / "report.html").read_text(encoding="utf-8")
    for section in ("policy", "postprocessing"):
        assert f'id="{section}"' in page
    assert "2 cases of 1 patient" in page

    # New scans of the patients it was trained on are not unseen.
    found = run.evaluate(brighter(hearts, tmp_path / "brighter"))
    assert sorted(found.cases) == splits["test"]
    others = len(splits["training"]) + len(splits["validation"])
    assert found.note == f"{others} more cases of the same patients are left out"
